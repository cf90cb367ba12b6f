"""A scratch copy of a project, to run notebooks without anything undeclared left from before.

It is in a temporary folder under the project's own path (`<temporary>/home/me/project`), so that
`../data` has its place, and a path in an output differs from the real one only at its beginning.
Files are copied or, if the file system can do that, cloned; never hard-linked, since a notebook
that writes into one would write into the project.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from nbbuild.disk import temporary
from nbbuild.errors import NbbuildError
from nbbuild.paths.walk import SKIPPED

if sys.platform != "win32":
    import fcntl

LEFT_OUT: Final = SKIPPED | {".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"}
"""Folders that are never copied: version control, caches, nbbuild's own."""

_VIRTUAL: Final = ("pyvenv.cfg", "conda-meta")
_FICLONE: Final = 0x40049409
_PATIENCE = 1.0  # seconds of copying before progress is reported, and between reports

Told: TypeAlias = Callable[[int, int], None]
_Stamp: TypeAlias = tuple[int, ...]


class Scratch:
    """The copy at `root` of the project at `original`; made by `scratch_copy`."""

    def __init__(self, original: Path, above: Path, left_out: Collection[str], told: Told) -> None:
        self.above = above
        self.root = self._place(original)
        self.unreadable: list[str] = []
        self._original = original
        self._left_out = frozenset(left_out)
        self._told = told
        self._stamps: dict[str, _Stamp] = {}  # path → how the copy looked
        self._folders: set[str] = set()
        self._count = self._bytes = 0
        self._next_word = time.monotonic() + _PATIENCE
        self._clones = True

    def fill(self) -> None:
        """Copy the project, except for what is left out."""
        self.root.mkdir(parents=True)
        for path, entry in _walk(self._original, self._is_closed_there, folders=True):
            self._bring(path, entry)

    def lacks(self, path: str) -> bool:
        """Whether nothing is at `path` here; it may lead out of the project."""
        return not os.path.lexists(os.path.normpath(self.root / path))

    def add(self, paths: Iterable[str]) -> None:
        """Copy more files, of the project or around it, that are not here yet."""
        for path in paths:
            source = self._original / path
            target = Path(os.path.normpath(self.root / path))
            if self.lacks(path) and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                self._copy(path, source, target)

    def link(self, path: str) -> None:
        """Make a folder around the project appear here, as a link to it."""
        target = Path(os.path.normpath(self.root / path))
        source = self._original / path
        if self.lacks(path) and source.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.resolve())

    def changed(self) -> list[str]:
        """Return the files that are new, altered or gone since they were copied, sorted.

        This does not look into folders that are never copied, such as the output.
        """
        new = (path for path, _ in _walk(self.root, self._is_closed) if path not in self._stamps)
        altered = (p for p, seen in self._stamps.items() if _stamp(self.root / p) != seen)
        return sorted({*new, *altered})

    def reset(self) -> None:
        """Reset the copy to what it was. Files around it, and nbbuild's own folder, stay."""
        for folder in self._left_out:
            if (self.root / folder).is_dir():
                shutil.rmtree(self.root / folder)
        for path in self.changed():
            target = self.root / path
            target.unlink(missing_ok=True)
            if path in self._stamps:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._copy(path, self._original / path, target)
        there = [p for p, e in _walk(self.root, self._is_closed, folders=True) if _is_folder(e)]
        for name in sorted(there, reverse=True):
            if name not in self._folders:
                with contextlib.suppress(OSError):  # it holds something that we never look into
                    (self.root / name).rmdir()
        for name in sorted(self._folders):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def _place(self, path: Path) -> Path:
        return self.above / path.relative_to(path.anchor)

    def _is_closed(self, path: str, name: str) -> bool:
        return name in LEFT_OUT or path in self._left_out

    def _is_closed_there(self, path: str, name: str) -> bool:
        folder = self._original / path
        if self._is_closed(path, name) or any((folder / mark).exists() for mark in _VIRTUAL):
            return True
        # The project contains the temporary folder.
        return folder.resolve() in (self.above, self.above.parent)

    def _bring(self, path: str, entry: os.DirEntry[str]) -> None:
        source, target = Path(entry.path), self.root / path
        if entry.is_symlink():
            self._bring_link(path, source, target)
        elif entry.is_dir():
            target.mkdir(exist_ok=True)
            self._folders.add(path)
        elif entry.is_file() and path not in self._left_out:
            self._copy(path, source, target)

    def _bring_link(self, path: str, source: Path, target: Path) -> None:
        """Copy a link: inside the project it leads to the copy; a file outside is copied."""
        if path in self._left_out:
            return
        real = Path(os.path.realpath(source))
        if real.is_relative_to(self._original):
            target.symlink_to(self._place(real))
        elif real.is_file():
            self._copy(path, real, target)
            return
        else:
            target.symlink_to(real)
        self._stamps[path] = _stamp(target)

    def _copy(self, path: str, source: Path, target: Path) -> None:
        try:
            if not self._cloned(source, target):
                shutil.copyfile(source, target)
            shutil.copystat(source, target)
        except PermissionError:
            self.unreadable.append(path)
            target.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return  # it vanished while the project was being copied
        except OSError as error:
            raise NbbuildError(
                "the project cannot be copied to a temporary folder",
                facts=[
                    ("file", path),
                    ("folder", str(self.above)),
                    ("reason", error.strerror or str(error)),
                ],
                hint="set TMPDIR to a folder with enough room",
            ) from error
        if not path.startswith("../"):
            self._stamps[path] = _stamp(target)
        self._count += 1
        self._bytes += target.stat().st_size
        if time.monotonic() >= self._next_word:
            self._told(self._count, self._bytes)
            self._next_word = time.monotonic() + 5 * _PATIENCE

    def _cloned(self, source: Path, target: Path) -> bool:
        """Share the blocks of both files until one is written to, where that is possible."""
        if not self._clones:
            return False
        try:
            with source.open("rb") as old, target.open("wb") as new:
                if sys.platform == "win32":
                    raise OSError("Windows shares no blocks so")
                fcntl.ioctl(new, _FICLONE, old.fileno())
        except PermissionError:
            raise
        except OSError:
            self._clones = False
        return self._clones


@contextmanager
def scratch_copy(original: Path, *, left_out: Collection[str], told: Told) -> Iterator[Scratch]:
    """Yield a scratch copy of the project at `original`; it is removed in the end.

    `left_out` are files and folders, relative to the root. `told(files, bytes)` is called now and
    then if copying takes longer than a second. Raises `NbbuildError` if there is not enough room.
    """
    with temporary.folder() as made:
        scratch = Scratch(original, made.resolve(), left_out, told)
        scratch.fill()
        yield scratch


def _walk(
    root: Path, closed: Callable[[str, str], bool], *, folders: bool = False
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield everything below `root`, folders before their contents; links are not followed."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not _is_folder(entry):
                yield path, entry
            elif not closed(path, entry.name):
                waiting.append(path)
                if folders:
                    yield path, entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _stamp(path: Path) -> _Stamp:
    try:
        was = path.lstat()
    except OSError:
        return ()
    return was.st_size, was.st_mtime_ns, was.st_ctime_ns, was.st_ino
