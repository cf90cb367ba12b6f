"""Find the files on the disk that patterns mean; each folder is listed only once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Final

from nbbuild.disk.project_folder import DOT
from nbbuild.paths.meeting import Loop, Part
from nbbuild.paths.patterns import Pattern, literal_prefix
from nbbuild.paths.segments import Name

SKIPPED: Final = frozenset({".git", ".ipynb_checkpoints", DOT, "__pycache__"})
"""Folders that are entered only if a pattern names them."""

_VIRTUAL: Final = frozenset({"pyvenv.cfg", "conda-meta"})
"""The file that marks a folder as a virtual environment."""

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""The part of a virtual environment with a known name: the root may be one, or hold part of one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder holds under one name; links are followed, so a link to a folder is a folder."""

    name: str
    folder: bool
    link: bool


class Walker:
    """The tree around `root` as it was when each folder was first listed.

    A wildcard never enters hidden folders, virtual environments, `SKIPPED` or the folders
    `closed` (root-relative: output, the store), unless the pattern begins in them. If a pattern
    names a folder, its contents leave out the same, but include hidden files and folders.
    A linked file counts as a file; a linked folder is followed, but not back into a folder that
    holds the link. What cannot be listed is empty. Safe to share between threads.
    """

    def __init__(self, root: Path, *, closed: Collection[str] = ()) -> None:
        self._root = os.path.realpath(root)
        self._closed = frozenset(closed)
        self._lock = RLock()
        self._listings: dict[str, tuple[Entry, ...]] = {}
        self._named: dict[str, dict[str, Entry]] = {}  # the same by name, if looked up by name
        self._matches: dict[str, tuple[str, ...]] = {}
        self._hidden: frozenset[str] = frozenset()

    def hide(self, paths: Collection[str]) -> None:
        """Match as if the files `paths` did not exist; this replaces files hidden earlier."""
        self._hidden = frozenset(paths)

    def match(self, pattern: Pattern | str, *, hidden: bool = False) -> list[str]:
        """Return the files that `pattern` means, sorted, as root-relative POSIX paths.

        With `hidden`, this includes the files given to `hide`.
        """
        pattern = Pattern.parse(pattern) if isinstance(pattern, str) else pattern
        with self._lock:
            found = self._matches.get(pattern.text)
            if found is None:
                found = tuple(sorted(set(self._find(pattern))))
                self._matches[pattern.text] = found
        return [path for path in found if hidden or path not in self._hidden]

    def match_all(self, patterns: Iterable[Pattern | str], *, hidden: bool = False) -> list[str]:
        """Return the files that any of `patterns` means, sorted, each once; see `match`."""
        found = (self.match(pattern, hidden=hidden) for pattern in patterns)
        return sorted({path for paths in found for path in paths})

    def entries(self, folder: str) -> tuple[Entry, ...]:
        """Return what `folder` ("" is the root) holds, by name; nothing if it is not a folder."""
        with self._lock:
            listing = self._listings.get(folder)
            if listing is None:
                listing = self._listings[folder] = tuple(_list(self._absolute(folder)))
        return listing

    @property
    def listed(self) -> Mapping[str, tuple[Entry, ...]]:
        """The folders listed so far, and what they held."""
        with self._lock:
            return dict(self._listings)

    def forget(self) -> None:
        """Look at the disk again from now on."""
        with self._lock:
            self._listings.clear()
            self._named.clear()
            self._matches.clear()

    def _absolute(self, folder: str) -> str:
        return os.path.normpath(os.path.join(self._root, folder))  # noqa: PTH118 - hot

    def _child(self, folder: str, name: str) -> str:
        """Join, in normal form: after `..`, the way down may lead back into the root."""
        if not folder:
            return name
        if folder == ".." or folder.endswith("/.."):
            ups = folder.count("/") + 1
            above = self._root.split("/")
            if len(above) > ups and above[-ups] == name:
                return folder[3:]
        return f"{folder}/{name}"

    def _normal(self, path: str) -> str:
        """Return the normal form of a path that a pattern names."""
        folder = ""
        for name in path.split("/"):
            folder = self._child(folder, name)
        return folder

    def _find(self, pattern: Pattern) -> Iterator[str]:
        folder = literal_prefix(pattern)
        lead = len(folder.split("/")) - pattern.ups if folder else 0
        if pattern.literal and not pattern.folder:
            folder, lead = pattern.path, lead + 1
        folder = self._normal(folder)
        if pattern.literal and not pattern.folder:
            kind = self._kind(folder)
            if kind == "file":
                yield folder
            if kind != "folder":
                return
        trail = (os.path.realpath(self._absolute(folder)),)
        yield from self._walk(folder, _closure(pattern.parts, {lead}), pattern.parts, trail)

    def _kind(self, path: str) -> str:
        """Return "file", "folder" or "" (neither, or nothing there)."""
        folder, _, name = path.rpartition("/")
        known = self._listings.get(folder)
        if known is not None and name != "..":
            if folder not in self._named:
                self._named[folder] = {entry.name: entry for entry in known}
            entry = self._named[folder].get(name)
            return "" if entry is None else "folder" if entry.folder else "file"
        absolute = self._absolute(path)
        # Not those of Path, which raise for a name that no file can have.
        if os.path.isfile(absolute):  # noqa: PTH113
            return "file"
        return "folder" if os.path.isdir(absolute) else ""  # noqa: PTH112

    def _walk(
        self, folder: str, places: set[int], parts: tuple[Part, ...], trail: tuple[str, ...]
    ) -> Iterator[str]:
        """Yield the files below `folder`, where the automaton is at `places`.

        `trail` holds the real folders from which links were followed to get here.
        """
        for entry in self.entries(folder):
            path = self._child(folder, entry.name)
            if not entry.folder:
                if len(parts) in _after(parts, places, entry.name):
                    yield path
                continue
            after = _after(parts, places, entry.name)
            if not after:
                continue
            if not self._open(path, entry.name):
                after = _after(parts, places, entry.name, named=True)
            if not after or path in self._closed:
                continue
            beyond = self._follow(path, trail) if entry.link else trail
            if beyond:
                yield from self._walk(path, after, parts, beyond)

    def _open(self, path: str, name: str) -> bool:
        """Return whether a wildcard may enter the folder."""
        if name in SKIPPED or name in _INSTALLED or path in self._closed:
            return False
        return not any(entry.name in _VIRTUAL for entry in self.entries(path))

    def _follow(self, path: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        """Return the trail beyond a linked folder; empty if the link leads back."""
        absolute = self._absolute(path)
        target = os.path.realpath(absolute)
        trail = (*trail, os.path.realpath(os.path.dirname(absolute)))  # noqa: PTH120 - hot
        inside = target.rstrip("/") + "/"
        if any(f"{real}/".startswith(inside) for real in trail):
            return ()
        return (*trail, target)


def _list(folder: str) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return  # not there, no folder, or not ours to read: no notebook reads from it either
    for entry in entries:
        try:
            is_folder = entry.is_dir()
            if is_folder or entry.is_file():
                yield Entry(entry.name, is_folder, entry.is_symlink())
        except OSError:
            continue  # a link in a circle, or to where we may not look


def _closure(parts: tuple[Part, ...], places: set[int]) -> set[int]:
    """Add the places that can be reached without taking a segment."""
    closed = set(places)
    for place in places:
        after = place
        while after < len(parts) and isinstance(parts[after], Loop):
            after += 1
            closed.add(after)
    return closed


def _after(
    parts: tuple[Part, ...], places: set[int], name: str, *, named: bool = False
) -> set[int]:
    """Return the places after the segment `name`; with `named`, only by parts that spell it out."""
    after = set()
    for place in places:
        part = parts[place] if place < len(parts) else None
        if isinstance(part, Name):
            if part.matches(name) and not (named and part.literal is None):
                after.add(place + 1)
        elif part is not None and not named and (part is Loop.ALL or not name.startswith(".")):
            after.add(place)
    return _closure(parts, after)
