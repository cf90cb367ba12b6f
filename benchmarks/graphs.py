"""Make graphs of thousands of tasks with durations: wide, deep, and random.

Durations are lognormal: most notebooks take seconds, some take very long. The eleven tasks of
`examples/` have a sigma of 0.5 on one machine. Projects mix more, so sigma is assumed larger here:
one notebook of a hundred takes sixteen times as long as the median.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from nbbuild.model import Task
from nbbuild.project.graph import Graph, link

MEDIAN = 10.0
"""Seconds of half of the notebooks at most."""
SIGMA = 1.2
"""Standard deviation of the logarithm of the seconds."""

SHAPES = ("wide", "deep", "random")


@dataclass(frozen=True, slots=True)
class Sample:
    """A graph, and how long each of its tasks takes."""

    graph: Graph
    seconds: dict[str, float]

    @property
    def work(self) -> float:
        """The seconds of all tasks together."""
        return sum(self.seconds.values())

    @property
    def longest(self) -> float:
        """The seconds of the longest chain of tasks that wait for each other."""
        return max(self.graph.critical(self.seconds).values())

    def least(self, slots: int) -> float:
        """Return the seconds that no schedule can go below."""
        return max(self.longest, self.work / slots)


def sample(shape: str, count: int, *, seed: int = 1) -> Sample:
    """Return a graph of `count` tasks in one of `SHAPES`."""
    dice = random.Random(f"{shape} {count} {seed}")
    tasks = [
        Task(name=f"t{n}", source=f"t{n}.ipynb", built=f"out/t{n}.ipynb", depends_on=upstream)
        for n, upstream in enumerate(_edges(shape, count, dice))
    ]
    seconds = {task.name: dice.lognormvariate(math.log(MEDIAN), SIGMA) for task in tasks}
    return Sample(link(tasks, output="out"), seconds)


def _edges(shape: str, count: int, dice: random.Random) -> Iterator[tuple[str, ...]]:
    """Yield what each task waits for: a few before all others; twenty chains; up to three."""
    first, chains = max(1, count // 100), min(20, count)
    for n in range(count):
        if shape == "wide":
            yield () if n < first else (f"t{dice.randrange(first)}",)
        elif shape == "deep":
            yield () if n < chains else (f"t{n - chains}",)
        else:
            near = range(max(0, n - 500), n)
            chosen = dice.sample(near, min(len(near), dice.choice((0, 1, 1, 2, 3))))
            yield tuple(f"t{one}" for one in sorted(chosen))
