"""The build as one paragraph: check, judge, schedule, keep what became of each task."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbbuild import basis
from nbbuild.conflicts import Uses
from nbbuild.errors import NbbuildError, StoreError
from nbbuild.events import Ended, Noted, Observer, Planned, silent
from nbbuild.locks import Held
from nbbuild.model import Failure, Judgement, Outcome, OutcomeKind, Report, Verdict
from nbbuild.report import amount, summary
from nbbuild.session import Session
from nbbuild.store import Limits
from nbbuild.verdicts import Judge, Plan

if TYPE_CHECKING:
    from nbbuild.executors import Workers
    from nbbuild.export.after_build import Handed


def build(
    session: Session,
    *,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    executor: str | None = None,
    keep_going: bool | None = None,
    force: bool = False,
    observer: Observer = silent,
    cancelled: threading.Event | None = None,
) -> Report:
    """Bring `targets` (none: everything) up to date and return what became of each task.

    `jobs` notebooks run at once (None: as configured). Without `keep_going` nothing starts after a
    failure. With `force` everything that the targets need runs. Raises `UsageError`,
    `ConfigError`, `KernelError` before anything runs or is written, `StoreError` when the cache
    fails. An interrupt, or `cancelled` once it is set, ends all kernels; the report then says
    `interrupted`.
    """
    began = time.monotonic()
    execution = session.config.execution
    going = execution.keep_going if keep_going is None else keep_going
    names = session.wanted(targets)
    session.check(names)
    judge = session.judge(forced=names if force else ())
    plan = judge.plan(names)
    ledger = _Ledger(session, observer, durations=session.state.durations())
    slots = cores() if (wanted := jobs or execution.jobs) == "auto" else int(wanted)
    todo = [one for one in plan.judgements if one.verdict is not Verdict.BLOCKED]
    idle = all(one.verdict is Verdict.FRESH for one in todo)
    # Asked before anything is written: there may be no such executor.
    start = _executor(executor or execution.executor) if executor or not idle else None
    observer(Planned(len(names), _executions(plan), slots, ledger.durations))
    ledger.blocked_from_the_start(plan.judgements)
    if idle or start is None:
        for judgement in todo:
            ledger.fresh(judgement)
        handed = _export(session, names, plan, observer)
        ledger.problems = handed.problems
        report = ledger.report(names, seconds=time.monotonic() - began)
        if handed.rests_on is not None:
            said = summary(report)
            basis.keep(
                session, plan.judgements, targets=targets, summary=said, also=handed.rests_on
            )
        return report
    elif going or not ledger.outcomes:
        with session.store.in_use():
            _mark_used(session, todo)
            session.keep()  # before anything runs: a build that is killed need not read all again
            session.put_away_gone(observer)
            for judgement in todo:
                if judgement.verdict is Verdict.REFRESH and judgement.record is not None:
                    # What it wrote undeclared lies there, whoever reads it before its turn comes.
                    ledger.uses.note(judgement.task, judgement.record)
            settled = _settled(session, todo)
            for judgement in todo:
                if judgement.task in settled:
                    ledger.fresh(judgement)
            work = [one.task for one in todo if one.task not in settled]
            stop = threading.Event() if cancelled is None else cancelled
            runs = (Verdict.RUN, Verdict.WAIT)
            executing = [one.task for one in todo if one.verdict in runs]
            _execute(session, judge, work, ledger, start(slots), going, stop, executing)
            if not ledger.interrupted:
                _prune(session, observer)
    if not ledger.interrupted:
        ledger.problems = _export(session, names, None, observer).problems
    return ledger.report(names, seconds=time.monotonic() - began)


def _settled(session: Session, judgements: Sequence[Judgement]) -> set[str]:
    """Return the tasks that no run of this build can change: fresh, and all that they wait for."""
    settled: set[str] = set()
    for one in judgements:
        if one.verdict is Verdict.FRESH and settled.issuperset(session.graph.upstream(one.task)):
            settled.add(one.task)
    return settled


def _mark_used(session: Session, judgements: Sequence[Judgement]) -> None:
    """Have nobody prune what this build may put back, long before its turn comes."""
    for judgement in judgements:
        task = session.graph.tasks[judgement.task]
        waits = judgement.verdict is Verdict.WAIT
        record = session.last(task)[1] if waits else judgement.record
        if record is not None:
            session.store.used(record)


def _prune(session: Session, observer: Observer) -> None:
    """Bring the cache back to a little under its greatest size, if it is past that."""
    store, most = session.store, session.config.cache.max_size
    if not store.writable or not store.exceeds(most):
        return
    try:
        # A little under: so that this does not come after each build.
        pruned = store.prune(Limits(max_size=most * 9 // 10), wait=False)
    except Held:  # somebody else is at it
        return
    except StoreError as error:  # the build is done all the same
        reasons = "".join(f": {value}" for label, value in error.facts if label == "reason")
        observer(Noted("", f"{error.what}{reasons}"))
        return
    if pruned.records:
        count = f"{len(pruned.records)} result{'s' * (len(pruned.records) > 1)}"
        text = f"the cache was past its max_size: {count} not used for longest went"
        observer(Noted("", f"{text}, {amount(pruned.freed)}"))
    if pruned.left > most:
        text = f"the cache is past its max_size, {amount(most)}: running builds use"
        observer(Noted("", f"{text} {amount(pruned.left)}; let [cache] max_size be larger"))


def _export(
    session: Session, names: Sequence[str], plan: Plan | None, observer: Observer
) -> Handed:
    """Hand results over to other tools, as `[export]` says.

    `plan` is what still holds after a build that did nothing.
    """
    from nbbuild.export import after_build

    if not session.config.export.wanted:
        return after_build.Handed()
    tasks = session.graph.tasks
    whole = len(names) == len(tasks)

    def judged() -> Sequence[Judgement]:
        if plan is not None and whole:
            return plan.judgements
        try:
            return session.judge().plan(session.wanted(())).judgements
        except NbbuildError:  # of a notebook that this build does not need
            return session.judge().plan(names).judgements

    try:
        return after_build.export_all(
            session,
            judged() if plan is None else plan.judgements,
            everything=judged,
            only=None if whole else {tasks[name].source for name in names},
            observer=observer,
        )
    except NbbuildError as error:
        problems = (f"nothing was exported: {error}",)
        return after_build.Handed(problems=problems, rests_on=None)


def _executor(name: str) -> Callable[[int], Workers]:
    """Return what starts the executor `name`; raise UsageError when there is none."""
    from nbbuild import executors

    return executors.find(name)


def _execute(
    session: Session,
    judge: Judge,
    names: Sequence[str],
    ledger: _Ledger,
    workers: Workers,
    keep_going: bool,
    cancelled: threading.Event,
    executing: Sequence[str],
) -> None:
    """Hand `names` to the scheduler; return when none of them runs any more."""
    # What a build with nothing to do never needs is imported here: doit, nbformat, nbclient.
    from nbbuild import scheduler
    from nbbuild.builder import Builder
    from nbbuild.kernels.process import Launcher
    from nbbuild.warming import Warmings

    with workers.executor, Launcher() as launcher:
        builder = Builder(
            session=session,
            judge=judge,
            launcher=launcher,
            observer=ledger.observer,
            cancelled=cancelled,
            uses=ledger.uses,
            warming=Warmings(session, executing),
        )

        def up_to_date(name: str) -> bool:
            try:
                judgement = judge.final(name)
            except NbbuildError:  # the builder meets it again and makes an outcome of it
                return False
            if judgement.verdict is Verdict.FRESH:
                ledger.fresh(judgement)
            return judgement.verdict is Verdict.FRESH

        def act(name: str) -> bool:
            return ledger.keep(builder.build(name))

        try:
            scheduler.run(
                names,
                session.graph,
                up_to_date=up_to_date,
                act=act,
                blocked=ledger.blocked,
                executor=workers.executor,
                slots=workers.slots,
                # One at a time, the listed order is as quick as any and easier to follow.
                priority=session.graph.critical(ledger.durations) if workers.slots > 1 else {},
                keep_going=keep_going,
                stop=cancelled.is_set,
                abort=cancelled.set,
            )
        except KeyboardInterrupt:
            ledger.interrupted = True
        ledger.interrupted = ledger.interrupted or cancelled.is_set()


class _Ledger:
    """What became of each task so far: told to the observer, and kept in the state at once."""

    def __init__(
        self, session: Session, observer: Observer, *, durations: Mapping[str, float]
    ) -> None:
        self.observer = observer
        self.durations = durations
        self.outcomes: dict[str, Outcome] = {}
        self.interrupted = False
        self.problems: tuple[str, ...] = ()
        self.uses = Uses(session.graph)
        self._session = session
        self._tasks = session.graph.tasks
        self._lock = threading.Lock()

    def keep(self, outcome: Outcome) -> bool:
        """Keep and tell `outcome`; return whether tasks that need this one may go on."""
        with self._lock:
            self.outcomes[outcome.task] = outcome
        if outcome.kind not in (OutcomeKind.FRESH, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED):
            # At once, not at the end: a build that is killed loses no duration and no failure.
            self._session.state.save_outcomes([outcome])
        self.observer(Ended(outcome))
        return outcome.kind not in (OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED)

    def fresh(self, judgement: Judgement) -> None:
        """Keep that there was nothing to do for a task."""
        assert judgement.record is not None
        self.uses.note(judgement.task, judgement.record)
        self._session.store.used(judgement.record)
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
        """Keep that an upstream failure stopped a task."""
        self._block(name, (f"needs {by}, which failed",))

    def blocked_from_the_start(self, judgements: Sequence[Judgement]) -> None:
        """Keep the tasks whose notebook, or one that they need, cannot be read."""
        for judgement in judgements:
            if judgement.verdict is not Verdict.BLOCKED:
                continue
            task = self._tasks[judgement.task]
            error = self._session.project.unreadable.get(task.source)
            if error is None:
                self._block(task.name, tuple(str(reason) for reason in judgement.reasons))
            else:
                failure = Failure.of("unreadable", error)
                kind = OutcomeKind.FAILED
                self.keep(Outcome.of(task, kind, failure=failure, when=time.time()))

    def report(self, names: Sequence[str], *, seconds: float) -> Report:
        """Return the report on `names`, in order; what has no outcome yet was cancelled."""
        outcomes = tuple(
            self.outcomes.get(name) or Outcome.of(self._tasks[name], OutcomeKind.CANCELLED)
            for name in names
        )
        return Report(
            outcomes=outcomes,
            seconds=seconds,
            interrupted=self.interrupted,
            problems=self.problems,
        )

    def _block(self, name: str, reasons: tuple[str, ...]) -> None:
        kind = OutcomeKind.BLOCKED
        self.keep(Outcome.of(self._tasks[name], kind, reasons=reasons, when=time.time()))


def _executions(plan: Plan) -> int:
    """Return how many tasks will, or may, execute."""
    return sum(one.verdict in (Verdict.RUN, Verdict.WAIT) for one in plan.judgements)


def cores() -> int:
    """Return the cores that this process may use: its affinity, and its container's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return max(1, available or 1)
    limit = available or 1 if quota == "max" else int(quota) // int(period)
    return max(1, min(available or 1, limit))
