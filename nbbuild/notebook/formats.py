"""Which files are notebooks, and which reader reads each; loads neither nbformat nor jupytext."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import blake3

from nbbuild.interpreter import installed
from nbbuild.notebook.configuration import configuration_bytes, configuration_file
from nbbuild.notebook.fences import has_code_cell
from nbbuild.notebook.headers import HEADER_LIMIT, header, mapping
from nbbuild.notebook.readers import Readers
from nbbuild.notebook.suffixes import MYST_SUFFIXES, NOTEBOOK_SUFFIXES, is_text, suffix

__all__ = ["NOTEBOOK_SUFFIXES", "PARSE_VERSION", "is_notebook", "is_text", "reader_identity"]

PARSE_VERSION = 3
"""Raise it whenever this package reads the same bytes differently than before."""

_NOTEBOOK_KEYS = ("kernelspec", "jupytext")
_KEY_LINE = re.compile(
    r"^(?:jupyter\s*:\s*\n(?:[ \t].*\n|\n)*?[ \t]+)?(?:kernelspec|jupytext)\s*:", re.M
)
_PARSERS = ("nbformat", "markdown-it-py", "mdit-py-plugins", "PyYAML")
_CONVERTERS = {".qmd": "quarto", ".md": "pandoc", ".markdown": "pandoc", ".py": "marimo"}


def is_notebook(path: str, data: bytes) -> bool:
    """Return whether a file that a glob matches is a notebook.

    A text file must declare it: in its header (`kernelspec` or `jupytext`, or Quarto's `jupyter`)
    or, in MyST Markdown, by a `{code-cell}`. A README's shell block must never be executed.
    """
    ending = suffix(path)
    if ending == ".ipynb":
        return True
    if ending not in NOTEBOOK_SUFFIXES:
        return False
    found = header(path, data[:HEADER_LIMIT].decode("utf-8-sig", "replace"))
    if found is not None and _names_a_kernel(found.yaml, quarto=ending == ".qmd"):
        return True
    if ending not in MYST_SUFFIXES or b"{code-cell}" not in data:
        return False
    return has_code_cell(data.decode("utf-8-sig", "replace"))


def reader_identity(root: Path, source: str, readers: Readers | None = None) -> str:
    """Return the reader of `source`, its version and its configuration, as a short string.

    It changes if the same bytes could be read or paired differently. `readers` are those that the
    project configures. Raises `NotebookError` if a configuration cannot be opened.
    """
    readers = readers or Readers()
    custom = readers.custom(source)
    if custom is not None:
        parsers = [f"{parser} {installed.version(parser)}" for parser in _PARSERS]
        return ", ".join([custom.identity(), *parsers, f"nbbuild {PARSE_VERSION}"])
    if readers.name(source) == "jupytext":
        parts = [f"{parser} {installed.version(parser)}" for parser in ("jupytext", *_PARSERS)]
        if converter := _CONVERTERS.get(suffix(source)):
            parts += _program(converter, os.environ.get("PATH", ""))
    else:
        parts = [f"nbformat {installed.version('nbformat')}"]
    parts.append(f"nbbuild {PARSE_VERSION}")
    found = configuration_file((root / source).parent)
    if found is not None:
        # Its location counts as well: a pair's prefixes are relative to its folder.
        where = Path(os.path.relpath(found, root)).as_posix()
        parts.append(f"{where} {blake3.blake3(configuration_bytes(found)).hexdigest(length=8)}")
    return ", ".join(parts)


def rests_on(sources: Collection[str], *, readers: Readers, path: str) -> Iterator[str]:
    """Yield the paths that `reader_identity` of `sources` looks at, except configurations.

    These are the folders and files that hold the readers, and the places on `path` (as PATH) where
    converters are, or where others could come before them.
    """
    for custom in {reader for source in sources if (reader := readers.custom(source))}:
        yield from custom.rests_on()
    for name in ("jupytext", *_PARSERS):
        if (found := installed.found(name)) is not None:
            yield found[1]
    converters = {_CONVERTERS.get(suffix(source)) for source in sources} - {None}
    for converter in sorted(filter(None, converters)):
        for folder in path.split(os.pathsep):
            yield os.path.join(folder, converter)  # noqa: PTH118


def _names_a_kernel(text: str, *, quarto: bool) -> bool:
    if not any(word in text for word in (*_NOTEBOOK_KEYS, "jupyter")):
        return False
    import yaml  # takes a while to load, and most projects have no text of this kind

    try:
        # Composed, not constructed: an impossible date elsewhere in the header does not matter
        # here, but would raise in a constructor.
        top = mapping(yaml.compose(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        # The reader should say what is wrong with it; passing over the file would say nothing.
        return _KEY_LINE.search(text) is not None
    inner = mapping(top.get("jupyter"))
    return any(key in top or key in inner for key in _NOTEBOOK_KEYS) or (
        quarto and "jupyter" in top
    )


@functools.cache
def _program(name: str, search_path: str) -> tuple[str, ...]:
    """Return what tells one installation of a converter from another, without starting it."""
    found = shutil.which(name, path=search_path)
    if found is None:
        return ()
    status = Path(found).stat()
    return (f"{name} {status.st_size}.{status.st_mtime_ns}",)
