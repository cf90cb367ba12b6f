"""Put a task's cached result into a file of the user's choice."""

from __future__ import annotations

import shlex
from pathlib import Path

from nbbuild.disk import durable
from nbbuild.errors import NbbuildError, UsageError
from nbbuild.model import Record, Task
from nbbuild.notebook.merge import alone, built_bytes, executed_cells, stored_cells
from nbbuild.notebook.source import prepared
from nbbuild.notebook.write import to_bytes
from nbbuild.session import Session


class NotCached(NbbuildError):
    """The cache holds no result for the present state of a task."""

    exit_status = 1


def merged(session: Session, task: Task) -> bytes:
    """Return the built notebook of `task` from its hit in the store.

    Raises `NotCached` if there is none, and any error of planning.
    """
    if task.source in session.project.unreadable:
        raise session.project.unreadable[task.source]
    session.check([task.name])
    record = session.judge().final(task.name).record
    built = built_from(session, task, record) if record is not None else None
    if built is None:
        name = shlex.quote(task.name)
        raise NotCached(
            f"the cache has no result for '{task.name}' as it is now",
            hint=f"`nbbuild {name}` makes one; `nbbuild explain {name}` says why not",
        )
    return built


def built_from(session: Session, task: Task, record: Record) -> bytes | None:
    """Return the built notebook of `task` from `record`; None if the store lacks its cells."""
    cells = stored_cells(session.store.get, record.cells)
    if cells is None:
        return None
    language = session.inputs.language(task)
    source = prepared(session.root, task, language=language, readers=session.readers)
    return built_bytes(source, cells, record)


def of_record(session: Session, record: Record) -> tuple[bytes, bool]:
    """Return the notebook that `record` made, and whether it has the source's prose.

    It has the prose if the source still exists and its code is still what ran. Otherwise the
    notebook has only the code cells. Raises `NotCached` if the cells are not in the store.
    """
    cells = stored_cells(session.store.get, record.cells)
    if cells is None:
        raise NotCached(
            f"the cells of the record '{record.id}' are no longer in the cache",
            hint="`nbbuild cache verify` finds what else is damaged",
        )
    task = session.graph.tasks.get(record.task)
    if task is not None and task.source not in session.project.unreadable:
        source = prepared(
            session.root,
            task,
            language=session.inputs.language(task),
            readers=session.readers,
        )
        if [cell.source for cell in executed_cells(source).cells] == [
            cell.source for cell in cells.cells
        ]:
            return built_bytes(source, cells, record), True
    return to_bytes(alone(cells, record)), False


def write_out(session: Session, data: bytes, out: Path, *, force: bool) -> None:
    """Write `data` to the .ipynb `out`; over a file only with `force`, never over a source."""
    if out.suffix.lower() != ".ipynb":
        raise UsageError(
            f"'{out}' is not an .ipynb file, the only format that holds outputs",
            hint=f"write '{out.with_suffix('.ipynb')}', and convert that with Jupytext or nbconvert"
            if out.name.strip(".")
            else "name a file that ends with .ipynb",
        )
    sources = {
        (session.root / path).resolve()
        for task in session.project.tasks
        for path in (task.source, *task.paired)
    }
    if out.resolve() in sources:
        raise UsageError(
            f"'{out}' is a source notebook, which is never overwritten",
            hint="write to another file",
        )
    if out.exists() and not force:
        raise UsageError(f"'{out}' exists", hint="choose another file, or use --force")
    out.parent.mkdir(parents=True, exist_ok=True)
    durable.write(out, data)
