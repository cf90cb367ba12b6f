"""Measure how much memory the kernels of a build use, with the processes that they started."""

from __future__ import annotations

import psutil


def held_below(pid: int) -> int:
    """Return how many bytes the descendants of a process hold; shared memory counts once."""
    try:
        family = psutil.Process(pid).children(recursive=True) if pid else []
    except psutil.Error:
        return 0
    return sum(map(_memory_of, family))


def _memory_of(process: psutil.Process) -> int:
    try:
        try:
            return int(process.memory_full_info().pss)
        except (psutil.AccessDenied, AttributeError):  # another user's process, or not Linux
            return int(process.memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0
