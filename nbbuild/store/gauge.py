"""Estimate a store's size without walking through it: the last walk, plus what was added since.

The first line of `usage` is the result of a walk, "<bytes> <when>"; each build that adds something
appends "+<bytes>". Removals are not noted, nor is what a killed build had put. So a walk must
confirm the estimate, and an old estimate counts for nothing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from nbbuild.disk.durable import write
from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.regular import read
from nbbuild.store.layout import Layout

_TRUSTED = 7 * 24 * 3600.0  # seconds after which a walk is due
_LONGEST = 1 << 16  # bytes of the file after which a walk is due


def exceeds(layout: Layout, size: int, *, walk: Callable[[], int]) -> bool:
    """Whether the store is larger than `size` bytes; walks only if it may be, or is unknown."""
    estimate = _read(layout)
    if estimate is not None and estimate <= size:
        return False
    found = walk()
    set_to(layout, found)
    return found > size


def set_to(layout: Layout, size: int) -> None:
    """Keep the result of a walk."""
    with suppress(OSError):  # then there is no estimate
        folder = layout.folder / "tmp"
        text = f"{size} {time.time():.0f}\n"
        write(layout.usage, text.encode(), folder=folder, sync=False, ours=True)


def add(layout: Layout, size: int) -> None:
    """Add so many bytes to the estimate, if a walk has begun one."""
    with suppress(OSError):
        descriptor = os.open(layout.usage, os.O_WRONLY | os.O_APPEND | ONLY_HERE)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.write(descriptor, f"+{size}\n".encode())
        finally:
            os.close(descriptor)


def _read(layout: Layout) -> int | None:
    """Return the estimate, None if there is none that can be trusted."""
    try:
        data = read(layout.usage)
        if len(data) > _LONGEST:
            return None
        first, *rest = data.decode("ascii").split("\n")
        found, when = first.split(" ")
        if abs(time.time() - int(when)) > _TRUSTED:
            return None
        return int(found) + sum(int(line) for line in rest if line)
    except (OSError, ValueError):
        return None
