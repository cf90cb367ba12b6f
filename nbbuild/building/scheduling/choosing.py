"""Choose which ready task starts next: the first by priority for which all that it needs is free.

A task needs slots, one or more, and perhaps units of *pools*: two GPUs, the one database. One that
has to wait is passed over, so that nothing is idle while something could run. But a task that
needs much might then wait as long as there are small ones. So once as many tasks as there are
slots have overtaken it, it is *due*: from then on none that comes after it takes what it needs.

The idea of pools is ninja's and Snakemake's. Nothing here starts anything.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nbbuild.model import MEMORY
from nbbuild.text.quantities import amount

_T = TypeVar("_T")

AHEAD = 32
"""The most tasks that are named as those which come next."""

SLOTS = ""
"""What stands for slots among the names of pools."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task takes while it runs: slots, and units of pools, (name, number) each."""

    slots: int = 1
    units: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, slots: int, units: Mapping[str, int]) -> Needs:
        """Return them in the form that is the same for all tasks that need the same."""
        return cls(slots, tuple(sorted((name, count) for name, count in units.items() if count)))


ONE_SLOT = Needs()


@dataclass(frozen=True, slots=True)
class Shares:
    """What the tasks of a build share: how many units there are, and what each task takes.

    No task asks for more than there are; of more slots than there are it takes all.
    """

    pools: Mapping[str, int] = field(default_factory=dict)
    needs: Callable[[str], Needs] = lambda name: ONE_SLOT


@dataclass(slots=True)
class _Line(Generic[_T]):
    """The ready tasks that need the same, the first by priority at the front of a heap."""

    needs: Needs
    tasks: list[tuple[float, int, _T]] = field(default_factory=list)
    overtaken: int = 0  # by how many, since one of them started


class Ready(Generic[_T]):
    """The ready tasks, and what is free. Used by one thread."""

    def __init__(self, slots: int, pools: Mapping[str, int]) -> None:
        """`pools` says how many units of each there are; no task asks for more."""
        self._slots = slots
        self._pools = dict(pools)
        self._free = dict(pools)
        self.taken = 0
        """The slots that are taken."""
        self._arrival = itertools.count()
        self._lines: dict[Needs, _Line[_T]] = {}
        self._heads: list[tuple[float, int, _Line[_T]]] = []  # of lines with tasks, sorted

    def add(self, task: _T, weight: float, needs: Needs = ONE_SLOT) -> Needs:
        """Add a task; the less it weighs, the sooner it starts. Return what it will take."""
        if needs.slots > self._slots:  # else it would wait for ever
            needs = Needs(self._slots, needs.units)
        line = self._lines.setdefault(needs, _Line(needs))
        with _Head(self._heads, line):
            heapq.heappush(line.tasks, (weight, next(self._arrival), task))
        return needs

    def take(self, allowed: int) -> _T | None:
        """Take the next task, as long as no more than `allowed` slots are taken; None if none fits.

        If none is taken, `allowed` does not count: one task can always start.
        """
        waiting: list[tuple[_Line[_T], set[str]]] = []
        barred: set[str] = set()  # by those that are due
        for _, _, line in self._heads:
            lacking = self._lacking(line.needs, allowed)
            if lacking:
                waiting.append((line, lacking))
                if line.overtaken >= self._slots:
                    barred |= {name for name, _ in line.needs.units} | (lacking & {SLOTS})
                if SLOTS in barred:
                    return None
            elif barred.isdisjoint(name for name, _ in line.needs.units):
                return self._start(line, waiting)
        return None

    def give_back(self, needs: Needs) -> None:
        """A task has ended that took `needs`."""
        self.taken -= needs.slots
        for name, count in needs.units:
            self._free[name] += count

    def usable(self) -> int:
        """Return how many more slots the ready tasks could take, were all slots allowed."""
        room, free = self._slots - self.taken, dict(self._free)
        for _, _, line in self._heads:
            if not room:
                break
            number = _times(line.needs, room, free, most=len(line.tasks))
            room -= number * line.needs.slots
            for name, count in line.needs.units:
                free[name] -= number * count
        return self._slots - self.taken - room

    def next(self) -> list[_T]:
        """Return the tasks that will probably start next, as many as could run at once."""
        most = min(self._slots, AHEAD)
        coming: list[tuple[float, int, _T]] = []
        for _, _, line in self._heads[:AHEAD]:
            number = _times(line.needs, self._slots, self._pools, most=most)
            # The least of a heap are near its front; sorting all of it would take too long.
            coming += heapq.nsmallest(number, line.tasks[: 4 * number])
        return [task for _, _, task in heapq.nsmallest(most, coming, key=_order)]

    def held_up(self, allowed: int) -> list[tuple[_T, Needs, tuple[str, ...]]]:
        """Return the first of each line that has to wait although a slot is free, and for what."""
        if self.taken >= min(self._slots, allowed):
            return []
        waiting = ((line, self._lacking(line.needs, allowed)) for _, _, line in self._heads)
        return [
            (line.tasks[0][2], line.needs, tuple(sorted(lacking)))
            for line, lacking in waiting
            if lacking
        ]

    def _start(self, line: _Line[_T], waiting: Iterable[tuple[_Line[_T], set[str]]]) -> _T:
        takes = {SLOTS, *(name for name, _ in line.needs.units)}
        for one, lacking in waiting:
            one.overtaken += not lacking.isdisjoint(takes)
        line.overtaken = 0
        with _Head(self._heads, line):
            task = heapq.heappop(line.tasks)[2]
        self.taken += line.needs.slots
        for name, count in line.needs.units:
            self._free[name] -= count
        return task

    def _lacking(self, needs: Needs, allowed: int) -> set[str]:
        """Return the names of what is not free for `needs`."""
        lacking = {name for name, count in needs.units if self._free[name] < count}
        if self.taken and self.taken + needs.slots > min(self._slots, allowed):
            lacking.add(SLOTS)
        return lacking


class _Head(Generic[_T]):
    """Keeps the place of a line among `heads` while its tasks change; a context manager."""

    def __init__(self, heads: list[tuple[float, int, _Line[_T]]], line: _Line[_T]) -> None:
        self._heads = heads
        self._line = line

    def __enter__(self) -> None:
        self._before = self._line.tasks[0][:2] if self._line.tasks else None

    def __exit__(self, *args: object) -> None:
        after = self._line.tasks[0][:2] if self._line.tasks else None
        if after == self._before:
            return
        if self._before is not None:
            del self._heads[bisect.bisect_left(self._heads, self._before, key=_order)]
        if after is not None:
            bisect.insort(self._heads, (*after, self._line), key=_order)


def _order(entry: tuple[float, int, object]) -> tuple[float, int]:
    return entry[:2]


def _times(needs: Needs, room: int, free: Mapping[str, int], *, most: int) -> int:
    """Return how many tasks with `needs` fit in `room` slots and what is `free`, up to `most`."""
    units = (free[name] // count for name, count in needs.units)
    return min(most, room // needs.slots, *units)


def said(needs: Needs, lacking: Iterable[str]) -> str:
    """Return what a task waits for: "waits for gpu", "waits for 4 slots and 2 of licence"."""
    counts = dict(needs.units)
    words = [
        f"{needs.slots} slots" if name == SLOTS else _shown(name, counts[name]) for name in lacking
    ]
    return f"waits for {' and '.join(words)}"


def _shown(pool: str, count: int) -> str:
    if pool == MEMORY:
        return f"{amount(count)} of memory"
    return pool if count == 1 else f"{count} of {pool}"
