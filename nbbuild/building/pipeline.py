"""The build as one paragraph: check, judge, schedule, keep the outcome of each task."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from nbbuild.building import last_good
from nbbuild.building.executors import OWN
from nbbuild.building.from_session import facts_of, is_new_of, likely_of
from nbbuild.building.progress import Tally
from nbbuild.building.remarks import remarks
from nbbuild.building.rendering import Pages
from nbbuild.building.scheduling.slots import Slots, most_slots, slots_of_build
from nbbuild.building.supply.head_start import HeadStart
from nbbuild.building.supply.processes import Supply
from nbbuild.disk import locks, temporary
from nbbuild.disk.locks import Held
from nbbuild.disk.project_folder import DOT, JOBS
from nbbuild.errors import NbbuildError, StoreError
from nbbuild.events import Noted, Observer, Planned, silent
from nbbuild.export.html import Renderer
from nbbuild.judging.verdicts import Judge, Plan
from nbbuild.model import Judgement, Outcome, OutcomeKind, Report, Verdict
from nbbuild.quick.uptodate import STEP_SUMMARY
from nbbuild.report import summary
from nbbuild.report.recording import Recorder
from nbbuild.session import Session
from nbbuild.store import Limits
from nbbuild.text.quantities import amount, number_of

if TYPE_CHECKING:
    from nbbuild.building.executors import Workers
    from nbbuild.building.sharing import Sharing
    from nbbuild.export.after_build import Handed
    from nbbuild.kernels.launch.jobserver import Tokens

_NONE: Final[Mapping[str, Outcome]] = MappingProxyType({})


def build(
    session: Session,
    *,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    executor: str | None = None,
    keep_going: bool | None = None,
    max_failures: int | None = None,
    skip_known_failures: bool = False,
    force: bool = False,
    execute: bool = True,
    observer: Observer = silent,
    cancelled: threading.Event | None = None,
    supply: Supply | None = None,
    standing: Mapping[str, Outcome] = _NONE,
) -> Report:
    """Bring `targets` (none: everything) up to date and return the outcome of each task.

    The options are those of `nbbuild.build`. Failures in `standing`, by task, stand. Kernels come
    from `supply`, which stays; None: from one that ends with this. Raises what `nbbuild.build`
    raises. An interrupt, or setting `cancelled`, ends it.
    """
    began = time.monotonic()
    names = session.wanted(targets)
    observer = recorder = Recorder(observer)
    here = not execute or (executor or session.config.execution.executor) in OWN
    with (
        _slots(session, jobs, here=here) as slots,
        _supplied(session, supply, slots=slots.most, here=here) as (lent, head_start),
    ):
        head_start.guess(names if execute else (), forced=force)
        session.check(names)
        tally = _tally(session, observer, names)
        pages = Pages.of(session)
        judge = session.judge(
            forced=names if force else (), skip_failed=skip_known_failures, execute=execute
        )
        plan = judge.plan(names, judged=head_start.judged)
        todo = _open(session, plan.judgements, standing)
        idle = _is_idle(todo, pages)
        start = None if idle and not executor else _executor(session, executor, jobs, slots, here)
        session.tree.tidy()
        observer(Planned(len(names), len(_executing(judge, todo)), slots.most, tally.durations))
        _keep_blocked(session, plan.judgements, standing, tally)
        if idle or start is None:
            return _nothing_to_do(session, plan, pages, tally, targets, recorder, began=began)
        if not tally.has_failures(most := max_failures or _first_failure(session, keep_going)):
            _execute(
                session,
                judge,
                todo,
                tally,
                start=start,
                tokens=slots.tokens(lent.launcher, observer),
                supply=lent,
                pages=pages,
                most_failures=most,
                cancelled=cancelled or threading.Event(),
            )
    return _finished(session, names, tally, targets, recorder, began=began)


def report_nothing(session: Session, targets: Sequence[str]) -> None:
    """Write the report of a build for which no task was chosen."""
    _write_report(session, Recorder(silent), Report(), targets)


def _finished(
    session: Session,
    names: Sequence[str],
    tally: Tally,
    targets: Sequence[str],
    recorder: Recorder,
    *,
    began: float,
) -> Report:
    """Hand the results over, and report what became of `names`."""
    if not tally.interrupted:
        tally.problems += _export(session, names, None, recorder).problems
    report = tally.report(names, seconds=time.monotonic() - began)
    _write_report(session, recorder, report, targets)
    return report


def _first_failure(session: Session, keep_going: bool | None) -> int | None:
    """Return after how many failures nothing starts any more, None: however many."""
    going = session.config.execution.keep_going if keep_going is None else keep_going
    return None if going else 1


def _open(
    session: Session, judgements: Sequence[Judgement], standing: Mapping[str, Outcome]
) -> list[Judgement]:
    """Return the verdicts that a build may change; `judgements` are in the graph's order."""
    shut: set[str] = set()
    for one in judgements:
        needs = (one.task, *session.graph.upstream(one.task)) if standing else ()
        if one.task in standing or not shut.isdisjoint(needs):
            shut.add(one.task)
    found = (one for one in judgements if one.verdict is not Verdict.BLOCKED)
    return [one for one in found if one.task not in shut]


