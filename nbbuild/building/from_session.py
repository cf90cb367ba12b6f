"""Make the objects that start the kernels of a build, from an open session.

This is imported before anything is judged, so it imports nothing that executes notebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nbbuild.building.attempts.actions import visible
from nbbuild.building.attempts.preparing import Preparing, Warming, stock
from nbbuild.building.scheduling.choosing import ONE_SLOT, Needs, Shares
from nbbuild.building.supply.head_start import IsNew, Likely
from nbbuild.building.supply.parents import Parent
from nbbuild.building.supply.processes import Supply
from nbbuild.building.warming import Bounds, Warmings
from nbbuild.kernels.launch.machine import Memory, threads_each, threads_for
from nbbuild.kernels.launch.memory import most_memory
from nbbuild.kernels.wanted import Wanted
from nbbuild.kernels.warm.import_facts import ImportFacts
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.model import Parsed, Task
from nbbuild.session import Session

PARENTS_SHARE = 1 / 2
"""Of the memory that kernels may hold: what processes with packages in memory may take of it."""


def preparing_of(
    session: Session, *, threads: int, warming: Warming = stock, here: bool = True
) -> Preparing:
    """Return what makes the actions of a build in `session`'s project, executed `here` or not."""
    return Preparing(
        root=session.root,
        tasks=session.graph.tasks,
        inputs=session.inputs,
        walker=session.walker,
        environ=visible(session.environ),
        warming=warming,
        threads=threads,
        here=here,
    )


def warmings_of(
    session: Session, executing: Sequence[str], *, slots: int, supply: Supply | None = None
) -> Warmings:
    """Return what the kernels of `executing`, `slots` at once, are forked from.

    That may be what a `supply` from earlier builds has in memory.
    """
    share = threads_each(slots, len(executing))

    def loaded(installed: str, cores: int) -> Sequence[Parent]:
        threads = threads_for(cores, share)
        return () if supply is None else supply.parents(installed, threads=threads)

    most = most_memory(session.config.execution.max_memory, Memory.now())
    return Warmings(
        session.graph.tasks,
        session.inputs,
        session.runs,
        facts_of(session),
        executing,
        Bounds(slots=slots, memory=most * PARENTS_SHARE, took=session.state.durations()),
        loaded,
    )


def shares_of(session: Session) -> Shares:
    """Return the pools of `session`'s project, and what each task takes while it runs."""

    def needs(name: str) -> Needs:
        task = session.graph.tasks.get(name)
        if task is None:  # the step that renders a page
            return ONE_SLOT
        # A notebook's own metadata does not speak of cores.
        settings = session.inputs.settings(task, Parsed())
        return Needs.of(settings.cores or 1, task.resources)

    return Shares(session.config.execution.resources, needs)


def facts_of(session: Session) -> ImportFacts:
    """Return what is known of imports that are made before a fork."""
    return ImportFacts(session.memo.recall, session.memo.remember)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Likely:
    """Describes kernels of tasks that are likely to run; see head_start.Likely."""

    session: Session
    supply: Supply
    slots: int

    def forerunner(self, task: str) -> Warm | None:
        return preparing_of(self.session, threads=0).forerunner(task)

    def zygotes(self, tasks: Sequence[str]) -> Sequence[Warm]:
        warming = self._warmings(tasks)
        preparing = self._preparing(tasks, warming)
        wanted = (preparing.wanted(name) for name in (*warming.first, tasks[0]))
        found = (one.warm for one in wanted if one is not None)
        return list(dict.fromkeys(one for one in found if one is not None))

    def kernel(self, tasks: Sequence[str]) -> Wanted | None:
        return self._preparing(tasks, self._warmings(tasks)).wanted(tasks[0])

    def _warmings(self, tasks: Sequence[str]) -> Warmings:
        return warmings_of(self.session, tasks, slots=self.slots, supply=self.supply)

    def _preparing(self, tasks: Sequence[str], warming: Warmings) -> Preparing:
        threads = threads_each(self.slots, len(tasks))
        return preparing_of(self.session, warming=warming, threads=threads)


def likely_of(session: Session, supply: Supply, *, slots: int) -> Likely:
    """Return what describes the kernels of tasks that are likely to run."""
    return _Likely(session=session, supply=supply, slots=slots)


def is_new_of(session: Session) -> Callable[[Task], bool]:
    """Return the function that says which tasks have new code, and so will run."""
    if session.store.shared:  # most of what is new here was run elsewhere
        return lambda task: False
    return IsNew(
        readings=session.readings,
        unreadable=session.project.unreadable,
        parsed=session.inputs.parsed,
        last=session.state.outcome,
    )
