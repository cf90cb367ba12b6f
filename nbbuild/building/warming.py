"""Choose what is already loaded in the processes that the kernels of one build are forked from.

With `warm = "auto"`, the default, a few of these *parents* are chosen (parents.py). A notebook gets
one that has loaded only what the notebook itself imports. Its last trace shows what it really
imported from installed packages. Before its first run, its code shows that (foreseeing.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from nbbuild.building.attempts.actions import Warmth
from nbbuild.building.supply.foreseeing import depends_on_when, foreseen, installs
from nbbuild.building.supply.parents import LEAST, Costs, Parent, choose
from nbbuild.errors import NbbuildError
from nbbuild.interpreter.environment import Probe
from nbbuild.interpreter.imports import Import
from nbbuild.judging.inputs import Inputs
from nbbuild.judging.last_runs import LastRuns
from nbbuild.kernels.warm.import_facts import ImportCost, ImportFacts
from nbbuild.kernels.warm.nursery import UNSAFE
from nbbuild.model import Parsed, Record, Settings, Task

_UNKNOWN = ImportCost(seconds=0.2, memory=20 << 20)
"""The assumed cost of an import that was never made beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What limits the choice of parents."""

    slots: int  # notebooks that run at once
    memory: float  # bytes that all parents together may hold
    took: Mapping[str, float]  # task → the seconds that it will probably take


Loaded: TypeAlias = Callable[[str, int], Sequence[Parent]]
"""Probe digest, cores → the parents that are there already, whatever this build chooses."""


class Warmings:
    """What the kernels of `executing` are forked from; see preparing.Warming."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        inputs: Inputs,
        runs: LastRuns,
        facts: ImportFacts,
        executing: Sequence[str],
        bounds: Bounds,
        loaded: Loaded = lambda installed, cores: (),
    ) -> None:
        """`facts` are what earlier builds found out about imports."""
        self._tasks = tasks
        self._inputs = inputs
        self._runs = runs
        self._facts = facts
        self._parents: dict[str, Parent] = {}
        # A library makes its threads as it is imported, so other cores want another parent.
        alike: dict[tuple[str, int], tuple[Probe, dict[str, frozenset[Import]]]] = {}
        for name in executing:
            probe, imports = self._wanted(tasks[name])
            if probe is not None and imports:
                group = probe.digest, self._cores(tasks[name])
                alike.setdefault(group, (probe, {}))[1][name] = imports
        for (installed, cores), (probe, wanted) in alike.items():
            costs = self._costs(probe, bounds.took)
            memory = bounds.memory / len(alike)
            self._parents |= choose(wanted, costs, slots=bounds.slots, memory=memory)
            for name, imports in wanted.items():
                self._take_the_best(name, imports, loaded(installed, cores), costs)

    def __call__(self, task: Task, settings: Settings, probe: Probe | None) -> Warmth | None:
        """Return what `task`'s kernel is forked from; None if it is to be started afresh."""
        if not settings.warm or probe is None:
            return None
        if isinstance(settings.warm, tuple):
            return Warmth(Parent(tuple(Import(0, module) for module in settings.warm)))
        return Warmth(self._parents.get(task.name) if settings.warm == "auto" else None)

    def whole(self, task: str) -> tuple[str, int, Parent] | None:
        """Return a parent with all that `task` imports, after its probe's digest and its cores.

        None if that would not save enough to be worth a process.
        """
        probe, imports = self._wanted(self._tasks[task])
        if probe is None:
            return None
        costs = self._costs(probe, {})
        if costs.total(imports) < LEAST:
            return None
        order = sorted(imports, key=lambda one: (costs.rank(one), *msgspec.structs.astuple(one)))
        return probe.digest, self._cores(self._tasks[task]), Parent(tuple(order))

    def _take_the_best(
        self, task: str, imports: frozenset[Import], loaded: Sequence[Parent], costs: Costs
    ) -> None:
        """Give `task` one of the parents that are there, if it saves more than what it has."""
        fitting = [one for one in loaded if imports.issuperset(one.modules)]
        known = [self._parents[task]] if task in self._parents else []
        best = max([*known, *fitting], key=lambda one: costs.total(one.modules), default=None)
        if best is not None:
            self._parents[task] = best

    @property
    def first(self) -> tuple[str, ...]:
        """One task for each parent, beginning with the parent that saves most."""
        first: dict[tuple[Parent, int], str] = {}
        for name, parent in self._parents.items():
            first.setdefault((parent, self._cores(self._tasks[name])), name)
        return tuple(first.values())

    def _cores(self, task: Task) -> int:
        return self._inputs.settings(task, Parsed()).cores or 0

    def _costs(self, probe: Probe, took: Mapping[str, float]) -> Costs:
        installed = probe.digest

        def cost(one: Import) -> ImportCost:
            return self._facts.cost(installed, one.module) or _UNKNOWN

        return Costs(
            seconds=lambda one: cost(one).seconds,
            memory=lambda one: cost(one).memory,
            rank=lambda one: _rank(probe, one),
            took=lambda task: took.get(task, 1.0),
        )

    def _wanted(self, task: Task) -> tuple[Probe | None, frozenset[Import]]:
        """Return what may be loaded beforehand for `task`, if it has `warm = "auto"`."""
        nothing = None, frozenset[Import]()
        try:
            parsed = self._inputs.parsed(task)
            if self._inputs.settings(task, parsed).warm != "auto":
                return nothing
            probe = self._inputs.probe(task)
        except NbbuildError:
            return nothing  # reported when its turn comes
        if probe is None:
            return nothing
        sources = [cell.source for cell in parsed.cells]
        record = self._runs.last(task)[1]
        if record is None:
            found = foreseen(sources, probe.distributions)
        else:
            found = self._known(record, sources, probe)
        return probe, frozenset(one for one in found if self._can_be_loaded(one, probe))

    def _known(self, record: Record, sources: Sequence[str], probe: Probe) -> Iterator[Import]:
        """Yield the cells' imports, given what they imported in their last run."""
        tops = _imported(record)
        notices = any(map(depends_on_when, sources))
        if record.trace.set_variables != () and not notices:
            return  # nobody knows where they run
        if notices or any(installs(source, probe.distributions) for source in sources):
            every = foreseen(sources, probe.distributions)
        else:
            every = (one for source in sources for one in self._inputs.imports(source))
        yield from (one for one in every if _top(one) in tops)

    def _can_be_loaded(self, one: Import, probe: Probe) -> bool:
        top = _top(one)
        installed = top in probe.owners and top not in UNSAFE
        return installed and not self._facts.refused(probe.digest, one.module)


def _imported(record: Record) -> set[str]:
    """Return the top-level names that a run imported from installed packages."""
    installed = (item for item in record.trace.items if item.kind == "installed")
    return {top for item in installed for top in item.name.split()}


def _rank(probe: Probe, one: Import) -> int:
    """Return how many distributions a package needs, directly or not: it is loaded after them."""
    todo = list(probe.owners.get(_top(one), ()))
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += probe.requires.get(name, ())
    return len(found)


def _top(one: Import) -> str:
    return one.module.partition(".")[0]
