"""Keep count of a running build: which notebooks run or wait, how far they are, the time left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nbbuild.events import CellStarted, Ended, Event, Moved, Noted, Planned, Started, WorkersStarted
from nbbuild.model import OutcomeKind
from nbbuild.text.numbering import named
from nbbuild.text.printable import in_one_line
from nbbuild.text.quantities import amount

_NEARLY = 0.99
"""A notebook that runs is never done, however long it has taken."""
_SOON = 0.5
"""Seconds left that are not worth telling."""

_NOT_RUN = (OutcomeKind.FRESH, OutcomeKind.REFRESHED, OutcomeKind.RESTORED)


@dataclass(frozen=True, slots=True)
class Row:
    """One running notebook: its `cell`-th of `cells` cells runs, 0 when none has begun.

    Or one that cannot begin: `waits` says for what, as in "waits for memory".
    """

    task: str
    cell: int
    cells: int
    since: float  # by the clock, seconds
    waits: str = ""

    @property
    def where(self) -> str:
        """How far it is, of the cells that run: "In [3] of 12"; or what it waits for."""
        if self.waits:
            return self.waits
        return f"{named(None, self.cell)} of {self.cells}" if self.cell else "starting"


class Progress:
    """Follows the events of one build. Not thread-safe: the caller holds a lock."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._planned = Planned(total=0, run=0, jobs=1)
        self._running: dict[str, Row] = {}
        self._held: dict[str, Row] = {}  # would run, but for what they wait for
        self._finished: dict[str, float] = {}  # task → seconds
        self._settled: set[str] = set()  # had no need to run
        self._moving: Moved | None = None

    def follow(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Planned):
            self._planned = event
        elif isinstance(event, WorkersStarted):
            self._planned = replace(self._planned, jobs=event.jobs)
        elif isinstance(event, Noted) and event.waits:
            since = self._held[event.task].since if event.task in self._held else self._clock()
            self._held[event.task] = Row(event.task, 0, 0, since, in_one_line(event.text))
        elif isinstance(event, Moved):
            self._moving = event if not event.total or event.done < event.total else None
        elif isinstance(event, Started):
            self._held.pop(event.task, None)
            self._running[event.task] = Row(event.task, 0, event.cells, self._clock())
        elif isinstance(event, CellStarted):
            row = self._running.get(event.task) or Row(event.task, 0, 0, self._clock())
            self._running[event.task] = replace(row, cell=event.number, cells=event.total)
        elif isinstance(event, Ended):
            self._held.pop(event.outcome.task, None)
            ran = self._running.pop(event.outcome.task, None)
            if ran is not None or event.outcome.kind not in _NOT_RUN:
                self._finished[event.outcome.task] = event.outcome.seconds
            else:
                self._settled.add(event.outcome.task)

    @property
    def moving(self) -> str:
        """How far fetching or pushing is: "fetching results: 3.4 of 34 MB"; "" if nothing moves."""
        if self._moving is None:
            return ""
        of = f" of {amount(self._moving.total)}" if self._moving.total else ""
        return f"{self._moving.what}: {amount(self._moving.done)}{of}"

    def rows(self) -> list[Row]:
        """Return the running notebooks, the one that began first at the top, then those held up."""
        return [*self._running.values(), *self._held.values()]

    def elapsed(self, row: Row) -> float:
        """Return for how many seconds a notebook has run, or has waited."""
        return max(0.0, self._clock() - row.since)

    @property
    def done(self) -> int:
        """How many of those that had to run have ended."""
        return len(self._finished)

    @property
    def run(self) -> int:
        """How many have to run as far as is known; waiting ones join when they begin."""
        return max(self._planned.run, len(self._finished) + len(self._running))

    def left(self) -> float | None:
        """Return the seconds left by the durations of earlier runs.

        None when none is known, or when what runs has taken longer than it used to.
        """
        usual = self._usual()
        if usual is None:
            return None
        running = [
            max(0.0, self._expected(row.task, usual) - self.elapsed(row))
            for row in self._running.values()
        ]
        waiting = self._waiting(usual)
        work = (sum(running) + sum(waiting)) / max(1, self._planned.jobs)
        left = max([work, *running, *waiting])
        return left if left >= _SOON else None

    def fraction(self) -> float:
        """Return how much of the work is done, from 0 to 1; by count when no duration is known."""
        usual = self._usual() or 1.0
        done = sum(self._expected(task, usual) for task in self._finished)
        total = done + sum(self._waiting(usual))
        for row in self._running.values():
            expected = self._expected(row.task, usual)
            total += expected
            done += expected * min(_NEARLY, self._share(row, expected))
        return done / total if total > 0 else 0.0

    def _share(self, row: Row, expected: float) -> float:
        if row.task in self._planned.durations:
            return self.elapsed(row) / expected
        return max(0, row.cell - 1) / row.cells if row.cells else 0.0

    def _usual(self) -> float | None:
        """Return what a notebook takes on average, for those that have never run."""
        known = list(self._planned.durations.values()) or list(self._finished.values())
        return sum(known) / len(known) if known else None

    def _expected(self, task: str, usual: float) -> float:
        # Never 0: a share of it is taken.
        return max(0.01, self._planned.durations.get(task, usual))

    def _waiting(self, usual: float) -> list[float]:
        """Return the durations of those that have not begun."""
        number = self.run - len(self._finished) - len(self._running)
        known = [
            max(0.01, seconds)
            for task, seconds in self._planned.durations.items()
            if not (task in self._finished or task in self._running or task in self._settled)
        ]
        if len(known) <= number:
            return known + [max(0.01, usual)] * (number - len(known))
        # Some of them will not run; which, is not known.
        return [sum(known) / len(known)] * number
