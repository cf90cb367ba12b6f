"""Read and type what syscalls.py saw, from outside, of one kernel and its descendants."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_NOTHING = "the record of its system calls was lost"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen from outside; times are seconds of the monotonic clock.

    Records have the form of tracer.py, in order: [kind, time, path, stat or null, …], without cell.
    """

    blind: str = ""  # why nothing could be seen; "" if it could
    missed: tuple[str, ...] = ()  # sentences on what was not seen
    rights: str = ""  # a program that the filter kept from gaining its rights
    records: Sequence[tuple[int, list[Any]]] = ()  # process id, record
    execs: Sequence[tuple[int, float, str]] = ()  # process id, when, name of the program
    opened: Sequence[tuple[int, str, int]] = ()  # process id, folder, how often
    cells: Sequence[float] = field(default=())  # when each cell that ran began

    @classmethod
    def read(cls, path: Path) -> Seen:
        """Return what the launcher wrote at `path`."""
        try:
            told = json.loads(path.read_bytes())
            return cls(
                blind=told["blind"],
                missed=tuple(told.get("missed", ())),
                rights=told.get("rights", ""),
                records=[(pid, record) for pid, record in told.get("records", ())],
                execs=[(pid, when, name) for pid, when, name in told.get("execs", ())],
                opened=[(pid, folder, count) for pid, folder, count in told.get("opened", ())],
            )
        except (OSError, ValueError, TypeError, KeyError):
            return cls(blind=_NOTHING)

    def during(self, cells: Sequence[float]) -> Seen:
        """Return a copy with the times at which the cells began."""
        return replace(self, cells=cells)

    def cell(self, when: float) -> int:
        """Return the number of the cell that ran at `when`, or ran last; 0 before the first."""
        return bisect_right(self.cells, when)
