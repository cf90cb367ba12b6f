"""Write the report of a build: into the project's own folder, and where `[report]` says.

A build with nothing to do writes none, unless a file that `[report]` names is missing, or is about
other targets or about a failure. No build fails for its report: what goes wrong is a warning.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from nbbuild.errors import NbbuildError
from nbbuild.events import Noted
from nbbuild.judging import endings
from nbbuild.model import Failure, Outcome, OutcomeKind, Record, Report
from nbbuild.quick.uptodate import STEP_SUMMARY
from nbbuild.report.document import (
    CellRun,
    Document,
    Failed,
    Mark,
    TaskRun,
    counted,
    critical_path,
)
from nbbuild.report.formats import add_to_summary, write_files
from nbbuild.report.kept import ReportFolder, new_id
from nbbuild.report.recording import Course, Recorder
from nbbuild.session import Session
from nbbuild.version import __version__


def write(session: Session, recorder: Recorder, report: Report, targets: Sequence[str]) -> None:
    """Write the report of a build that has ended."""
    try:
        document = _document(session, recorder, report, targets)
        kept = ReportFolder(session.root)
        _attempt(recorder, "the report of this build was not kept", lambda: kept.add(document))
        wanted = session.config.report.wanted
        sources = {path for t in session.project.tasks for path in (t.source, *t.paired)}
        for problem in write_files(
            document, wanted, root=session.root, kept=kept, protected=sources
        ):
            recorder(Noted("", problem))
        place = session.environ.get(STEP_SUMMARY, "")
        if place:
            what = f"the summary was not added to {STEP_SUMMARY}"
            _attempt(recorder, what, lambda: add_to_summary(document, place))
    except Exception as error:  # noqa: BLE001 - the build itself is done
        recorder(Noted("", f"the report of this build was not written: {error!r}"))


def write_if_missing(
    session: Session, recorder: Recorder, report: Report, targets: Sequence[str]
) -> tuple[str, ...]:
    """Write the report of a build that had nothing to do, where its last one will not do.

    Return the files (absolute) that have to stay for the next such build to write none.
    """
    wanted = session.config.report.wanted
    places = tuple(str(session.root / path) for path in wanted.values())
    if session.environ.get(STEP_SUMMARY, "") or (
        places and not _stands(session, report, targets, wanted.values())
    ):
        write(session, recorder, report, targets)
    return places


def _stands(
    session: Session, report: Report, targets: Sequence[str], paths: Collection[str]
) -> bool:
    """Whether the last report is there, wherever it is wanted, and says that all is well."""
    if not all((session.root / path).is_file() for path in paths):
        return False
    last = next(ReportFolder(session.root).readable(), None)
    return (
        last is not None
        and last.exit_status == 0
        and last.targets == tuple(targets)
        and [one.task for one in last.tasks] == [one.task for one in report.outcomes]
    )


def _attempt(recorder: Recorder, what: str, work: Callable[[], None]) -> None:
    try:
        work()
    except OSError as error:
        recorder(Noted("", f"{what}: {error.strerror or error}"))


def _document(
    session: Session, recorder: Recorder, report: Report, targets: Sequence[str]
) -> Document:
    began = time.time() - report.seconds
    tasks = tuple(_task(session, recorder, outcome) for outcome in report.outcomes)
    return Document(
        id=new_id(began),
        nbbuild=__version__,
        python=platform.python_version(),
        project=session.root.name,
        targets=tuple(targets),
        began=began,
        seconds=report.seconds,
        slots=recorder.slots,
        exit_status=report.exit_status,
        interrupted=report.interrupted,
        counts=counted(tasks),
        problems=report.problems,
        tasks=tasks,
        critical_path=critical_path(tasks),
        shard=session.shard.name if session.shard else "",
        division=session.shard.division if session.shard else "",
    )


def _task(session: Session, recorder: Recorder, outcome: Outcome) -> TaskRun:
    course = recorder.courses.get(outcome.task, Course())
    begin = course.begin
    if begin is None and course.end is not None and outcome.seconds:
        begin = max(0.0, course.end - outcome.seconds)  # put back from the store
    failure = outcome.failure
    return TaskRun(
        task=outcome.task,
        source=outcome.source,
        outcome=outcome.kind.value,
        reasons=outcome.reasons,
        begin=begin,
        end=course.end if begin is not None else None,
        seconds=outcome.seconds,
        saved=outcome.saved,
        slot=course.slot,
        cells=tuple(_cells(session, course, outcome)) if course.slot is not None else (),
        failure=None if failure is None else Failed.of(failure, _source(session, outcome, failure)),
        peak_memory=outcome.peak_memory or None,
        cpu_seconds=outcome.cpu_seconds or None,
        notes=outcome.notes,
        marks=tuple(_marks(session, outcome)) if course.slot is not None else (),
        upstream=session.graph.upstream(outcome.task),
        built=outcome.built,
        record=outcome.record,
        cached=outcome.cached,
    )


def _cells(session: Session, course: Course, outcome: Outcome) -> Iterator[CellRun]:
    """Yield each cell that began, with its place in the built notebook."""
    try:
        places = session.inputs.places(session.graph.tasks[outcome.task])
    except NbbuildError:
        places = ()
    positions = {count: position for position, count in places}
    begun, spent = course.cells, outcome.cell_seconds
    for count in range(1, max(len(begun), len(spent)) + 1):
        yield CellRun(
            execution_count=count,
            position=positions.get(count),
            begin=begun[count - 1] if count <= len(begun) else None,
            seconds=spent[count - 1] if count <= len(spent) else None,
        )


def _source(session: Session, outcome: Outcome, failure: Failure) -> str:
    """Return the source of the cell in which a task failed, as its partial notebook has it."""
    if failure.cell is None or not outcome.built:
        return ""
    try:
        notebook = json.loads((session.root / outcome.built).read_bytes())
        return "".join(notebook["cells"][failure.cell]["source"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _marks(session: Session, outcome: Outcome) -> Iterator[Mark]:
    """Yield what limits the trust in the result of a notebook that executed."""
    if outcome.own:
        yield Mark("leftover", endings.rests_on(outcome.own))
    if outcome.kind is not OutcomeKind.EXECUTED or outcome.key is None:
        return
    records = session.store.records(outcome.key.digest)
    record = next((one for one in records if one.id == outcome.record), None)
    if record is None:
        return
    trace = record.trace
    if trace.hosts:
        yield Mark("network", f"it contacted {', '.join(trace.hosts[:3])}")
    if trace.exempt:
        text = f"its system calls were not watched, so that '{trace.exempt}' keeps its rights"
        yield Mark("partial", text)
    elif trace.partial:
        yield Mark("partial", f"not everything that it used was seen: {trace.partial[0]}")
    if any(_differs(record, other) for other in records if other.trace.items == trace.items):
        yield Mark("determinism", "an earlier run with the same code and inputs gave other results")


def _differs(one: Record, other: Record) -> bool:
    return (one.cells, one.artefacts) != (other.cells, other.artefacts)
