"""Turn root-relative paths that others wrote into places where nbbuild may write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nbbuild.disk.project_folder import DOT
from nbbuild.errors import OneTaskError

_FORBIDDEN = {".git", DOT}
_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes


class Refused(OneTaskError):
    """A path leads to a place where nbbuild must not write."""


class Confined:
    """The places that may be written in the tree at `root`: no source, nothing outside."""

    def __init__(self, root: Path, sources: Iterable[str]) -> None:
        self._root = Path(os.path.realpath(root))
        self._sources = frozenset(sources)
        self._real_sources: frozenset[str] | None = None

    def place(self, path: str) -> Path:
        """Return where `path` leads, without following its last name. Raises Refused."""
        reason = self.fault(path)
        if reason:
            raise Refused(
                f"{path!r} cannot be written or removed",
                facts=[("reason", reason)],
                hint="artefacts and built notebooks lie inside the folder of jcache.toml",
            )
        return self._root / path

    def allows(self, path: str) -> bool:
        """Whether `place` would return."""
        return not self.fault(path)

    def fault(self, path: str) -> str:
        """Return why `place` would raise, or ""."""
        return fault_of_name(path) or self._fault_of_place(path)

    def _fault_of_place(self, path: str) -> str:
        if path in self._sources:
            return "it is a source notebook"
        place = self._root / path
        folder = Path(os.path.realpath(place.parent))
        fault = self._fault_of_folder(folder)
        if fault:
            return f"a folder above it is {fault}"
        if self._real_sources is None:
            # A source may be reached by another name, through links.
            real = (os.path.realpath(self._root / source) for source in self._sources)
            self._real_sources = frozenset(real)
        if str(folder / place.name) in self._real_sources:
            return "it is a source notebook"
        return ""

    def fault_of_folder(self, folder: str) -> str:
        """Return what keeps all files out of the root-relative `folder`, or "".

        The text follows "it is".
        """
        return self._fault_of_folder(Path(os.path.realpath(self._root / folder)))

    def _fault_of_folder(self, real: Path) -> str:
        if not real.is_relative_to(self._root):
            return "a symbolic link that leaves the project"
        if any(name.casefold() in _FORBIDDEN for name in real.relative_to(self._root).parts):
            return "a symbolic link into .git or .nbbuild"
        return ""


def fault_of_name(path: str) -> str:
    """Return why `path` is not the path of a file in a project, or ""."""
    names = path.split("/")
    try:
        coded = os.fsencode(path)  # names of files may be any bytes
    except UnicodeEncodeError:
        return "its name holds half of a surrogate pair"
    if "\0" in path:
        return "its name holds a NUL"
    if any(name in ("", ".", "..") for name in names):
        return "it is not a plain path relative to the root"
    if any(name.casefold() in _FORBIDDEN for name in names):
        return "it lies in .git or .nbbuild"
    if len(coded) > _LONGEST_PATH or any(len(os.fsencode(name)) > _LONGEST_NAME for name in names):
        return "its name is too long"
    return ""
