"""Choose what is loaded in the processes that the kernels of one build are forked from.

A *parent* has imported packages that several notebooks need. It is forked from another parent, its
stem, which has some of them, or from the process that has only ipykernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from nbbuild.interpreter.imports import Import

PARENTS = 5
"""The most processes with packages in memory, for one build."""

START = 0.05
"""Seconds that a parent costs besides its imports: it is forked, and forks from more memory."""

ENOUGH = 60
"""The most different sets of imports to look at: those that take most time over all their tasks."""

LEAST = 0.1
"""Seconds that a parent has to save in total to be worth a process."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A process that has `modules` in memory, in this order; the first ones are its stem's."""

    modules: tuple[Import, ...]
    stem: Parent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What each import costs by itself, once what it needs of the others is imported.

    `rank` gives the order of imports: what others need comes first. `took` is about how
    long a task takes: its last run, which may have made the imports itself.
    """

    seconds: Callable[[Import], float]
    memory: Callable[[Import], int] = lambda one: 0  # bytes
    rank: Callable[[Import], int] = lambda one: 0
    took: Callable[[str], float] = lambda task: 1.0  # seconds

    def total(self, imports: Iterable[Import]) -> float:
        """Return the seconds that all of `imports` cost."""
        return sum(map(self.seconds, imports))


def choose(
    wanted: Mapping[str, frozenset[Import]],
    costs: Costs,
    *,
    slots: int = 1,
    limit: int = PARENTS,
    memory: float = float("inf"),
) -> dict[str, Parent]:
    """Choose up to `limit` sets of imports, and for each task one that has only its own imports.

    A set is chosen for what it saves: the seconds that its tasks need not spend on imports, minus
    the seconds to load what no other parent has in memory. So a set that serves a single task is
    chosen only as a step on the way to others. A set is never chosen if its tasks, `slots` at once,
    would have ended before it is ready. Together the parents hold at most `memory` bytes. They come
    in the order in which they were chosen: the one that saves most comes first.
    """
    choice = _Choice(wanted, costs, slots)
    heaviest = choice.heaviest
    candidates = sorted({one & other for one in heaviest for other in heaviest}, key=_words)
    for _ in range(limit):
        open_to = [one for one in candidates if choice.memory_with(one) <= memory]
        best = max(open_to, key=choice.gain, default=None)
        if best is None or choice.gain(best) < LEAST:
            break
        choice.take(best)
    return choice.parents()


class _Choice:
    """The sets chosen so far, and which task gets which."""

    def __init__(self, wanted: Mapping[str, frozenset[Import]], costs: Costs, slots: int) -> None:
        self._costs = costs
        self._slots = slots
        self._chosen: list[frozenset[Import]] = []
        self._tasks: dict[frozenset[Import], list[str]] = {}  # by what they import
        for name, imports in wanted.items():
            self._tasks.setdefault(imports, []).append(name)
        self._of_each = {one: costs.seconds(one) for imports in self._tasks for one in imports}
        weights = {one: len(tasks) * self._seconds(one) for one, tasks in self._tasks.items()}
        self.heaviest = sorted(weights, key=lambda one: (-weights[one], _words(one)))[:ENOUGH]
        """The sets of imports that decide what is chosen."""
        self._given: dict[frozenset[Import], frozenset[Import]] = {}

    def gain(self, one: frozenset[Import]) -> float:
        """Return the seconds saved if this set is chosen as well."""
        served = self._served(one, self.heaviest)
        ready = START + self._seconds(self._to_load(one))
        alone = sum(
            self._costs.took(task) + self._seconds(imports)
            for imports in served
            for task in self._tasks[imports]
        )
        if alone <= ready * self._slots:
            return 0.0
        saved = sum(
            len(self._tasks[imports]) * self._seconds(one - self._given.get(imports, frozenset()))
            for imports in served
        )
        return saved - ready

    def memory_with(self, one: frozenset[Import]) -> int:
        """Return the bytes that all parents hold if this set is chosen as well."""
        total, loaded = 0, list[frozenset[Import]]()
        for each in sorted([*self._chosen, one], key=len):
            stem = _largest(known for known in loaded if known < each)
            total += sum(map(self._costs.memory, each - stem))
            loaded.append(each)
        return total

    def take(self, one: frozenset[Import]) -> None:
        """Choose a set."""
        self._given.update(dict.fromkeys(self._served(one, self._tasks), one))
        self._chosen.append(one)

    def parents(self) -> dict[str, Parent]:
        """Return the parent of each task that has one."""
        given = set(self._given.values())
        # A set that lost all its tasks to others may still be what several of those share.
        used = [one for one in self._chosen if one in given or sum(one < s for s in given) > 1]
        made: dict[frozenset[Import], Parent] = {}
        for one in sorted(used, key=len):
            stem = made.get(_largest(known for known in made if known < one))
            first = stem.modules if stem is not None else ()
            rest = sorted(one.difference(first), key=self._order)
            made[one] = Parent((*first, *rest), stem)
        by_use = sorted(self._given.items(), key=lambda pair: self._chosen.index(pair[1]))
        return {name: made[one] for imports, one in by_use for name in self._tasks[imports]}

    def _served(
        self, one: frozenset[Import], wants: Iterable[frozenset[Import]]
    ) -> list[frozenset[Import]]:
        """Return those of `wants` for which this set is better than the one they have now."""
        seconds = self._seconds(one)
        return [
            imports
            for imports in wants
            if one <= imports and seconds > self._seconds(self._given.get(imports, frozenset()))
        ]

    def _to_load(self, one: frozenset[Import]) -> frozenset[Import]:
        """Return the imports that this set adds to those that are made anyway."""
        if any(one < chosen for chosen in self._chosen):
            return frozenset()  # a step on the way
        return one - _largest(chosen for chosen in self._chosen if chosen < one)

    def _seconds(self, imports: Iterable[Import]) -> float:
        return sum(map(self._of_each.__getitem__, imports))

    def _order(self, one: Import) -> tuple[object, ...]:
        return self._costs.rank(one), *msgspec.structs.astuple(one)


def _largest(sets: Iterable[frozenset[Import]]) -> frozenset[Import]:
    return max(sets, key=lambda one: (len(one), _words(one)), default=frozenset())


def _words(imports: Iterable[Import]) -> list[tuple[object, ...]]:
    return sorted(msgspec.structs.astuple(one) for one in imports)
