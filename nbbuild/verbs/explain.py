"""Say in full why a task would run: each reason with old and new value, code with a diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nbbuild.judging.inputs import MissingInput
from nbbuild.judging.reasons import compare
from nbbuild.model import Digest, Judgement, Outcome, Reason, Record, Task, Trace, Verdict
from nbbuild.notebook.code import cell_digests, possible_digests
from nbbuild.notebook.merge import ExecutedCell, stored_cells
from nbbuild.session import Session


@dataclass(frozen=True, slots=True)
class Explained:
    """A reason and, for a changed cell, the lines of a unified diff."""

    reason: Reason
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The nearest result of a task in the remote cache, and why it is no hit here."""

    record: str  # its id, "" if there is none
    reasons: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one task has its verdict; `because` explains the upstream tasks that decide."""

    task: str
    source: str
    verdict: Verdict
    reasons: tuple[Explained, ...]
    because: tuple[Explanation, ...] = ()
    trace: Trace | None = None  # of the run whose result is in its place, or was last
    python: str = ""  # of this run's kernel; "" if it was not Python, or not known
    marks: tuple[str, ...] = ()  # what a user should know about the limits of the trace
    elsewhere: Elsewhere | None = None  # None: nobody asked


def explain(session: Session, target: str, *, remote: bool = False) -> tuple[Explanation, ...]:
    """Explain the verdict on each task that `target` means. Raises what planning raises.

    With `remote`, also say how the nearest result in the remote cache differs.
    """
    plan = session.plan([target])
    judged = {judgement.task: judgement for judgement in plan.judgements}
    found = [_explain(session, judged, name) for name in session.wanted([target], upstream=False)]
    if not remote:
        return tuple(found)
    return tuple(replace(one, elsewhere=_elsewhere(session, judged[one.task])) for one in found)


def _elsewhere(session: Session, judgement: Judgement) -> Elsewhere:
    from nbbuild.verbs.remote_cache import unlike

    there = unlike(session, judgement)
    if there is None:
        return Elsewhere("")
    task = session.graph.tasks[judgement.task]
    return Elsewhere(there[0], explained(session, task, there[1], None))


def _explain(session: Session, judged: dict[str, Judgement], name: str) -> Explanation:
    judgement = judged[name]
    task = session.graph.tasks[name]
    last, record = session.runs.last(task)
    reasons: tuple[Reason, ...] = judgement.reasons
    because: tuple[Explanation, ...] = ()
    if judgement.verdict is Verdict.WAIT:
        because = tuple(
            _explain(session, judged, other)
            for other in session.graph.upstream(name)
            if judged[other].verdict not in (Verdict.FRESH, Verdict.REFRESH)
        )
        reasons += _own(session, task, last)
    return Explanation(
        task=name,
        source=task.source,
        verdict=judgement.verdict,
        reasons=explained(session, task, reasons, record),
        because=because,
        trace=record.trace if record is not None else None,
        python=record.python if record is not None else "",
        marks=tuple(session.marks(judgement)),
    )


def _own(session: Session, task: Task, last: Outcome | None) -> tuple[Reason, ...]:
    """Return what changed in a waiting task itself, without its upstream files."""
    if last is None or last.key is None:
        return (Reason("first", text="it has not been run yet"),)
    try:
        key = session.inputs.key(task)
    except MissingInput:  # the task that makes it has not run yet
        return ()
    reasons = compare(last.key, key, places=session.inputs.places(task))
    return tuple(reason for reason in reasons if reason.kind != "assets")


def explained(
    session: Session, task: Task, reasons: Iterable[Reason], record: Record | None
) -> tuple[Explained, ...]:
    """Return `reasons` with the diffs of changed cells since the run of `record`."""
    reasons = tuple(reasons)
    if not any(reason.kind == "code" for reason in reasons):
        return tuple(map(Explained, reasons))
    before = _sources(session, record)
    after = dict(
        zip(
            (digest for _, digest in code_digests(session, task)),
            (cell.source for cell in session.inputs.parsed(task).cells),
            strict=True,
        )
    )
    return tuple(Explained(reason, _diff(reason, before, after)) for reason in reasons)


def _sources(session: Session, record: Record | None) -> dict[Digest, str]:
    """Return the sources of the cells of the run of `record`, by their digests in its key."""
    cells = executed(session, record) if record is not None else None
    # By content, not by place: one of them may hold the parameters.
    return {digest: cell.source for cell in cells or () for digest in possible_digests(cell.source)}


def executed(session: Session, record: Record) -> tuple[ExecutedCell, ...] | None:
    """Return the code cells that the run of `record` executed; None if the cache lost them."""
    found = stored_cells(session.store.get, record.cells)
    return None if found is None else found.cells


def code_digests(session: Session, task: Task) -> tuple[tuple[str, Digest], ...]:
    """Return ("In [1]", digest), … for the code of `task` as it is now."""
    return cell_digests(session.inputs.parsed(task), injecting=bool(task.parameters))


def _diff(reason: Reason, before: dict[Digest, str], after: dict[Digest, str]) -> tuple[str, ...]:
    if reason.kind != "code" or (reason.old and reason.old not in before):
        return ()
    old, new = before.get(reason.old, ""), after.get(reason.new, "")
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "last run", "now", "", "", 2, ""
    )
    return tuple(lines)[2:]  # the two lines of file names have no meaning here
