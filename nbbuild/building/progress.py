"""The outcomes of a build so far: the observer gets each, and the state keeps it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from nbbuild.errors import NbbuildError
from nbbuild.events import Ended, Observer
from nbbuild.judging.conflicts import Uses
from nbbuild.judging.verdicts import FAILED_BEFORE
from nbbuild.model import (
    NOT_RESTORED,
    Failure,
    Judgement,
    Outcome,
    OutcomeKind,
    Report,
    Task,
    Verdict,
)
from nbbuild.project.graph import Graph
from nbbuild.store import Store
from nbbuild.store.renewing import note_hit

_STOPPED = (OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED)


class Tally:
    """The outcome of each task so far; thread-safe."""

    def __init__(
        self,
        graph: Graph,
        observer: Observer,
        *,
        store: Store,
        save: Callable[[Iterable[Outcome]], None],
        unreadable: Mapping[str, NbbuildError],
        durations: Mapping[str, float],
    ) -> None:
        """`save` keeps outcomes for later builds; `durations` are seconds, from earlier ones."""
        self.observer = observer
        self.durations = durations
        self.outcomes: dict[str, Outcome] = {}
        self._failed: set[str] = set()
        self.interrupted = False
        self.problems: tuple[str, ...] = ()
        self.rendered = 0
        self.remarks: Mapping[str, tuple[str, ...]] = {}
        """Notes for users about each task, whatever its outcome."""
        self.uses = Uses(graph)
        self._store = store
        self._save = save
        self._unreadable = unreadable
        self._tasks = graph.tasks
        self._lock = threading.Lock()

    def has_failures(self, number: int | None) -> bool:
        """Whether so many tasks have failed, known failures left out; None: never."""
        return number is not None and len(self._failed) >= number

    def has_result(self, name: str) -> bool:
        """Whether this build has brought a task up to date."""
        outcome = self.outcomes.get(name)
        return outcome is not None and outcome.kind not in _STOPPED

    def keep(self, outcome: Outcome) -> bool:
        """Keep and report `outcome`; return whether tasks that need this one may go on."""
        remarks = self.remarks.get(outcome.task, ())
        if remarks:
            outcome = msgspec.structs.replace(outcome, notes=(*outcome.notes, *remarks))
        with self._lock:
            before = self.outcomes.get(outcome.task)
            if before is not None and outcome.kind is OutcomeKind.FRESH:
                return True  # judged again, and there was nothing to do
            self.outcomes[outcome.task] = outcome
            if outcome.kind is OutcomeKind.FAILED and not outcome.failed_before:
                self._failed.add(outcome.task)
            else:
                self._failed.discard(outcome.task)
        if _is_of_a_run(outcome):
            # Saved at once, so that a killed build loses no duration and no failure.
            self._save([outcome])
        self.observer(Ended(outcome))
        return outcome.kind not in _STOPPED

    def fresh(self, judgement: Judgement) -> None:
        """Keep the outcome of a task with nothing to do."""
        assert judgement.record is not None
        self.uses.note(judgement.task, judgement.record)
        note_hit(self._store, judgement.record)
        self.keep(
            Outcome.of(
                self._tasks[judgement.task],
                OutcomeKind.FRESH,
                judgement=judgement,
                record=judgement.record,
                saved=judgement.record.seconds,
                when=time.time(),
            )
        )

    def blocked(self, name: str, by: str) -> None:
        """Keep the outcome of a task that an upstream failure stopped."""
        self._block(name, (f"needs {by}, which failed",))

    def blocked_from_the_start(
        self, judgements: Sequence[Judgement], *, last: Callable[[str], Outcome | None]
    ) -> None:
        """Keep the outcomes of tasks that cannot be read, or failed before, and of what needs them.

        `last` returns a task's outcome in its last build.
        """
        for judgement in judgements:
            if judgement.verdict is not Verdict.BLOCKED:
                continue
            task = self._tasks[judgement.task]
            error = self._unreadable.get(task.source)
            if judgement.reasons[0].kind in (FAILED_BEFORE, NOT_RESTORED):
                self.keep(not_run(task, judgement, last(task.name)))
            elif error is None:
                self._block(task.name, tuple(str(reason) for reason in judgement.reasons))
            else:
                failure = Failure.of("unreadable", error)
                kind = OutcomeKind.FAILED
                self.keep(Outcome.of(task, kind, failure=failure, when=time.time()))

    def report(self, names: Sequence[str], *, seconds: float) -> Report:
        """Return the report on `names`, in order; tasks without an outcome were cancelled."""
        outcomes = tuple(
            self.outcomes.get(name) or Outcome.of(self._tasks[name], OutcomeKind.CANCELLED)
            for name in names
        )
        return Report(
            outcomes=outcomes,
            seconds=seconds,
            interrupted=self.interrupted,
            problems=self.problems,
            rendered=self.rendered,
        )

    def _block(self, name: str, reasons: tuple[str, ...]) -> None:
        kind = OutcomeKind.BLOCKED
        self.keep(Outcome.of(self._tasks[name], kind, reasons=reasons, when=time.time()))


def _is_of_a_run(outcome: Outcome) -> bool:
    """Whether `outcome` says more of its task than the one before it."""
    left = (OutcomeKind.FRESH, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED)
    return outcome.kind not in left and not outcome.not_restored


def not_run(task: Task, judgement: Judgement, last: Outcome | None) -> Outcome:
    """Return the outcome of a task that is not run: it failed in its `last` run, or nothing may."""
    if judgement.reasons[0].kind == FAILED_BEFORE and last is not None:
        return known_failure(judgement, last)
    if judgement.verdict is Verdict.REFRESH:
        why = "its result is no longer complete in the cache"
    else:
        why = str(judgement.reasons[0])
    failure = Failure(
        NOT_RESTORED,
        f"it would have to run: {why}",
        hint="run it where notebooks are executed, and bring the cache here",
    )
    return Outcome.of(
        task, OutcomeKind.FAILED, judgement=judgement, failure=failure, when=time.time()
    )


def known_failure(judgement: Judgement, last: Outcome) -> Outcome:
    """Return the outcome of a task that failed in its `last` run, and is not run again."""
    return msgspec.structs.replace(
        last,
        key=judgement.key,
        reasons=tuple(str(reason) for reason in judgement.reasons),
        notes=(),  # they were told then
        seconds=0.0,
        failed_before=True,
        when=time.time(),
    )
