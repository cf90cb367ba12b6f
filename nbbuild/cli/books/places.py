"""Find the file of a book in a folder, or one folder down, and read it as its tool does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from nbbuild.cli.books import jupyter_book, mkdocs, myst, nbdev, quarto, sphinx
from nbbuild.cli.books.book import Book
from nbbuild.errors import ConfigError

_READERS: Mapping[str, Callable[[Path], Book]] = {
    "myst.yml": myst.read,
    "_quarto.yml": quarto.read,
    "_quarto.yaml": quarto.read,
    "conf.py": sphinx.read,
    "settings.ini": nbdev.read,
    "pyproject.toml": nbdev.read,
    "mkdocs.yml": mkdocs.read,
    "mkdocs.yaml": mkdocs.read,
}
"""How a file is read, by its name; every other one is a table of contents of Jupyter Book 1."""

_ASK: Mapping[str, Callable[[Path], bool]] = {
    "conf.py": sphinx.concerns_notebooks,
    "settings.ini": nbdev.concerns_notebooks,
    "pyproject.toml": nbdev.concerns_notebooks,
    "mkdocs.yml": mkdocs.concerns_notebooks,
    "mkdocs.yaml": mkdocs.concerns_notebooks,
}
"""Files that many projects have: whether this one has to do with notebooks."""

_BELOW = ("", "source")
"""Where Sphinx has its pages in the folder of a documentation."""

_ANYBODYS = frozenset(
    {"build", "dist", "node_modules", "site-packages", "dist-packages", "test", "tests", "vendor"}
)
"""Folders whose books are not the project's."""


def find(folder: Path) -> tuple[Path, ...]:
    """Return the file of the book in `folder`, else those of all books one folder down.

    Raises ConfigError for a file of a book that cannot be read.
    """
    here = _in(folder)
    if here is not None:
        return (here,)
    below = (_first(inner) for inner in _folders(folder))
    return tuple(path for path in below if path is not None)


def read(path: Path) -> Book:
    """Return what the file `path` of a book says. Raises ConfigError."""
    return _READERS.get(path.name, jupyter_book.read)(path)


def _first(folder: Path) -> Path | None:
    found = (_in(folder / inner) for inner in _BELOW if (folder / inner).is_dir())
    return next((path for path in found if path is not None), None)


def _in(folder: Path) -> Path | None:
    """Return the file of the book in `folder`: a table of contents rather than settings."""
    toc, settled = folder / "_toc.yml", folder / "myst.yml"
    if settled.is_file() and myst.has_toc(settled):
        return settled
    if toc.is_file():
        return toc
    for name in _READERS:
        path = folder / name
        if path.is_file() and (name not in _ASK or _concerns_notebooks(path)):
            return path
    return None


def _concerns_notebooks(path: Path) -> bool:
    try:
        return _ASK[path.name](path)
    except ConfigError:
        return False  # a file that anybody may have, and that nobody has named


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders in `folder` in which people put books."""
    for inner in sorted(folder.iterdir()):
        if inner.name.startswith((".", "_")) or inner.name in _ANYBODYS or not inner.is_dir():
            continue
        if not any((inner / mark).exists() for mark in ("pyvenv.cfg", "conda-meta")):
            yield inner
