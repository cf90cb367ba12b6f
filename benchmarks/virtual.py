"""Let the scheduler run tasks in virtual time, and compare with plain list schedules."""

from __future__ import annotations

import heapq
import itertools
import random
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from benchmarks.graphs import Sample
from nbbuild.building.scheduling import scheduler
from nbbuild.building.scheduling.choosing import Shares
from nbbuild.project.graph import Graph


@dataclass(slots=True)
class VirtualTime(Executor):
    """Ends a task when its time has come; give `advance` to the scheduler as `upcoming`.

    The scheduler says what comes next whenever it is about to wait for the end of a task.
    """

    seconds: Mapping[str, float]
    now: float = 0.0
    most: int = 0  # that ran at once
    _running: list[tuple[float, int, Future[Any], Callable[[Any], Any], Any]] = field(
        default_factory=list
    )
    _count: itertools.count[int] = field(default_factory=itertools.count)

    def submit(self, execute: Any, /, task: Any, **_: Any) -> Future[Any]:  # type: ignore[override]
        """Begin a task."""
        future: Future[Any] = Future()
        end = self.now + self.seconds[task.name]
        heapq.heappush(self._running, (end, next(self._count), future, execute, task))
        self.most = max(self.most, len(self._running))
        return future

    def advance(self, upcoming: Sequence[str]) -> None:
        """Let the next task end."""
        self.now, _, future, execute, task = heapq.heappop(self._running)
        future.set_result(execute(task))


@dataclass(frozen=True, slots=True)
class Simulated:
    """What scheduling came to."""

    makespan: float  # virtual seconds
    cpu: float  # seconds that scheduling itself took, for all tasks
    peak: int  # bytes that it held at most; 0: not measured
    began: tuple[str, ...]  # the tasks, in order


def simulate(
    sample: Sample,
    slots: int,
    *,
    expected: Mapping[str, float] | None = None,
    shares: Shares = Shares(),  # noqa: B008 - frozen
    memory: bool = False,
) -> Simulated:
    """Schedule a sample on so many slots; `expected` are the durations by which it decides."""
    executor = VirtualTime(sample.seconds)
    began: list[str] = []
    if memory:
        tracemalloc.start()
    start = time.process_time()
    scheduler.run(
        sample.graph.order,
        sample.graph.upstream,
        up_to_date=lambda name: False,
        act=lambda name: began.append(name) or True,  # type: ignore[func-returns-value]
        blocked=lambda name, by: None,
        executor=executor,
        slots=slots,
        priority=sample.graph.critical(sample.seconds if expected is None else expected),
        upcoming=executor.advance,
        shares=shares,
    )
    cpu = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1] if memory else 0
    if memory:
        tracemalloc.stop()
    return Simulated(executor.now, cpu, peak, tuple(began))


def list_schedule(
    graph: Graph, seconds: Mapping[str, float], slots: int, priority: Mapping[str, float]
) -> float:
    """Return the makespan of the plainest list schedule: whenever a slot is free, the first."""
    lacking = {name: len(graph.upstream(name)) for name in graph.order}
    ready = [(-priority[name], name) for name in graph.order if not lacking[name]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            name = heapq.heappop(ready)[1]
            heapq.heappush(running, (now + seconds[name], name))
        now, ended = heapq.heappop(running)
        for name in graph.downstream(ended):
            lacking[name] -= 1
            if not lacking[name]:
                heapq.heappush(ready, (-priority[name], name))
    return now


def best_list_schedule(sample: Sample, slots: int) -> float:
    """Return the shortest of several: by critical path, by duration, by chance."""
    graph, dice = sample.graph, random.Random(1)
    priorities: list[Mapping[str, float]] = [graph.critical(sample.seconds), sample.seconds]
    priorities += [{name: dice.random() for name in graph.order} for _ in range(2)]
    return min(list_schedule(graph, sample.seconds, slots, one) for one in priorities)
