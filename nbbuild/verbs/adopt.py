"""Adopt results that no run of nbbuild's made: what is there, or what was executed elsewhere."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import msgspec
from nbformat import NotebookNode

from nbbuild.errors import NbbuildError, UsageError, did_you_mean
from nbbuild.judging.verdicts import made_from
from nbbuild.model import (
    CodeCell,
    Judgement,
    Outcome,
    OutcomeKind,
    Parsed,
    Record,
    Task,
    Trace,
    Verdict,
)
from nbbuild.notebook.code import INJECTED, cell_digests, is_blank, parse, places
from nbbuild.notebook.merge import ExecutedCells, align, built_bytes, encode, executed_cells
from nbbuild.notebook.read import read
from nbbuild.notebook.skipped import is_skipped
from nbbuild.notebook.source import prepared
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.session import Session
from nbbuild.store.layout import new_record_id
from nbbuild.text.numbering import named
from nbbuild.version import __version__


class NotAdopted(NbbuildError):
    """A notebook is not the result of a task."""

    exit_status = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The result of an execution.

    `files` maps the root-relative paths of artefacts to where their bytes are now. For a pattern
    that matches none of these, the files in the tree are taken.
    """

    cells: ExecutedCells
    seconds: float = 0.0  # 0: nobody knows
    created: float | None = None  # seconds since the epoch; None is now
    files: Mapping[str, Path] = field(default_factory=dict)


def keep(
    session: Session, task: Task, judgement: Judgement, result: RunResult, *, last: Record | None
) -> tuple[Record, tuple[str, ...]]:
    """Publish `result` as that of `task`, and write the built notebook; return notes for users.

    Cells that differ from the source's keep the outputs in their place. `last` is the record of the
    last run that was watched, if there was one: what that run used counts for this result, too.
    Raises ArtefactError, and any error of reading the source or writing the store.
    """
    assert judgement.key is not None
    upstream = session.graph.upstream(task.name)
    with session.store.in_use(), session.tree.outputs_lock(task.name, upstream):
        sources = session.sources(task)  # before reading: the next build sees an edit in between
        source = prepared(
            session.root,
            task,
            language=session.inputs.language(task),
            readers=session.readers,
        )
        cells = align(source, result.cells)
        record = Record(
            id=new_record_id(judgement.key.digest),
            key=judgement.key,
            trace=_trace(session, task, last),
            task=task.name,
            source=task.source,
            cells=session.store.put(encode(cells)),
            artefacts=session.tree.adopt(task, result.files),
            created=time.time() if result.created is None else result.created,
            seconds=result.seconds,
            accepted=True,
            nbbuild=__version__,
        )
        session.store.publish(record)
        restored = session.tree.restore(task, record)
        built = built_bytes(source, cells, record)
        _, notes = session.tree.write_built(task, built, made_from(record, sources))
        session.tree.drop_failed(task)
        session.retired.unmark(task.name)
    return record, (*restored.notes, *notes)


def _trace(session: Session, task: Task, record: Record | None) -> Trace:
    """Return the trace of the run that made `record`, with its items as they are now."""
    if record is None:
        return Trace()
    own = session.validity.own(task, record.undeclared)
    return session.traces.renewed(record.trace, probe=session.inputs.probe(task), own=own.name)


# -- a notebook that was executed elsewhere ----------------------------------------------------


