"""Decide which tasks must run, and say why. Reads, never writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from nbbuild.errors import ConfigError, NbbuildError, internal, raise_all
from nbbuild.judging.declared import under
from nbbuild.judging.inputs import Inputs, MissingInput, Overlay
from nbbuild.judging.reasons import compare
from nbbuild.model import (
    NOT_RESTORED,
    ActionKey,
    Digest,
    Failure,
    Judgement,
    Outcome,
    OutcomeKind,
    Reason,
    Record,
    Task,
    Verdict,
)
from nbbuild.paths.patterns import Pattern, can_meet, escape
from nbbuild.project.graph import Graph, is_made
from nbbuild.project.project import Project
from nbbuild.watching.levels import closeness, in_words
from nbbuild.watching.traces import KnownValues


class RecordSource(Protocol):
    """What judging needs of the store."""

    def records(self, key: Digest) -> list[Record]:
        """Return the sound records of a key, newest first."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether a blob exists."""
        ...


class Keys(Protocol):
    """What judging needs of tasks' inputs; see inputs.Inputs for each method."""

    def key(self, task: Task, *, overlay: Overlay | None = None, fresh: bool = False) -> ActionKey:
        """Return the action key of `task`; raise the `NbbuildError` that prevents it."""
        ...

    def look_again(self, task: Task) -> None:
        """Look again at what upstream tasks may have changed."""
        ...

    def level(self, task: Task) -> str:
        """Return how closely to watch a run of `task`."""
        ...

    def places(self, task: Task) -> tuple[tuple[int, int | None], ...]:
        """Return position and execution count of each code cell."""
        ...


class Placed(Protocol):
    """What judging needs of the project's tree."""

    def in_order(self, task: Task, record: Record) -> bool:
        """Whether the artefacts are there as the record says."""
        ...

    def built_in_order(self, task: Task, made_from: str) -> bool:
        """Whether the built notebook is there, written from exactly this."""
        ...

    def closed_folders(self, tasks: Iterable[Task]) -> Mapping[str, str]:
        """Return the tasks' output folders that must not be written to: folder → what it is."""
        ...


FAILED_BEFORE = "failed before"
"""The kind of reason for which a known failure is not run again."""

_STATES = {
    "unreadable": "cannot be read",
    FAILED_BEFORE: "failed last time",
    NOT_RESTORED: "would have to run",
}
_OWN_FAILURES = frozenset(("error", "timeout", "died", "artefact"))


@dataclass(frozen=True, slots=True)
class Plan:
    """The verdicts on all wanted tasks, in the order in which they would run."""

    judgements: tuple[Judgement, ...]

    def __getitem__(self, name: str) -> Judgement:
        return next(judgement for judgement in self.judgements if judgement.task == name)

    @property
    def fresh(self) -> bool:
        """Whether there is nothing to do."""
        return all(judgement.verdict is Verdict.FRESH for judgement in self.judgements)

    def _repr_html_(self) -> str:
        """Return a table of its judgements, as Jupyter shows it."""
        from nbbuild.text.markup import table

        rows = [
            (one.task, one.verdict.value, "; ".join(map(str, one.reasons)))
            for one in self.judgements
        ]
        return table(("task", "verdict", "why"), rows)


