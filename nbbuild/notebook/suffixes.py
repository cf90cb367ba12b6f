"""The suffixes of notebooks, and how scripts in each language write their comments."""

from __future__ import annotations

import posixpath
from typing import NamedTuple


class Script(NamedTuple):
    """How a script's language writes its comments."""

    language: str
    comment: str
    comment_end: str = ""


MYST_SUFFIXES = (".md", ".myst", ".mystnb", ".mnb")
"""Where Jupytext looks for `{code-cell}` directives."""

MARKDOWN_SUFFIXES = (*MYST_SUFFIXES, ".markdown", ".Rmd", ".qmd")

# Jupytext's own table, written out so that asking for a suffix does not load Jupytext.
SCRIPTS = {
    ".py": Script("python", "#"),
    ".coco": Script("coconut", "#"),
    ".R": Script("R", "#"),
    ".r": Script("R", "#"),
    ".jl": Script("julia", "#"),
    ".cpp": Script("c++", "//"),
    ".ss": Script("scheme", ";;"),
    ".clj": Script("clojure", ";;"),
    ".scm": Script("scheme", ";;"),
    ".sh": Script("bash", "#"),
    ".ps1": Script("powershell", "#"),
    ".q": Script("q", "/"),
    ".m": Script("matlab", "%"),
    ".wolfram": Script("wolfram language", "(*", "*)"),
    ".pro": Script("idl", ";"),
    ".js": Script("javascript", "//"),
    ".ts": Script("typescript", "//"),
    ".scala": Script("scala", "//"),
    ".rs": Script("rust", "//"),
    ".robot": Script("robotframework", "#"),
    ".resource": Script("robotframework", "#"),
    ".cs": Script("csharp", "//"),
    ".fsx": Script("fsharp", "//"),
    ".fs": Script("fsharp", "//"),
    ".sos": Script("sos", "#"),
    ".java": Script("java", "//"),
    ".groovy": Script("groovy", "//"),
    ".sage": Script("sage", "#"),
    ".ml": Script("ocaml", "(*", "*)"),
    ".hs": Script("haskell", "--"),
    ".tcl": Script("tcl", "#"),
    ".mac": Script("maxima", "/*", "*/"),
    ".gp": Script("gnuplot", "#"),
    ".do": Script("stata", "//"),
    ".sas": Script("sas", "/*", "*/"),
    ".jenner": Script("jenner", "/*", "*/"),
    ".xsh": Script("xonsh", "#"),
    ".lgt": Script("logtalk", "%"),
    ".logtalk": Script("logtalk", "%"),
    ".lua": Script("lua", "--"),
    ".go": Script("go", "//"),
}

NOTEBOOK_SUFFIXES = frozenset({".ipynb", *MARKDOWN_SUFFIXES, *SCRIPTS})
"""Every suffix that some reader takes; as in Jupytext, upper and lower case differ."""


def suffix(path: str) -> str:
    """Return the last suffix of `path`, with its dot."""
    return posixpath.splitext(path)[1]


def is_text(path: str) -> bool:
    """Return whether Jupytext would read `path`."""
    ending = suffix(path)
    return ending in NOTEBOOK_SUFFIXES and ending != ".ipynb"
