"""Bounds of what judging asks again: no record has this machine walk, list or search without end.

A record says which globs its run asked for, and anybody who may write a cache can write a record.
Inside the project a glob can only see what is there. Outside it, what it would list is counted
first, and beyond a bound it is not asked: then its item does not hold, and the notebook runs.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Final

MOST_NAMES: Final = 200_000
"""Names that all globs of one trace may list outside the project together."""

_MOST_GLOBS: Final = 1_000  # of one trace
_MOST_OVERRUNS: Final = 10  # of all traces, after which no glob is asked outside the project
_MOST_WILD: Final = 12  # parts of a pattern that have wildcards
_MOST_DEEP: Final = 3  # of these, "**"
_LONGEST: Final = 4_096  # characters
_NO_DATA: Final = ("proc", "sys", "dev")


class Asking:
    """Counts what one trace asks for, and what all traces of a session have asked in vain."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._overruns = 0
        self._globs = self._left = 0
        self.renew()

    def renew(self) -> None:
        """Begin with another trace."""
        self._globs, self._left = _MOST_GLOBS, MOST_NAMES

    def may_glob(self, name: str, way: str) -> bool:
        """Whether a glob ("base:pattern") of the present trace can be asked within bounds."""
        self._globs -= 1
        base, _, pattern = name.partition(":")
        parts = pattern.split("/")
        deep = parts.count("**")
        wild = sum(map(glob.has_magic, parts))
        if self._globs < 0 or len(name) > _LONGEST or wild > _MOST_WILD or deep > _MOST_DEEP:
            return False
        folder = _fixed("/" if not parts[0] else os.path.join(self._root, base), parts)  # noqa: PTH118
        if _is_in(folder, self._root) and ".." not in parts:
            return True
        return self._may_look_into(folder, None if deep else wild, links="pathlib" not in way)

    def _may_look_into(self, folder: str, depth: int | None, *, links: bool) -> bool:
        top = folder.strip("/").partition("/")[0]
        if top in _NO_DATA or (not top and (depth is None or depth > 1)):
            return False  # nobody needs to count what is on the whole disk
        if self._overruns >= _MOST_OVERRUNS:
            return False
        for count in _listed(folder, depth, links=links):
            self._left -= count
            if self._left < 0:
                self._overruns += 1
                return False
        return True


def _fixed(base: str, parts: list[str]) -> str:
    """Return the folder that a glob begins to look into."""
    plain: list[str] = []
    for part in parts:
        if glob.has_magic(part):
            break
        plain.append(part)
    return os.path.normpath(os.path.join(base, "/".join(plain) or "."))  # noqa: PTH118


def _is_in(folder: str, root: str) -> bool:
    return f"{folder}/".startswith(f"{root}/")


def _listed(folder: str, depth: int | None, *, links: bool) -> Iterator[int]:
    """Yield how many names each folder has that a glob of so many parts lists; None: all below."""
    waiting = [(folder, depth)]
    while waiting:
        folder, left = waiting.pop()
        count = 0
        try:
            with os.scandir(folder) as found:
                for one in found:
                    count += 1
                    if not count % 1_000:
                        yield 1_000
                    if left != 1 and one.is_dir(follow_symlinks=links):
                        waiting.append((one.path, None if left is None else left - 1))
        except (OSError, ValueError):
            pass
        yield count % 1_000
