"""A build without kernels and without a disk, for tests and for measuring everything else.

A task is a Python function here. It gets the project's files, and its trace is what it asks of
them. Judging, order, locks, conflicts, settling and outcomes are the same as in every build.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.building.attempts.actions import Action
from nbbuild.building.attempts.attempting import Attempting
from nbbuild.building.builder import Builder
from nbbuild.building.executing import drive
from nbbuild.building.executors import Workers
from nbbuild.building.fakes import FakeAttempts, FakeKeys, Function, MemoryOutputs
from nbbuild.building.progress import Tally
from nbbuild.building.reusing import Reuse, Sources
from nbbuild.building.scheduling.turns import Again, Meetings, Turns
from nbbuild.building.settling import Settling
from nbbuild.disk.digests import digest_bytes
from nbbuild.events import Observer, Planned, silent
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.judging.inputs import InEffect
from nbbuild.judging.verdicts import Judge
from nbbuild.kernels.launch.jobserver import NoLimit
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.model import (
    CodeCell,
    Outcome,
    OutcomeKind,
    Parsed,
    Record,
    Report,
    Settings,
    Task,
    Verdict,
)
from nbbuild.project.graph import Graph, link
from nbbuild.store import MemoryStore


class _RetiredHere:
    """The records that a build puts aside, until it ends."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def retire(self, ids: Iterable[str]) -> None:
        self.ids.update(ids)

    def unmark(self, task: str) -> None:
        """Nothing is marked here."""


class _NoPairs:
    """Remembers no pairs for later builds."""

    def add(self, first: str, second: str) -> None:
        """Remember nothing."""


@dataclass(slots=True, kw_only=True)
class MemoryProject:
    """A project in memory: tasks, their functions, and files. Builds see what earlier ones left."""

    tasks: Sequence[Task]
    functions: Mapping[str, Function]
    files: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # task → a word that stands for its code
    store: MemoryStore = field(default_factory=MemoryStore)
    attempts: FakeAttempts = field(init=False)
    outputs: MemoryOutputs = field(init=False)
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # the last one of each task

    def __post_init__(self) -> None:
        self.attempts = FakeAttempts(self.functions, self.files)
        self.outputs = MemoryOutputs(self.files, self.store)

    def build(
        self,
        *,
        jobs: int = 1,
        forced: Collection[str] = (),
        most_failures: int | None = None,
        skip_failed: bool = False,
        retries: int = 0,
        cancelled: threading.Event | None = None,
        observer: Observer = silent,
    ) -> Report:
        """Bring all tasks up to date."""
        cancelled = threading.Event() if cancelled is None else cancelled
        graph = link(self.tasks, output="built")
        names = graph.sorted(graph.tasks)
        tally = Tally(
            graph, observer, store=self.store, save=self._save, unreadable={}, durations={}
        )
        retired = _RetiredHere()
        judge = Judge(
            graph,
            FakeKeys(self.files, self.versions),
            unreadable={},
            store=self.store,
            tree=self.outputs,
            sources=lambda task: digest_bytes(task.source.encode()),
            broken=self.attempts.broken,
            retired=retired.ids.__contains__,
            forced=forced,
            last=self.outcomes.get,
            skip_failed=skip_failed,
        )
        plan = judge.plan(names)
        settled = (Verdict.FRESH, Verdict.BLOCKED)
        runs = [one.task for one in plan.judgements if one.verdict not in settled]
        observer(Planned(len(names), len(runs), jobs))
        tally.blocked_from_the_start(plan.judgements, last=self.outcomes.get)
        again = Again()
        builder = self._builder(
            graph, judge, tally, again, retired, retries=retries, cancelled=cancelled
        )
        with Workers(ThreadPoolExecutor(jobs), jobs) as workers:
            drive(
                [one.task for one in plan.judgements if one.verdict is not Verdict.BLOCKED],
                graph,
                judge,
                builder,
                tally,
                workers=workers,
                tokens=NoLimit(),
                priority={},
                again=again,
                most_failures=most_failures,
            )
        return tally.report(names, seconds=0.0)

    def _builder(
        self,
        graph: Graph,
        judge: Judge,
        tally: Tally,
        again: Again,
        retired: _RetiredHere,
        *,
        retries: int,
        cancelled: threading.Event,
    ) -> Builder:
        sources = Sources(digest=lambda task: digest_bytes(task.source.encode()), read=_source)
        reuse = Reuse(store=self.store, outputs=self.outputs, sources=sources, uses=tally.uses)
        meetings = Meetings(Turns(), _NoPairs(), tally.observer)
        attempt = Attempting(
            attempts=self.attempts,
            outputs=self.outputs,
            sources=sources,
            in_effect=lambda task: _in_effect(retries),
            action=lambda task, notebook: action_of(task.name),
            last=self._last,
            forget=lambda: None,
            observer=tally.observer,
            cancelled=cancelled,
        )
        settle = Settling(
            root=Path(),
            store=self.store,
            outputs=self.outputs,
            account=self.attempts.account,
            uses=tally.uses,
            retired=retired,
            again=again,
            meetings=meetings,
            key=judge.key,
            places=lambda task: ((1, 1),),
            last=self._last,
            changed_since=lambda path, ns: True,
            ignored=lambda path: False,
        )
        return Builder(
            graph=graph,
            store=self.store,
            outputs=self.outputs,
            judge=judge,
            reuse=reuse,
            attempt=attempt,
            settle=settle,
            uses=tally.uses,
            meetings=meetings,
            retired=retired,
            broken=self.attempts.broken,
            place=lambda check, on_wait: nullcontext(),
            forget=lambda: None,
            forget_listings=lambda: None,
            observer=tally.observer,
            cancelled=cancelled,
        )

    def _save(self, outcomes: Iterable[Outcome]) -> None:
        for one in outcomes:
            if one.kind is not OutcomeKind.FRESH:
                self.outcomes[one.task] = one

    def _last(self, task: Task) -> tuple[Outcome | None, Record | None]:
        outcome = self.outcomes.get(task.name)
        if outcome is None or outcome.key is None:
            return outcome, None
        records = self.store.records(outcome.key.digest)
        return outcome, next((one for one in records if one.id == outcome.record), None)


def task_of(name: str, **more: object) -> Task:
    """Return a task called `name`."""
    return Task(name=name, source=f"{name}.ipynb", built=f"built/{name}.ipynb", **more)  # type: ignore[arg-type]


def action_of(name: str) -> Action:
    """Return the action of a task, which needs only its name here."""
    return Action(
        task=name,
        notebook=b"",
        kernel=_KERNEL,
        root=Path(),
        folder=".",
        python_path=(),
        environ={},
        allow_errors=False,
        limits=TimeLimits(),
    )


_KERNEL = Kernel(name="fake", argv=(), language="python")


def _source(task: Task) -> NotebookNode:
    return copy.deepcopy(_notebook())  # checking each takes longer than a build


@functools.cache
def _notebook() -> NotebookNode:
    return new_notebook(cells=[new_code_cell("…", id="cell")])


def _in_effect(retries: int) -> InEffect:
    parsed = Parsed(cells=(CodeCell(0, "…"),))
    return InEffect(parsed, Settings(trace=True, retries=retries), _KERNEL, None)