def adopt(
    session: Session,
    notebook: Path | str,
    *,
    target: str = "",
    artefacts: Sequence[Path | str] = (),
    validate: bool = True,
    overwrite: bool = False,
) -> Outcome:
    """Accept `notebook`, an executed .ipynb, as the result of a task, which then need not run.

    The task is `target`, or the one whose source, pair or built notebook this is. The notebook must
    hold the task's code. With `validate`, its execution counts must be those of one run from top
    to bottom, without errors that the task does not allow. Artefacts are the files in the tree
    that match the task's patterns; for a pattern that matches any of `artefacts`, only these.
    If the cache has a result already, that one stays, unless `overwrite`.

    Raises NotAdopted, UsageError, NotebookError, ArtefactError, StoreError, and any error of
    planning.
    """
    place = Path(notebook)
    task = _task(session, place, target)
    if task.source in session.project.unreadable:
        raise session.project.unreadable[task.source]
    session.check([task.name])
    executed = _executed(place)
    _check_code(session, task, executed, shown=str(notebook))
    if validate:
        _check_run(session, task, executed, shown=str(notebook))
    files = _files(session, task, [Path(path) for path in artefacts])
    judgement = session.judge().final(task.name)
    if judgement.verdict is not Verdict.RUN and not overwrite:
        kind = OutcomeKind.FRESH
        note = "the cache already has a result for it, which stays"
        return Outcome.of(
            task, kind, judgement=judgement, record=judgement.record, reasons=(), notes=(note,)
        )
    last = judgement.record or session.runs.last(task)[1]
    result = RunResult(cells=executed_cells(executed), files=files)
    record, notes = keep(session, task, judgement, result, last=last)
    session.forget()
    outcome = Outcome.of(
        task,
        OutcomeKind.REFRESHED,
        judgement=judgement,
        record=record,
        notes=("adopted", *notes),
        when=time.time(),
    )
    session.state.save_outcomes([outcome])
    return outcome


def _task(session: Session, place: Path, target: str) -> Task:
    if target:
        return session.task(target)
    path = Path(os.path.relpath(place.resolve(), session.root)).as_posix()
    tasks = [
        task for task in session.project.tasks if path in (task.source, task.built, *task.paired)
    ]
    if len(tasks) == 1:
        return tasks[0]
    if tasks:
        raise UsageError(
            f"'{path}' is the notebook of {len(tasks)} tasks",
            facts=[("tasks", ", ".join(task.name for task in tasks[:8]))],
            hint="name the task whose result it is with --target",
        )
    near = did_you_mean(
        session.here.shown(path), [session.here.shown(t.source) for t in session.project.tasks]
    )
    raise UsageError(
        f"no task has '{place}' for its source or its built notebook",
        hint=near or "name the task whose result it is with --target",
    )


def _executed(place: Path) -> NotebookNode:
    """Return the notebook at `place`, after checking that no outputs are lost."""
    shown = str(place)
    if place.suffix.lower() != ".ipynb":
        raise UsageError(
            f"'{shown}' is not an .ipynb file, and no other format holds outputs",
            hint="name the notebook that was executed",
        )
    notebook = read(Path(), shown)
    # Reading drops outputs that are not valid, since a run makes them again.
    said = [
        cell for cell in json.loads(place.read_bytes()).get("cells", []) if isinstance(cell, dict)
    ]
    for number, (before, cell) in enumerate(zip(said, notebook.cells, strict=False), 1):
        if before.get("outputs") and cell.cell_type == "code" and not cell.outputs:
            raise NotAdopted(
                f"the outputs of cell {number} of '{shown}' are not valid",
                hint="execute it again",
            )
    return notebook


def _check_code(session: Session, task: Task, notebook: NotebookNode, *, shown: str) -> None:
    """Raise NotAdopted unless `notebook` holds the code of `task`."""
    facts = difference(session, task, notebook)
    if facts:
        raise NotAdopted(
            f"'{shown}' does not hold the code of '{task.name}'",
            facts=facts,
            hint="execute the notebook as it is now, or name another task by --target",
        )