def _keep_blocked(
    session: Session,
    judgements: Sequence[Judgement],
    standing: Mapping[str, Outcome],
    tally: Tally,
) -> None:
    """Keep what is blocked from the start, the failures that stand, and what needs these."""
    tally.blocked_from_the_start(judgements, last=session.state.outcome)
    shut: dict[str, None] = {}
    for one in judgements if standing else ():
        by = [name for name in session.graph.upstream(one.task) if name in shut]
        if one.verdict is not Verdict.BLOCKED and one.task in standing:
            tally.keep(msgspec.structs.replace(standing[one.task], failed_before=True))
        elif one.verdict is not Verdict.BLOCKED and by:
            tally.blocked(one.task, by[0])
        if one.task in standing or by:
            shut[one.task] = None


def _tally(session: Session, observer: Observer, names: Sequence[str]) -> Tally:
    session.state.hear(lambda sentence: observer(Noted("", sentence)))
    tally = Tally(
        session.graph,
        observer,
        store=session.store,
        save=session.state.save_outcomes,
        unreadable=session.project.unreadable,
        durations=session.state.durations(),
    )
    tally.remarks = remarks(session, names)
    return tally


def _executing(judge: Judge, todo: Sequence[Judgement]) -> list[str]:
    """Return the tasks that will probably run."""
    may = (Verdict.RUN, Verdict.WAIT) if judge.may_run else ()
    return [one.task for one in todo if one.verdict in may]


def _is_idle(todo: Sequence[Judgement], pages: Pages | None) -> bool:
    """Whether there is nothing to do: all is fresh, and so are the pages rendered from it."""
    fresh = all(one.verdict is Verdict.FRESH for one in todo)
    return fresh and not (pages is not None and pages.due(one.task for one in todo))


def _execute(
    session: Session,
    judge: Judge,
    todo: Sequence[Judgement],
    tally: Tally,
    *,
    start: Callable[[], Workers],
    tokens: AbstractContextManager[Tokens],
    supply: Supply,
    pages: Pages | None,
    most_failures: int | None,
    cancelled: threading.Event,
) -> None:
    """Carry out `todo`, and keep the cache within its size."""
    temporary.sweep()
    locks.sweep(session.root / DOT / JOBS)  # the marks of attempts whose build was killed
    _say_what_is_foreign(session, tally.observer)
    with (
        session.store.in_use(),
        tokens as taken,
        _sharing(session, tally.observer) as sharing,
    ):
        work = _settle(session, todo, tally, sharing)
        # Imported here, since a build with nothing to do never needs it.
        from nbbuild.building.executing import KernelSupply, execute, forget_settled

        settled = session.graph.sorted({one.task for one in todo} - {*work})
        with start() as workers, _rendering(pages, tally, settled, cancelled):
            if workers.jobs is not None:
                forget_settled(session, todo, workers.jobs)
            # Kernels elsewhere take no memory here.
            most = session.config.execution.max_memory if workers.jobs is None else sys.maxsize
            execute(
                session,
                judge,
                work,
                tally,
                workers=workers,
                kernels=KernelSupply(supply, supply.room(most), taken),
                executing=_executing(judge, todo),
                pages=pages,
                most_failures=most_failures,
                cancelled=cancelled,
            )
        if not tally.interrupted:
            if sharing is not None:
                sharing.finish()
            _prune(session, tally.observer)


