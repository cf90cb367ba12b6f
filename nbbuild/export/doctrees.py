"""Make Sphinx read pages again: delete what it remembers of them.

Sphinx reads a page again if its source changed or its doctree is gone. A new result changes
neither, and touching the source would make nbbuild, make and `watch` start again. So the doctree is
deleted, and Sphinx makes it again from the source.

A doctree is named by the page's path below Sphinx's own source folder, which is not known here. So
this looks for each name that a page may have, and deletes a file only if it also holds the full
path of the page's source, as each doctree does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

MARK = "environment.pickle"
"""The file that shows that a folder holds doctrees."""

_DEPTH = 3  # of `_build/html/.doctrees` below the project
_CLOSED = {"node_modules", "__pycache__", "site-packages"}


def folders(around: Path, named: Iterable[Path] = ()) -> list[Path]:
    """Return the folders of doctrees below `around`, no deeper than Sphinx puts them, and `named`.

    Those of `named` that hold no doctrees yet are left out.
    """
    found = [folder for folder in _below(around, _DEPTH) if (folder / MARK).is_file()]
    found += [folder for folder in named if (folder / MARK).is_file()]
    return list({folder.resolve(): folder for folder in found}.values())


def forget(folders: Iterable[Path], root: Path, sources: Iterable[str]) -> list[Path]:
    """Delete the doctrees of `sources`, paths below `root`; return them. Raises OSError."""
    gone = []
    sources = list(sources)
    for folder in folders:
        for source in sources:
            full = str(root / source).encode("utf-8", "surrogatepass")  # as pickle does
            for name in _names(source):
                doctree = folder / f"{name}.doctree"
                if doctree.is_file() and full in doctree.read_bytes():
                    doctree.unlink()
                    gone.append(doctree)
    return gone


def _names(source: str) -> Iterator[str]:
    """Yield the page's possible names: its path without the suffix, from each folder above."""
    parts = PurePosixPath(source).parts
    for start in range(len(parts)):
        yield str(PurePosixPath(*parts[start:]).with_suffix(""))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            hidden = entry.name.startswith(".") and entry.name != ".doctrees"
            if hidden or entry.name in _CLOSED or not entry.is_dir(follow_symlinks=False):
                continue
            yield Path(entry.path)
            if depth > 1:
                yield from _below(Path(entry.path), depth - 1)
