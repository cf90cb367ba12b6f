"""`-t`: accept what is there as up to date, and run nothing."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

import msgspec

from nbbuild.building.assembly import reuse_of
from nbbuild.building.reusing import Reuse
from nbbuild.errors import NbbuildError
from nbbuild.events import Ended, Observer, Planned, silent
from nbbuild.judging.conflicts import Uses
from nbbuild.judging.verdicts import Judge
from nbbuild.model import Failure, Judgement, Outcome, OutcomeKind, Record, Report, Task, Verdict
from nbbuild.notebook.merge import executed_cells, stored_cells
from nbbuild.notebook.read import read
from nbbuild.session import Session
from nbbuild.verbs.adopt import RunResult, keep


def accept(session: Session, *, targets: Sequence[str] = (), observer: Observer = silent) -> Report:
    """Publish what is there for each task that `targets` need and that is out of date.

    The outputs are those of the task's last run, or of its built notebook; cells that changed keep
    the outputs in their place. The artefacts are the files in the tree as they are, even if they
    were altered since the cache got them; missing artefacts are put back if the cache has them. A
    task with neither fails. Raises what `build` raises.
    """
    began = time.monotonic()
    names = session.wanted(targets)
    session.check(names)
    with session.store.in_use():
        outcomes = _accept_all(session, names, observer)
    session.state.save_outcomes(one for one in outcomes if one.kind is OutcomeKind.REFRESHED)
    return Report(outcomes=tuple(outcomes), seconds=time.monotonic() - began)


def _accept_all(session: Session, names: Sequence[str], observer: Observer) -> list[Outcome]:
    judge = session.judge()
    observer(Planned(len(names), 0, 1))
    reuse = reuse_of(session, Uses(session.graph))
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    for name in names:
        task = session.graph.tasks[name]
        blockers = [other for other in session.graph.upstream(name) if other in failed]
        try:
            if task.source in session.project.unreadable:
                raise session.project.unreadable[task.source]
            if blockers:
                reasons = (f"needs {blockers[0]}, which failed",)
                outcome = Outcome.of(task, OutcomeKind.BLOCKED, reasons=reasons)
            else:
                done = _in_place(session, task, judge, reuse)
                outcome = done or _accept(session, task, judge.final(name))
        except NbbuildError as error:
            kind = "unreadable" if task.source in session.project.unreadable else "input"
            failure = Failure.of(kind, error)
            outcome = Outcome.of(task, OutcomeKind.FAILED, failure=failure)
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.BLOCKED):
            failed.add(name)
        session.forget()
        outcome = msgspec.structs.replace(outcome, when=time.time())
        outcomes.append(outcome)
        observer(Ended(outcome))
    return outcomes


def _in_place(session: Session, task: Task, judge: Judge, reuse: Reuse) -> Outcome | None:
    """Put a hit in its place; None if there is none, or the user altered its artefacts."""
    with session.tree.outputs_lock(task.name, session.graph.upstream(task.name)):
        judgement = judge.final(task.name)
        return None if _altered(session, task, judgement) else reuse(task, judgement)


def _altered(session: Session, task: Task, judgement: Judgement) -> bool:
    """Whether all artefacts of a hit exist, but differ from those in the cache."""
    record = judgement.record
    if judgement.verdict is not Verdict.REFRESH or record is None:
        return False
    ledger = session.tree.known().get(task.name)
    if ledger is not None and not ledger.finished:  # what a broken run left is not a result
        return False
    there = all((session.root / one.path).is_file() for one in record.artefacts)
    return there and not session.tree.in_order(task, record)


def _accept(session: Session, task: Task, judgement: Judgement) -> Outcome:
    if judgement.verdict is Verdict.FRESH:
        return Outcome.of(task, OutcomeKind.FRESH, judgement=judgement, record=judgement.record)
    last = judgement.record or session.runs.last(task)[1]
    record, notes = keep(session, task, judgement, _outputs(session, task, last), last=last)
    return Outcome.of(
        task,
        OutcomeKind.REFRESHED,
        judgement=judgement,
        record=record,
        notes=("accepted as it is", *notes),
    )


def _outputs(session: Session, task: Task, record: Record | None) -> RunResult:
    """Return the outputs to accept."""
    if record is not None:
        cells = stored_cells(session.store.get, record.cells)
        if cells is not None:
            return RunResult(cells=cells, seconds=record.seconds)
    if (session.root / task.built).is_file():
        return RunResult(cells=executed_cells(read(session.root, task.built)))
    raise NbbuildError(
        f"there is nothing to accept for '{task.name}': it has not been built yet",
        hint=f"run `nbbuild {shlex.quote(task.name)}`",
    )
