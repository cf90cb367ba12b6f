"""The interface for executing an attempt: its description goes out, its plain result comes back.

This is one of the two seams of a build; the other is what keeps results (store/protocol.py). An
`Action` goes out, an `Attempted` comes back, and both can be pickled. Events report progress.
Local kernels (local.py) and the fake used by tests (in_memory.py) must pass the same stories.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbbuild.building.attempts.actions import Action
from nbbuild.events import Observer
from nbbuild.model import Failure
from nbbuild.notebook.merge import ExecutedCells
from nbbuild.watching.observed import Observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """How an attempt ended: well, unless `failure` or `cancelled` says otherwise."""

    cells: ExecutedCells  # as far as it got
    failure: Failure | None = None
    cancelled: bool = False
    seconds: float = 0.0  # kernel start and end included
    cell_seconds: tuple[float, ...] = ()  # of each cell that ran, in order
    notes: tuple[str, ...] = ()  # for users, about anything that is no failure
    shortfall: str = ""  # what its kernel lacks, "" if it was forked as wanted
    cut_short: bool = False  # its kernel was killed while it was shutting down
    stale: str = ""  # why what it wrote is there no more as it wrote it, "" if it is
    orphaned: bool = False  # its kernel was killed through no fault of its own
    preloads: tuple[str, ...] = ()  # the modules that were loaded when its kernel was forked
    preload_seconds: float = 0.0  # how long their imports took
    peak_memory: int = 0  # bytes that its kernel held at most; 0: unknown
    cpu_seconds: float = 0.0  # that its kernel took; 0: unknown
    observed: Observed | None = None  # None: it was not watched, or gave no account
    root: Path = Path()  # where it ran: the project's root, or that of a sandbox
    private: tuple[Path, ...] = ()  # folders made for this attempt; gone by now


class Attempts(Protocol):
    """Executes attempts, from any thread."""

    def __call__(
        self, action: Action, *, cancelled: threading.Event, observer: Observer
    ) -> Attempted:
        """Execute `action` and return how it ended; never raises because of a notebook.

        `observer` gets a `CellStarted` as each cell begins. Setting `cancelled` ends the attempt.
        A lost worker or kernel is a failure of kind "died".
        """
        ...
