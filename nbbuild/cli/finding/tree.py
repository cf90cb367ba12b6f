"""What is in a project's tree: its notebooks, and what tools made of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nbbuild.cli.finding import pages
from nbbuild.cli.finding.pages import PageSettings
from nbbuild.disk.project_folder import STORE
from nbbuild.notebook.formats import is_notebook, is_text
from nbbuild.paths.pattern_indexes import PatternIndex
from nbbuild.paths.patterns import Pattern, escape
from nbbuild.paths.walk import Walker

OUTPUT = "_build/executed"

MADE: Mapping[str, str] = {
    "_build": "what renderers made",
    "_site": "what Quarto or Jekyll made",
    "_book": "what Quarto made",
    "_freeze": "what Quarto made",
    "_sources": "what Sphinx made",
    "jupyter_execute": "what MyST-NB made",
    "node_modules": "packages of npm",
    "__pypackages__": "installed packages",
}
"""Folders of what tools make or install: their notebooks are copies, or others'."""

_MADE_FILES: Mapping[str, str] = {".nbconvert.ipynb": "what jupyter nbconvert --execute made"}
"""Ends of names of what tools put beside a notebook."""

_MARKS = frozenset({".buildinfo", ".doctrees", "environment.pickle", "CACHEDIR.TAG"})
"""What marks a folder as made by Sphinx, or as a cache."""


class FoundTree:
    """The tree below `root`; reads only.

    `outputs` are folders, root-relative, that the tool of a book writes, and what to say about
    each. With `bare_code`, a page of Quarto with cells to execute is a notebook, whatever its
    header.
    """

    def __init__(
        self, root: Path, *, outputs: Mapping[str, str] | None = None, bare_code: bool = False
    ) -> None:
        self.root = root
        self.outputs = dict(outputs or {})
        # As nbbuild itself will look when it reads what is written down.
        self.walker = Walker(root, closed=(OUTPUT, STORE))
        self.made: dict[str, str] = {}  # pattern → why, for what tools made, as far as it was met
        self._bare_code = bare_code
        self._known: dict[str, bool] = {}
        self._marked: dict[str, bool] = {}
        self._notebooks: dict[str, list[str]] = {}
        self._pages: dict[str, PageSettings] = {}

    def notebooks(self, folder: str) -> list[str]:
        """Return all notebooks below `folder`, sorted as people do: 2 before 10."""
        if folder not in self._notebooks:
            found = self.walker.match(joined(escape(folder), "**/*"))
            mine = [path for path in found if not self._is_made(path)]
            self._notebooks[folder] = sorted(filter(self.is_ours, mine), key=_natural)
        return self._notebooks[folder]

    def _is_made(self, path: str) -> bool:
        """Whether a tool made the file, or the folder that it is in; notes what means these."""
        folders = path.split("/")[:-1]
        for number, name in enumerate(folders, 1):
            if name in MADE:
                self.made[f"**/{name}/**"] = MADE[name]
                return True
            inside = "/".join(folders[:number])
            if inside in self.outputs or self._is_marked(inside):
                self.made[f"{escape(inside)}/**"] = self.outputs.get(inside, "what a tool made")
                return True
        for end, why in _MADE_FILES.items():
            if path.endswith(end):
                self.made[f"**/*{end}"] = why
                return True
        return False

    def _is_marked(self, folder: str) -> bool:
        if folder not in self._marked:
            entries = self.walker.entries(folder)
            self._marked[folder] = any(entry.name in _MARKS for entry in entries)
        return self._marked[folder]

    def is_ours(self, path: str) -> bool:
        """Whether the file `path` is a notebook for nbbuild, or one for the tool of the book."""
        if self.tell(path):
            return True
        bare = self._bare_code and path.endswith(".qmd")
        return bare and pages.has_jupyter_code(self._bytes(path))

    def is_knitted(self, path: str) -> bool:
        """Whether the page `path`, which is not a notebook, has code in R."""
        return path.endswith((".qmd", ".Rmd")) and pages.has_r_code(self._bytes(path))

    def tell(self, path: str) -> bool:
        """Whether the file `path`, met by a glob, is a notebook, by its name or its header."""
        if path not in self._known:
            self._known[path] = path.endswith(".ipynb") or (
                is_text(path) and is_notebook(path, self._bytes(path))
            )
        return self._known[path]

    def page(self, path: str) -> PageSettings:
        """Return what the notebook `path` says about itself."""
        if path not in self._pages:
            self._pages[path] = pages.read(path, self._bytes(path))
        return self._pages[path]

    def _bytes(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except OSError:  # not ours to read
            return b""


def without(paths: Iterable[str], exclude: Iterable[str]) -> list[str]:
    """Return the paths that none of the patterns means."""
    patterns = PatternIndex(map(Pattern.parse, exclude))
    return [path for path in paths if not patterns.matching(path)]


def joined(folder: str, text: str) -> str:
    """Return a path or pattern of a book as one from the root, in normal form."""
    return posixpath.normpath(posixpath.join(folder, text.lstrip("/")))


def _natural(path: str) -> list[tuple[int, str]]:
    # Texts and numbers take turns, so a text is never compared with a number.
    pieces = re.split(r"([0-9]+)", path)
    return [(int(piece) if n % 2 else 0, piece) for n, piece in enumerate(pieces)]
