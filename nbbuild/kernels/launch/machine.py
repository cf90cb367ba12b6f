"""The cores and the memory that this machine, or its container, gives a build."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return max(1, available or 1)
    limit = available or 1 if quota == "max" else int(quota) // int(period)
    return max(1, min(available or 1, limit))


def slots_of(jobs: int | Literal["auto"]) -> int:
    """Return how many notebooks run at once, given `jobs` as configured or asked for."""
    return cores() if jobs == "auto" else jobs


def threads_each(slots: int, tasks: int) -> int:
    """Return how many cores each of `tasks` gets `slots` at once; 0 if one may use all."""
    at_once = min(slots, tasks)
    return max(1, cores() // at_once) if at_once > 1 else 0


def threads_for(asked: int, share: int) -> int:
    """Return how many threads a pool gets in a kernel that has `asked` for so many cores.

    `share` is what it gets if it has asked for none, 0.
    """
    return min(asked, cores()) if asked else share


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes: the memory that this process could have, and how much of it is left now."""

    total: int
    left: int

    @classmethod
    def now(cls, *, meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> Memory | None:
        """Return the machine's memory or the container's, whichever has less left.

        None where it is unknown: on systems other than Linux.
        """
        try:
            lines = (line.split() for line in meminfo.read_text().splitlines())
            known = {words[0]: int(words[1]) * 1024 for words in lines if len(words) > 1}
            machine = cls(known["MemTotal:"], known["MemAvailable:"])
        except (OSError, ValueError, KeyError):
            return None
        try:
            most = int((cgroup / "memory.max").read_text())
            used = int((cgroup / "memory.current").read_text())
            stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no container, or "max": no limit
            return machine
        # The memory of cached files is freed when it is needed.
        container = cls(most, most - used + int(stat.get("inactive_file", 0)))
        return min(machine, container, key=lambda one: one.left)