class Judge:
    """Gives the verdict on one task at a time.

    `unreadable` says why a source cannot be read; `forced` names the tasks that run whatever the
    store holds; `retired` says whether a forced run has put a record's id aside; `last` returns a
    task's outcome in its last build. `elsewhere` has further records of a key, which are asked for
    only when none of the store's helps. With `skip_failed`, a task that failed with the key that it
    has now is blocked, unless it is forced. Without `may_run`, so is each that would have to run.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Keys,
        *,
        unreadable: Mapping[str, NbbuildError],
        store: RecordSource,
        tree: Placed,
        sources: Callable[[Task], Digest],
        broken: Callable[[Task, Record, KnownValues], Iterator[Reason]],
        retired: Callable[[str], bool],
        forced: Collection[str] = (),
        last: Callable[[str], Outcome | None] = lambda name: None,
        elsewhere: Callable[[Digest], Iterable[Record]] = lambda key: (),
        skip_failed: bool = False,
        may_run: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._unreadable = unreadable
        self._graph = graph
        self._inputs = inputs
        self._store = store
        self._tree = tree
        self._sources = sources
        self._broken = broken
        self._retired = retired
        self._forced = forced
        self._last = last
        self._elsewhere = elsewhere
        self._skip_failed = skip_failed
        self.may_run = may_run
        self._now = now

    def plan(
        self, names: Iterable[str], *, judged: Callable[[Judgement], None] = lambda one: None
    ) -> Plan:
        """Judge `names`, given in order, upstream tasks first, before anything runs.

        `judged` is called with each verdict at once. Raises the errors that prevent their keys (as
        `Problems`).
        """
        before: dict[str, Judgement] = {}
        seen = KnownValues()  # many notebooks use the same files and modules
        errors: dict[str, NbbuildError] = {}
        for name in names:
            try:
                before[name] = self._first(name, before, seen)
                judged(before[name])
            except MissingInput as error:
                # The task that makes it is in order, yet the file is missing: wait for its turn.
                before[name] = Judgement(name, Verdict.WAIT, (Reason("input", text=error.what),))
            except NbbuildError as error:
                errors.setdefault(str(error), error)
            except Exception as error:  # noqa: BLE001 - one bad thing stops one task
                text = f"it cannot be judged: {internal(error).what}"
                before[name] = Judgement(name, Verdict.WAIT, (Reason("internal", text=text),))
        raise_all(list(errors.values()))
        return Plan(tuple(before.values()))

    def key(self, name: str) -> ActionKey:
        """Return the key of `name` as things are now, trusting no digest taken earlier."""
        return self._inputs.key(self._graph.tasks[name], fresh=True)

    def final(self, name: str) -> Judgement:
        """Judge `name` now that all its upstream tasks are done.

        Raises the `NbbuildError` that prevents a key.
        """
        task = self._graph.tasks[name]
        self._inputs.look_again(task)
        return self._unless_failed_before(task, self._inputs.key(task), KnownValues())

    # -- before anything runs ------------------------------------------------------------------

    def _first(self, name: str, before: Mapping[str, Judgement], seen: KnownValues) -> Judgement:
        """Judge `name` by what its upstream tasks are expected to do."""
        task = self._graph.tasks[name]
        if task.source in self._unreadable:
            text = str(self._unreadable[task.source].what)
            return Judgement(name, Verdict.BLOCKED, (Reason("unreadable", task.source, text=text),))
        upstream = [before[other] for other in self._graph.upstream(name) if other in before]
        blocked = [one for one in upstream if one.verdict is Verdict.BLOCKED]
        if blocked:
            state = _STATES.get(blocked[0].reasons[0].kind, "is blocked")
            text = f"needs '{blocked[0].task}', which {state}"
            reason = Reason("upstream", blocked[0].task, text=text)
            return Judgement(name, Verdict.BLOCKED, (reason,))
        waiting = [
            one.task
            for one in upstream
            if one.verdict in (Verdict.RUN, Verdict.WAIT) or self._unknown_built(task, one)
        ]
        if waiting:
            text = f"waits for '{waiting[0]}'" + (
                f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
            )
            return Judgement(name, Verdict.WAIT, (Reason("upstream", waiting[0], text=text),))
        overlay = Overlay()
        for one in upstream:
            if one.record is not None and one.verdict is Verdict.REFRESH:
                files = {artefact.path: artefact.digest for artefact in one.record.artefacts}
                overlay.add(self._graph.tasks[one.task], files)
        return self._unless_failed_before(task, self._inputs.key(task, overlay=overlay), seen)

    def _unknown_built(self, task: Task, upstream: Judgement) -> bool:
        """Whether `task` reads the built notebook of `upstream`, which is about to be rewritten."""
        if upstream.verdict is not Verdict.REFRESH:
            return False
        built = Pattern.parse(escape(self._graph.tasks[upstream.task].built))
        return any(can_meet(Pattern.parse(text), built) for text in task.assets)

    # -- by key and records --------------------------------------------------------------------

    def _unless_failed_before(self, task: Task, key: ActionKey, seen: KnownValues) -> Judgement:
        judgement = self._by_records(task, key, seen)
        skips = self._skip_failed and task.name not in self._forced
        last = self._last(task.name) if skips else None
        if judgement.verdict is Verdict.RUN and last is not None and failed_so(last, key):
            text = f"it failed last time, and is not run again: {_message(last.failure)}"
            return Judgement(task.name, Verdict.BLOCKED, (Reason(FAILED_BEFORE, text=text),), key)
        if judgement.verdict is Verdict.RUN and not self.may_run:
            text = "; ".join(map(str, judgement.reasons[:3]))
            return Judgement(task.name, Verdict.BLOCKED, (Reason(NOT_RESTORED, text=text),), key)
        return judgement

    def _by_records(self, task: Task, key: ActionKey, seen: KnownValues) -> Judgement:
        def run(*reasons: Reason, record: Record | None = None) -> Judgement:
            return Judgement(task.name, Verdict.RUN, reasons, key, record)

        if not task.cache:
            return run(Reason("uncached", text="`cache = false`: it always runs"))
        if task.name in self._forced:
            return run(Reason("forced", text="forced to run"))
        level = closeness(self._inputs.level(task))
        nearest: tuple[Reason, ...] = ()
        for record in self._records(key.digest):
            closely = record.trace.best or record.accepted
            if closeness(record.trace.level) < level and not closely:
                text = f"its last run {in_words(record.trace.level)}"
                nearest = nearest or (Reason("trace", text=text),)
                continue
            broken = tuple(self._broken(task, record, seen))
            if not broken:
                return self._hit(task, key, record)
            if not nearest or len(broken) < len(nearest):
                nearest = broken
        last = self._last(task.name)
        if last is not None and last.key is not None and last.key.digest != key.digest:
            renewed = self._declared_since(task, last.key.digest, key, level, seen)
            if renewed is not None:
                return self._hit(task, key, renewed)
        if last is not None and last.key == key and not last.cached:
            text = "its last result was not cached"
            return run(Reason("uncached", text=": ".join([text, *last.notes[-1:]])))
        return run(*(nearest or self._why_not(task, key, seen)))

    def _records(self, key: Digest) -> Iterator[Record]:
        """Yield the records of a key that count, those of the store first."""
        seen: set[str] = set()
        for source in (self._store.records, self._elsewhere):
            for record in source(key):
                if record.id not in seen and not self._retired(record.id):
                    seen.add(record.id)
                    yield record

    def _declared_since(
        self, task: Task, before: Digest, key: ActionKey, level: int, seen: KnownValues
    ) -> Record | None:
        """Return a record of the key `before` if only inputs in its trace were declared since."""
        for record in self._store.records(before):
            closely = record.trace.best or closeness(record.trace.level) >= level
            if self._retired(record.id) or not closely:
                continue
            renewed = under(record, key)
            if renewed is not None and not any(self._broken(task, renewed, seen)):
                return renewed
        return None

    def _hit(self, task: Task, key: ActionKey, record: Record) -> Judgement:
        if task.max_age is not None and self._now() - record.created > task.max_age:
            text = f"its last run is older than max_age ({task.max_age:.0f} s)"
            return Judgement(task.name, Verdict.RUN, (Reason("max_age", text=text),), key, record)
        in_order = self._tree.in_order(task, record)
        if in_order and self._tree.built_in_order(task, made_from(record, self._sources(task))):
            return Judgement(task.name, Verdict.FRESH, (), key, record)
        if not all(self._store.has(blob) for blob in record.blobs):
            text = "its result is no longer complete in the cache"
            return Judgement(task.name, Verdict.RUN, (Reason("lost", text=text),), key)
        artefacts = bool(record.artefacts or task.artefacts) and not in_order
        text = (
            "its artefacts are missing or altered"
            if artefacts
            else "the built notebook is missing or its prose changed"
        )
        kind = "artefacts" if artefacts else "output"
        return Judgement(
            task.name, Verdict.REFRESH, (Reason(kind, task.built, text=text),), key, record
        )

    def _why_not(self, task: Task, key: ActionKey, seen: KnownValues) -> tuple[Reason, ...]:
        """Return why no record is a hit, compared with the task's last outcome if it has one."""
        last = self._last(task.name)
        if last is None or last.key is None:
            return (Reason("first", text="it has not been run yet"),)
        if last.kind is OutcomeKind.FAILED and last.key.digest == key.digest:
            return (Reason("failed", text=f"it failed last time: {_message(last.failure)}"),)
        if last.key.digest != key.digest:
            changed = compare(last.key, key, places=self._inputs.places(task))
            old = (one for one in self._store.records(last.key.digest) if one.id == last.record)
            return (*changed, *(reason for one in old for reason in self._broken(task, one, seen)))
        if last.record and self._retired(last.record):
            return (Reason("retired", text="its last result was put aside by a forced run"),)
        return (Reason("lost", text="the result of its last run is not in the cache"),)