@contextmanager
def _rendering(
    pages: Pages | None, tally: Tally, settled: Sequence[str], cancelled: threading.Event
) -> Iterator[None]:
    """Have what renders ready, and keep what comes of it."""
    if pages is None:
        yield
        return
    renderer = Renderer(cancelled)
    with pages.rendered_by(renderer, settled=settled, observer=tally.observer, cancelled=cancelled):
        yield
    tally.rendered, tally.problems = pages.written, tuple(pages.problems)


def _nothing_to_do(
    session: Session,
    plan: Plan,
    pages: Pages | None,
    tally: Tally,
    targets: Sequence[str],
    recorder: Recorder,
    *,
    began: float,
) -> Report:
    """Report that all is fresh, and write down why, so that the next build knows at once."""
    names = [one.task for one in plan.judgements]
    if session.store.shared:
        # Imported here, since most projects have none.
        from nbbuild.building.sharing import make_whole

        make_whole(session, plan.judgements, tally.observer)
    for judgement in plan.judgements:
        if judgement.verdict is Verdict.FRESH:
            tally.fresh(judgement)
    handed = _export(session, names, plan, recorder)
    tally.problems = handed.problems
    report = tally.report(names, seconds=time.monotonic() - began)
    reports = _write_report(session, recorder, report, targets)
    # Of chosen tasks no words say which they are.
    if handed.rests_on is not None and session.chosen is None:
        said = summary(report)
        last_good.keep(
            session,
            plan.judgements,
            targets=targets,
            summary=said,
            remarks=[f"{task}: {text}" for task in names for text in tally.remarks.get(task, ())],
            also=(*handed.rests_on, *reports, *(pages.rests_on(names) if pages else ())),
        )
    return report


def _write_report(
    session: Session, recorder: Recorder, report: Report, targets: Sequence[str]
) -> tuple[str, ...]:
    """Write the report, unless there was nothing to do and nobody misses it.

    Return the files that have to stay for a next build with nothing to do to write none.
    """
    done = report.exit_status or any(o.kind is not OutcomeKind.FRESH for o in report.outcomes)
    wanted = session.config.report.wanted or session.environ.get(STEP_SUMMARY)
    chosen = session.chosen is not None
    if not (done or wanted or chosen):
        return ()
    from nbbuild.building import reporting

    if not (done or chosen):
        return reporting.write_if_missing(session, recorder, report, targets)
    reporting.write(session, recorder, report, targets)
    return ()


@contextmanager
def _sharing(session: Session, observer: Observer) -> Iterator[Sharing | None]:
    """Have what deals with the remote cache in this build; None if the project has none."""
    if not session.store.shared:
        yield None
        return
    # Imported here, since most projects have none.
    from nbbuild.building.sharing import Sharing

    sharing = Sharing.of(session, observer)
    try:
        yield sharing
    finally:
        if sharing is not None:
            sharing.stop()


def _settle(
    session: Session, todo: Sequence[Judgement], tally: Tally, sharing: Sharing | None
) -> list[str]:
    """Keep what is known before anything runs; return the tasks that are not settled."""
    _mark_used(session, todo)
    if sharing is not None:
        sharing.fetch(todo)
    session.keep()  # so that after a killed build not everything is read again
    session.put_away_gone(tally.observer)
    for judgement in todo:
        if judgement.verdict is Verdict.REFRESH and judgement.record is not None:
            # The undeclared files that it wrote are there, and may be read before its turn comes.
            tally.uses.note(judgement.task, judgement.record)
    settled = _settled(session, todo)
    for judgement in todo:
        if judgement.task in settled:
            tally.fresh(judgement)
    return [one.task for one in todo if one.task not in settled]


