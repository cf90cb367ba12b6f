"""Say why a task would run, in full: each reason with old and new value, code with a diff."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from nbbuild.inputs import MissingInput
from nbbuild.model import (
    ActionKey,
    Digest,
    Judgement,
    Outcome,
    Reason,
    Record,
    Task,
    Trace,
    Verdict,
)
from nbbuild.notebook.code import cell_digests
from nbbuild.notebook.merge import decode
from nbbuild.reasons import compare
from nbbuild.session import Session


@dataclass(frozen=True, slots=True)
class Explained:
    """A reason and, for a changed cell, the lines of a unified diff."""

    reason: Reason
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one task has its verdict; `because` explains the upstream tasks that decide."""

    task: str
    source: str
    verdict: Verdict
    reasons: tuple[Explained, ...]
    because: tuple[Explanation, ...] = ()
    trace: Trace | None = None  # of the run whose result is, or was last, in its place


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a task could declare: `key` = `values` in its [[notebook]], and why."""

    task: str
    source: str
    key: str  # artefacts, env
    values: tuple[str, ...]
    why: str


def suggest(session: Session, targets: Sequence[str] = ()) -> tuple[Suggestion, ...]:
    """Return what the last runs of `targets` (none: of all) wrote and read undeclared."""
    found: list[Suggestion] = []
    for name in session.wanted(targets, upstream=False):
        task = session.graph.tasks[name]
        record = session.last(task)[1]
        if record is None:
            continue
        written = tuple(file.path for file in record.undeclared)
        variables = tuple(one for one in record.trace.variables if one not in task.env)
        if written:
            why = "it wrote these files, which are neither kept nor restored"
            found.append(Suggestion(name, task.source, "artefacts", written, why))
        if variables:
            why = "it read these variables, whose values do not count"
            found.append(Suggestion(name, task.source, "env", variables, why))
    return tuple(found)


def explain(session: Session, target: str) -> tuple[Explanation, ...]:
    """Explain the verdict on each task that `target` means. Raises what planning raises."""
    plan = session.plan([target])
    judged = {judgement.task: judgement for judgement in plan.judgements}
    return tuple(
        _explain(session, judged, name) for name in session.wanted([target], upstream=False)
    )


def _explain(session: Session, judged: dict[str, Judgement], name: str) -> Explanation:
    judgement = judged[name]
    task = session.graph.tasks[name]
    last, record = session.last(task)
    reasons = judgement.reasons
    because: tuple[Explanation, ...] = ()
    if judgement.verdict is Verdict.WAIT:
        because = tuple(
            _explain(session, judged, other)
            for other in session.graph.upstream(name)
            if judged[other].verdict not in (Verdict.FRESH, Verdict.REFRESH)
        )
        reasons += _own(session, task, last)
    before = _sources(session, last, record)
    after = dict(_now(session, task, reasons))
    return Explanation(
        task=name,
        source=task.source,
        verdict=judgement.verdict,
        reasons=tuple(Explained(reason, _diff(reason, before, after)) for reason in reasons),
        because=because,
        trace=record.trace if record is not None else None,
    )


def _own(session: Session, task: Task, last: Outcome | None) -> tuple[Reason, ...]:
    """Return what changed in a waiting task itself, its upstream files set aside."""
    if last is None or last.key is None:
        return (Reason("first", text="it has not been run yet"),)
    try:
        key = session.inputs.key(task)
    except MissingInput:  # what is to make it has not run yet
        return ()
    return tuple(reason for reason in compare(last.key, key) if reason.kind != "assets")


def _sources(session: Session, last: Outcome | None, record: Record | None) -> dict[Digest, str]:
    """Return the sources of the last run's cells by their digests in its key."""
    if record is None:
        return {}
    data = session.store.get(record.cells)
    if data is None:
        return {}
    try:
        cells = decode(data).cells
    except ValueError:
        return {}
    return dict(zip(_digests(record.key), (cell.source for cell in cells), strict=False))


def _now(session: Session, task: Task, reasons: tuple[Reason, ...]) -> list[tuple[Digest, str]]:
    """Return the present sources of the cells by their digests, where some cell changed."""
    if not any(reason.kind == "code" for reason in reasons):
        return []
    parsed = session.inputs.parsed(task)
    return [
        (digest, cell.source)
        for (_, digest), cell in zip(
            cell_digests(parsed, injecting=bool(task.parameters)), parsed.cells, strict=True
        )
    ]


def _digests(key: ActionKey) -> list[Digest]:
    return [digest for one in key.fingerprints if one.kind == "code" for _, digest in one.items]


def _diff(reason: Reason, before: dict[Digest, str], after: dict[Digest, str]) -> tuple[str, ...]:
    if reason.kind != "code" or (reason.old and reason.old not in before):
        return ()
    old, new = before.get(reason.old, ""), after.get(reason.new, "")
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "last run", "now", "", "", 2, ""
    )
    return tuple(lines)[2:]  # the two lines of file names say nothing here