def difference(session: Session, task: Task, notebook: NotebookNode) -> tuple[tuple[str, str], ...]:
    """Return labelled facts on where `notebook` has other code than `task`; () if nowhere."""
    language = session.inputs.language(task)
    ours = _tidied(
        parse(prepared(session.root, task, language=language, readers=session.readers), task.source)
    )
    theirs = _tidied(parse(notebook, ""))
    pairs = zip(cell_digests(ours), cell_digests(theirs), strict=False)
    for number, (mine, other) in enumerate(pairs):
        if mine != other:
            here, there = _code(ours)[number], _code(theirs)[number]
            return (
                ("first difference", named(*places(ours)[number])),
                ("the source has", _told(here, there)),
                ("the notebook has", _told(there, here)),
            )
    counts = len(_code(ours)), len(_code(theirs))
    if counts[0] != counts[1]:
        return (("code cells", f"{counts[0]} in the source, {counts[1]} in the notebook"),)
    return ()


def _tidied(parsed: Parsed) -> Parsed:
    """Return `parsed` without the line end that papermill puts after its parameters."""
    cells = (
        msgspec.structs.replace(cell, source=cell.source.rstrip())
        if INJECTED in cell.tags
        else cell
        for cell in parsed.cells
    )
    return msgspec.structs.replace(parsed, cells=tuple(cells))


def _code(parsed: Parsed) -> list[CodeCell]:
    return [cell for cell in parsed.cells if not is_blank(cell.source)]


def _told(cell: CodeCell, other: CodeCell) -> str:
    """Return the first line in which `cell` differs from `other`; if none does, its tags."""
    if cell.source == other.source:
        return f"the tags {', '.join(cell.tags) or 'none'}"
    lines, others = cell.source.splitlines(keepends=True), other.source.splitlines(keepends=True)
    pairs = zip_longest(lines, others, fillvalue="")
    mine, theirs = next((mine, theirs) for mine, theirs in pairs if mine != theirs)
    if not mine:
        return "nothing more"
    line = mine.rstrip()
    return repr(mine) if line.strip() == theirs.strip() else line[:100]


def _check_run(session: Session, task: Task, notebook: NotebookNode, *, shown: str) -> None:
    """Raise NotAdopted unless `notebook` was executed once, from top to bottom, without errors."""
    allowed = bool(session.inputs.settings(task, session.inputs.parsed(task)).allow_errors)
    expected = 0
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code" or is_blank(cell.source) or is_skipped(cell):
            continue
        expected += 1
        if cell.execution_count != expected:
            found = "no execution count" if cell.execution_count is None else "the execution count"
            count = "" if cell.execution_count is None else f" {cell.execution_count}"
            raise NotAdopted(
                f"cell {number} of '{shown}' has {found}{count}, where {expected} was expected",
                facts=[("task", task.name)],
                hint="execute it once, from top to bottom in a new kernel, "
                "or use --no-validate to take it as it is",
            )
        errors = [one.ename for one in cell.outputs if one.output_type == "error"]
        if errors and not allowed and "raises-exception" not in cell.metadata.get("tags", []):
            raise NotAdopted(
                f"cell {number} of '{shown}' failed: {errors[0]}",
                facts=[("task", task.name)],
                hint="tag the cell raises-exception, set allow_errors, "
                "or use --no-validate to take it as it is",
            )


def _files(session: Session, task: Task, paths: Sequence[Path]) -> dict[str, Path]:
    """Return artefacts that a user named, by their root-relative paths."""
    found: dict[str, Path] = {}
    for place in paths:
        real = Path(os.path.realpath(place.parent)) / place.name
        path = Path(os.path.relpath(real, session.root)).as_posix()
        if not place.is_file():
            raise UsageError(f"the artefact '{place}' is not an existing file")
        if not any(matches(Pattern.parse(text), path) for text in task.artefacts):
            declared = ", ".join(f'"{text}"' for text in task.artefacts) or "none"
            raise UsageError(
                f"'{path}' is not an artefact of '{task.name}'",
                facts=[("artefacts", declared), ("declared in", task.declared_in)],
                hint=f'to declare it: artefacts = ["{path}"]'
                if not path.startswith("../")
                else "artefacts lie in the project; copy it to its place first",
            )
        found[path] = real
    return found