def failed_so(last: Outcome, key: ActionKey) -> bool:
    """Whether `last` is a failure of the notebook's own, with the same key.

    What the run read undeclared is not known: a failure has no trace.
    """
    failure = last.failure
    return (
        last.kind is OutcomeKind.FAILED
        and failure is not None
        and failure.kind in _OWN_FAILURES
        and last.key is not None
        and last.key.digest == key.digest
    )


def made_from(record: Record, sources: Digest) -> str:
    """Return what identifies the parts of a built notebook: a run's record and its sources."""
    return f"{record.id} {sources}"


def _message(failure: Failure | None) -> str:
    return failure.message if failure else "unknown"


def check(
    project: Project, graph: Graph, inputs: Inputs, names: Collection[str], *, tree: Placed
) -> list[NbbuildError]:
    """Return every error that prevents building `names`, before anything runs.

    Unreadable notebooks are left out: they stop only the targets that need them.
    """
    errors: dict[str, NbbuildError] = {}
    for name in names:
        task = graph.tasks[name]
        if task.source in project.unreadable:
            continue
        for text in task.assets:
            pattern = Pattern.parse(text)
            if not inputs.asset_paths(task, pattern) and not is_made(graph, name, text):
                error = _missing_asset(task, pattern)
                errors.setdefault(str(error), error)
        try:
            inputs.check(task)
        except NbbuildError as error:
            errors.setdefault(str(error), error)
    closed = tree.closed_folders(graph.tasks[name] for name in names)
    return [*errors.values(), *(_closed_folder(folder, why) for folder, why in closed.items())]


def _closed_folder(folder: str, why: str) -> NbbuildError:
    return ConfigError(
        f"nothing can be written to '{folder}'",
        facts=[("reason", f"it is {why}")],
        hint="point [project] output and `artefacts` to folders in the project",
    )


def _missing_asset(task: Task, pattern: Pattern) -> NbbuildError:
    return ConfigError(
        f"'{pattern.text}', needed by '{task.name}', does not exist"
        if pattern.literal
        else f"no file matches '{pattern.text}', needed by '{task.name}'",
        facts=[("declared in", f"{task.declared_in}, assets")],
        hint="paths are relative to the folder of jcache.toml; if a notebook makes it, "
        "declare it there as one of its `artefacts`",
    )
