"""The file system's answer to a question about one path, as text that can be compared.

A question is one of `WAYS`: what a path is ("exists"), that and its size ("size"), or everything
lasting that `stat` returns ("stat"). With "link" it is about a link itself, not about its target.
Times do not last: a clone has others. A mode lasts unless a umask gave it: see modes.py.
An answer looks like "f 120 644", "d - 755" or "l ../v1".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from nbbuild.watching.modes import USUAL, Masks, plain
from nbbuild.watching.modes import shown as mode_shown

if TYPE_CHECKING:
    from nbbuild.watching.observed import Stat

WAYS: Final = ("exists", "size", "stat")
"""Ordered from the least that can be asked to the most."""

LINK: Final = "link"

_KINDS: Final = {0o100000: "f", 0o040000: "d", 0o120000: "l"}


def answer(path: str, way: str, masks: Masks = USUAL) -> str:
    """Return the answer about `path` now, asked in the given `way`; "" if nothing is there."""
    own = way.endswith(LINK)
    try:
        found = os.lstat(path) if own else os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return ""
    kind = _KINDS.get(found.st_mode & 0o170000, "o")
    if kind == "l":
        return _link(path)
    return _worded(way.partition(" ")[0], kind, found.st_size, found.st_mode & 0o7777, masks)


def answered(stat: Stat | None, way: str, path: str, masks: Masks = USUAL) -> str:
    """Return the answer at an earlier moment, from the `stat` of that moment."""
    if stat is None:
        return ""
    if stat.type == "l":
        return _link(path)
    return _worded(way.partition(" ")[0], stat.type, stat.size, stat.mode, masks)


def _link(path: str) -> str:
    try:
        return f"l {os.readlink(path)}"  # noqa: PTH115
    except OSError:
        return "l"


def _worded(way: str, kind: str, size: int, mode: int, masks: Masks) -> str:
    if way == "exists":
        return kind
    shown = f"{kind} {size}" if kind == "f" else f"{kind} -"
    return shown if way == "size" else f"{shown} {mode_shown(kind, mode, masks)}"


def sentence(name: str, was: str, now: str) -> str:
    """Return a sentence on how the answer about `name` changed: "'x' is gone"."""
    if not was:
        return f"'{name}', which was missing, exists now"
    if not now:
        return f"'{name}' is gone"
    old, new = was.split(" ", 2), now.split(" ", 2)
    if old[0] != new[0]:
        return f"'{name}' is {_NOUNS[new[0]]} now, not {_NOUNS[old[0]]}"
    if old[0] == "l":
        return f"the link '{name}' leads to '{now[2:]}' now, not to '{was[2:]}'"
    if old[1:2] != new[1:2]:
        return f"'{name}' has {new[1]} bytes now, not {old[1]}"
    was, now = plain(old[-1]), plain(new[-1])
    return f"'{name}' has {'another mode' if was == now else f'the mode {now}'} now, not {was}"


_NOUNS: Final = {"f": "a file", "d": "a folder", "l": "a link", "o": "neither file nor folder"}
