"""Tell what a run changed and what it found: only a change is a write, only a find is a read.

The account lists the uses of each path in the order in which they first came. That, and what is
there now, answers three questions:

* Did the run *find* something at the path? Not if it wrote the file itself before it read it.
* Did it *change* the path? Not if it wrote the same bytes back, or opened a file for writing and
  left it as it was.
* Is it sure to write the path *anew*, whatever is there? Then the file can be put away, so that the
  next run begins like the first one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbbuild.disk.digests import Look
from nbbuild.watching.observed import FileUse

LOOKING = frozenset({"exists", "size", "stat", "lexists", "lstat", "enter"})
_CONTENT = frozenset({"read", "named", "open"})
READING = LOOKING | _CONTENT
_WRITING = frozenset({"write", "append", "open"})

_MAGIC = re.compile(r"\s*%%(?:writefile|file)[ \t]+(?P<words>[^\n]*)")
_CHUNK = 1 << 20


def found(use: FileUse) -> frozenset[str]:
    """Return the ways in which the run asked for the path before it wrote it itself."""
    asked: set[str] = set()
    for kind in use.uses:
        if kind in READING:
            asked.add(kind)
        if kind in ("write", "remove", "mkdir") or (kind == "append" and use.first is None):
            break
        if kind == "open" and use.first is None:
            break
    return frozenset(asked)


def read_first(use: FileUse) -> bool:
    """Whether the run asked for the content of a path before it replaced it."""
    return not _CONTENT.isdisjoint(found(use))


def unchanged(use: FileUse, look: Look | None) -> bool:
    """Whether the path is now, at `look`, the same as before the run changed it.

    If that is unknown, it counts as changed.
    """
    if use.first is None or look is None:
        return use.first is None and look is None
    if untouched(use, look):
        return True
    if use.first.type != "f" or not use.before:
        return False
    return use.before == _content(use, look)


def untouched(use: FileUse, look: Look | None) -> bool:
    """Whether the file is as it was before the run, to the nanosecond of its last change."""
    if use.first is None or look is None or use.first.type != "f":
        return False
    then = (use.first.size, use.first.mtime_ns, use.first.ctime_ns, use.first.inode)
    return then == (look.size, look.mtime_ns, look.ctime_ns, look.inode)


def _content(use: FileUse, look: Look) -> str:
    """Return what `use.before` would be for the file as it is now, "" if it cannot be read."""
    if not (use.before or "").startswith("blake2b:"):
        return look.digest
    digest = hashlib.blake2b()
    try:
        with Path(use.path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return ""
    return f"blake2b:{digest.hexdigest()}"


def writes(use: FileUse) -> bool:
    """Whether the run opened the path for writing, or replaced it."""
    return not _WRITING.isdisjoint(use.uses)


def anew(use: FileUse, *, named: bool, listed: bool) -> bool:
    """Whether the run writes the path whatever is there, and would notice a file left there before.

    `named`: the notebook writes it by a cell magic, which looks for it only to word its message;
    `listed`: the run listed its folder. A run that looked for a file, found none and made one might
    also keep one that it finds; nobody knows until it has found one.
    """
    asked = found(use)
    if not writes(use) or not _CONTENT.isdisjoint(asked):
        return False
    sure = named or (bool(use.uses) and use.uses[0] == "write") or use.first is not None
    return sure and (bool(asked) or listed)


def written_by_magic(cells: Iterable[str]) -> Iterator[str]:
    """Yield the names of the files that cells write with `%%writefile`, unless they append."""
    for cell in cells:
        met = _MAGIC.match(cell)
        words = met["words"].split() if met else []
        if words and not {"-a", "--append"} & set(words):
            yield words[-1].strip("'\"")
