"""Divide tasks among machines that build at the same time and share nothing.

Each shard builds its tasks with all that they need. Linked tasks stay in one shard as long as that
is no more than the shard's fair part of the work. A larger group is divided by its last tasks,
those that no other waits for; what several of them need is then built once in each of their shards.
So nothing is built twice that does not lie upstream of the last tasks of one large group, and a
last task moves to another shard only if that saves more time than is spent twice.

The largest goes first, to where the work is least (Graham's LPT rule, with a second charge for
work that is repeated). Only names and seconds decide: every machine divides in the same way.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nbbuild.project.graph import Graph


@dataclass(frozen=True, slots=True)
class Shards:
    """What each of several machines builds, in the graph's order, with all that it needs."""

    parts: tuple[tuple[str, ...], ...]

    @property
    def identity(self) -> str:
        """What only machines have in common that divide in the same way."""
        text = "\n".join("\0".join(part) for part in self.parts)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def elsewhere(self, number: int) -> tuple[str, ...]:
        """Return the tasks of shard `number`, from 0, that other shards build, too."""
        others = {name for place, part in enumerate(self.parts) if place != number for name in part}
        return tuple(name for name in self.parts[number] if name in others)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Tasks that go to one shard together, with what they need."""

    tasks: frozenset[str]
    seconds: float
    name: str


def divided(graph: Graph, names: Iterable[str], count: int, seconds: Mapping[str, float]) -> Shards:
    """Divide `names`, and what they need, into `count` shards; some are empty if there are few.

    `seconds` are those of each task's run. A task without any takes as long as the others do on
    average.
    """
    needed = graph.needed(names)
    known = [seconds[name] for name in needed if name in seconds]
    usual = math.fsum(known) / len(known) if known else 1.0
    cost = {name: seconds.get(name, usual) for name in needed}
    units = _units(graph, needed, cost, most=math.fsum(cost.values()) / count)
    loads = [0.0] * min(count, len(units))
    parts: list[set[str]] = [set() for _ in loads]
    taken: set[str] = set()
    for unit in sorted(units, key=lambda one: (-one.seconds, one.name)):
        new = [_sum(cost, unit.tasks - part) for part in parts]
        again = [_sum(cost, (unit.tasks & taken) - part) for part in parts]
        best = min(
            range(len(parts)), key=lambda at: (loads[at] + new[at] + again[at], again[at], at)
        )
        loads[best] += new[best]
        parts[best] |= unit.tasks
        taken |= unit.tasks
    empty = [set[str]()] * (count - len(parts))
    return Shards(tuple(graph.sorted(part) for part in [*parts, *empty]))


def _units(
    graph: Graph, needed: Sequence[str], cost: Mapping[str, float], *, most: float
) -> list[_Unit]:
    """Return groups of linked tasks; one that takes more than `most` seconds is divided."""
    units: list[_Unit] = []
    for group in _linked(graph, needed):
        whole = _unit(group, cost)
        if whole.seconds <= most:
            units.append(whole)
            continue
        last = [name for name in group if whole.tasks.isdisjoint(graph.downstream(name))]
        units += [_unit(graph.needed([name]), cost, name=name) for name in last]
    return units


def _unit(tasks: Sequence[str], cost: Mapping[str, float], *, name: str = "") -> _Unit:
    return _Unit(frozenset(tasks), _sum(cost, tasks), name or min(tasks))


def _linked(graph: Graph, needed: Sequence[str]) -> list[list[str]]:
    """Return the groups of tasks that are linked with each other, directly or not."""
    left = dict.fromkeys(needed)
    groups: list[list[str]] = []
    while left:
        first = next(iter(left))
        del left[first]
        group, todo = [first], [first]
        while todo:
            name = todo.pop()
            for other in (*graph.upstream(name), *graph.downstream(name)):
                if other in left:
                    del left[other]
                    group.append(other)
                    todo.append(other)
        groups.append(group)
    return groups


def _sum(cost: Mapping[str, float], names: Collection[str]) -> float:
    # `fsum` does not depend on the order, and that of a set differs from run to run.
    return math.fsum(cost[name] for name in names)