@contextmanager
def _supplied(
    session: Session, supply: Supply | None, *, slots: int, here: bool
) -> Iterator[tuple[Supply, HeadStart]]:
    """Yield where kernels come from, and what starts the first while the tasks are judged.

    It starts none unless they are wanted `here`.
    """
    own = Supply(facts_of(session), slots=slots) if supply is None else nullcontext(supply)
    with (
        own as lent,
        HeadStart(
            session.graph.tasks,
            lent.launcher,
            is_new=is_new_of(session),
            likely=likely_of(session, lent, slots=slots),
            kernels=lent.ahead,
            wanted=here,
        ) as head_start,
    ):
        yield lent, head_start


def _settled(session: Session, judgements: Sequence[Judgement]) -> set[str]:
    """Return the tasks that no run can change: fresh, and so is all that they wait for."""
    settled: set[str] = set()
    for one in judgements:
        if one.verdict is Verdict.FRESH and settled.issuperset(session.graph.upstream(one.task)):
            settled.add(one.task)
    return settled


def _mark_used(session: Session, judgements: Sequence[Judgement]) -> None:
    """Protect what this build may put back from pruning, long before its turn comes."""
    for judgement in judgements:
        task = session.graph.tasks[judgement.task]
        waits = judgement.verdict is Verdict.WAIT
        record = session.runs.last(task)[1] if waits else judgement.record
        if record is not None:
            session.store.used(record)


def _say_what_is_foreign(session: Session, observer: Observer) -> None:
    """Say once that the cache has results of another nbbuild."""
    for sentence in session.store.unsaid_foreign():
        observer(Noted("", sentence))
    count = session.store.unsaid_earlier()
    if count:
        results, them = ("a result", "it") if count == 1 else (f"{count} results", "them")
        text = f"the cache holds {results} of an older nbbuild, which this one cannot use"
        observer(Noted("", f"{text}; `nbbuild cache gc` removes {them}"))


def _prune(session: Session, observer: Observer) -> None:
    """Bring the cache back to a little under its largest size, if it is over that."""
    store, most = session.store, session.config.cache.max_size
    if not store.writable or not store.exceeds(most):
        return
    try:
        # A little under, so that this does not happen after every build.
        pruned = store.prune(Limits(max_size=most * 9 // 10), wait=False)
    except Held:  # another process is pruning
        return
    except StoreError as error:  # the build itself is done
        reasons = "".join(f": {value}" for label, value in error.facts if label == "reason")
        observer(Noted("", f"{error.what}{reasons}"))
        return
    if pruned.records:
        count = number_of(len(pruned.records), "result")
        text = f"the cache was over its max_size: removed the {count} not used for longest"
        observer(Noted("", f"{text}, {amount(pruned.freed)}"))
    if pruned.left > most:
        text = f"the cache is over its max_size, {amount(most)}: running builds use"
        observer(Noted("", f"{text} {amount(pruned.left)}; raise [cache] max_size"))


def _export(
    session: Session, names: Sequence[str], plan: Plan | None, observer: Observer
) -> Handed:
    """Hand results over to other tools, as `[export]` says.

    `plan` holds the verdicts of a build that did nothing, which are still true.
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
            return session.judge().plan(session.graph.order).judgements
        except NbbuildError:  # in a notebook that this build does not need
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


def _executor(
    session: Session, name: str | None, jobs: int | None, slots: Slots, here: bool
) -> Callable[[], Workers]:
    """Return the function that starts the executor `name`, None: the one that is configured.

    What is done `here`, for example because nothing is executed, takes one of this machine.
    Raises UsageError if there is none of that name, so call it before anything is written.
    """
    from nbbuild.building import executors

    config = session.config
    name = name or config.execution.executor
    find = executors.find(name)
    if here and name not in OWN:
        find = executors.find(OWN[0])
    configured = None if config.execution.jobs == "auto" else config.execution.jobs
    setup = executors.Setup(
        root=session.root,
        jobs=slots.most if here else jobs or configured,
        cores=slots.most,
        options=config.options_of(name),
    )
    return partial(find, setup)


def _slots(session: Session, jobs: int | None, *, here: bool) -> AbstractContextManager[Slots]:
    """Return how many tasks run at once; make's tokens are only for what runs on this machine."""
    configured = session.config.execution.jobs
    if here:
        return slots_of_build(jobs, configured, session.environ)
    return nullcontext(Slots(most_slots(jobs, configured, session.environ)))
