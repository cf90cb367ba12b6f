"""`nbbuild show TARGET`: what became of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say, table
from nbbuild.model import LOCAL, Outcome, OutcomeKind, Record, Task
from nbbuild.notebook.provenance import packages
from nbbuild.notebook.skipped import is_skipped
from nbbuild.report import amount, duration

if TYPE_CHECKING:
    from nbbuild.session import Session


@click.command(
    "show",
    cls=Verb,
    examples={
        "nbbuild show report.ipynb": "its last run, and why it failed",
        "nbbuild show --open report.ipynb": "look at the notebook itself",
    },
)
@click.argument("target", shell_complete=_completing.targets)
@click.option(
    "--traceback/--no-traceback",
    "--tb/--no-tb",
    "with_traceback",
    default=True,
    help="Show or hide the traceback of a failure. Shown by default.",
)
@click.option(
    "--open",
    "opening",
    is_flag=True,
    help="Also open the notebook: as it was built, or as far as it went.",
)
@click.option("--history", is_flag=True, help="Show what became of it in each build instead.")
@json_option
@project_options
def command(
    target: str,
    with_traceback: bool,
    opening: bool,
    history: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> int:
    """Show the last run of TARGET: outcome, seconds of each cell, traceback, artefacts, records.

    Also shows how the notebook is read, and which files it reads: those declared, and those that
    its last run used.

    --open opens a copy of the notebook with NBBUILD_VIEWER, or with the desktop's program for such
    files.

    Exit status 1 when it has not been built here yet.
    """
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        task = session.task(target)
        if history:
            return _show_history(session.root, task, as_json=as_json)
        outcome, record = session.runs.last(task)
        records = _records(session, outcome)
        reader = session.readers.label(task.source)
        root, here = session.root, session.here
        cells = _cells(session.root, outcome, record) if outcome is not None else []
    if outcome is None:
        if as_json:
            emit(None, as_json=True)
        else:
            say(f"{task.name} has not been built here yet")
        return 1
    if as_json:
        emit(
            {
                "reader": reader,
                "assets": list(task.assets),
                "discovered": discovered(record),
                "cells": cells,
                "outcome": outcome if with_traceback else _without_traceback(outcome),
                "record": record,
                "packages": packages(record) if record is not None else {},
                "records": [_plain(one) for one in records],
            }
        )
    else:
        shown = outcome if with_traceback else _without_traceback(outcome)
        emit(_text(task, shown, record, records, cells=cells, reader=reader, shown=here.shown))
    if opening:
        from nbbuild.cli._viewer import open_copy

        say(f"opened a copy: {open_copy(root / (outcome.built or task.built))}")
    return 0


def _show_history(root: Path, task: Task, *, as_json: bool) -> int:
    """Show what became of a task in the builds whose reports are kept, the newest first."""
    from nbbuild.report.kept import ReportFolder

    found = [
        (document, one)
        for document in ReportFolder(root).readable()
        for one in document.tasks
        if one.task == task.name and one.outcome != OutcomeKind.FRESH.value
    ]
    if as_json:
        emit([{"build": document.id, "task": one} for document, one in found])
    elif not found:
        say(f"no report of a build has anything about {task.name}")
    else:
        rows = [
            (
                document.id,
                _when(document.began),
                one.outcome,
                duration(one.seconds) if one.begin is not None else "",
                amount(one.peak_memory) if one.peak_memory else "",
                one.failure.message if one.failure else "; ".join(one.reasons),
            )
            for document, one in found
        ]
        header = ("build", "began", "outcome", "took", "memory", "why")
        emit(table(rows, header=header, right=(3, 4)))
    return 0 if found else 1


def _records(session: Session, outcome: Outcome | None) -> list[Record]:
    """Return the records of the last outcome's key, newest first."""
    if outcome is None or outcome.key is None:
        return []
    return session.store.records(outcome.key.digest)


def _cells(root: Path, outcome: Outcome, record: Record | None) -> list[dict[str, Any]]:
    """Return for each cell that ran its position, its execution count and its seconds.

    Positions are those of the notebook that the run left, None where that is gone.
    """
    seconds = outcome.cell_seconds or (record.cell_seconds if record else ())
    try:
        cells = json.loads((root / outcome.built).read_bytes())["cells"] if outcome.built else []
        ran = {
            cell["execution_count"]: position
            for position, cell in enumerate(cells, 1)
            if cell["cell_type"] == "code"
            and not is_skipped({**cell, "source": "".join(cell["source"])})
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        ran = {}
    return [
        {"position": ran.get(count), "execution_count": count, "seconds": spent}
        for count, spent in enumerate(seconds, 1)
    ]


def discovered(record: Record | None) -> list[str]:
    """Return the files that a run used beyond those declared, root-relative."""
    items = record.trace.items if record is not None else ()
    return sorted({item.name for item in items if item.kind == "file"})


def _without_traceback(outcome: Outcome) -> Outcome:
    if outcome.failure is None:
        return outcome
    failure = msgspec.structs.replace(outcome.failure, traceback="")
    return msgspec.structs.replace(outcome, failure=failure)


def _text(
    task: Task,
    outcome: Outcome,
    record: Record | None,
    records: list[Record],
    *,
    cells: Sequence[Mapping[str, Any]],
    reader: str,
    shown: Callable[[str], str],
) -> str:
    lines = [f"{task.name}: {outcome.kind.value}, {_when(outcome.when)}"]
    lines += [f"  built notebook: {shown(outcome.built)}"] if outcome.built else []
    lines += [f"  because: {reason}" for reason in outcome.reasons]
    lines += [f"  note: {note}" for note in outcome.notes]
    if record is not None:
        lines += _provenance(outcome, record)
        lines += [f"  artefact: {shown(one.path)} ({one.size} bytes)" for one in record.artefacts]
    lines.append(f"  reader: {reader}")
    lines += [f"  asset: {shown(text)}" for text in task.assets]
    lines += [f"  also used: {shown(path)}" for path in discovered(record)]
    if cells:
        rows = [
            (str(one["position"] or ""), f"[{one['execution_count']}]", f"{one['seconds']:.3f}")
            for one in cells
        ]
        lines.append("")
        lines += _indented(table(rows, header=("cell", "in", "seconds"), right=(0, 1, 2), indent=2))
    if outcome.failure is not None:
        lines += ["", f"  {_failure(outcome)}"]
        lines += _indented(outcome.failure.traceback)
        lines += [f"  hint: {outcome.failure.hint}"] if outcome.failure.hint else []
    if records:
        kept = [(one.id, _when(one.created), duration(one.seconds)) for one in records]
        lines.append("")
        lines += _indented(table(kept, header=("record", "created", "took"), right=(2,), indent=2))
    return "\n".join(lines)


def _provenance(outcome: Outcome, record: Record) -> list[str]:
    """Return lines on where a result came from and what it rests on."""
    took = f", in {duration(record.seconds)}" if record.seconds else ""
    when = f"{_when(record.created)}{took}"
    if outcome.kind is OutcomeKind.EXECUTED:
        came = f"executed here, {when}"
    elif record.accepted:
        came = f"accepted without a run of nbbuild's, {when}"
    else:
        came = f"restored from {_cache(outcome.origin)}; executed {when}"
    counted = [f"{name} {version}" for name, version in packages(record).items()]
    return [
        f"  result: {came}",
        f"  record: {record.id}",
        f"  key: {record.key.digest}",
        *([f"  packages: {', '.join(counted)}"] if counted else []),
    ]


def _cache(origin: str) -> str:
    return "the local cache" if origin == LOCAL else f"the remote cache {origin}"


def _failure(outcome: Outcome) -> str:
    assert outcome.failure is not None
    return f"failed: {outcome.failure.told}"


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _plain(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "key": record.key.digest,
        "created": record.created,
        "seconds": record.seconds,
        "accepted": record.accepted,
        "artefacts": [one.path for one in record.artefacts],
    }
