"""The two sides of `nbbuild diff`: the code of a run in the cache, and the code as it is now."""

from __future__ import annotations

import shlex

from nbbuild.errors import UsageError
from nbbuild.judging.reasons import compare
from nbbuild.model import ActionKey, Fingerprint, Record, Task
from nbbuild.notebook.merge import executed_cells
from nbbuild.notebook.source import prepared
from nbbuild.session import Session
from nbbuild.verbs.explain import Explained, code_digests, executed, explained


def latest(session: Session, task: Task) -> Record:
    """Return the record of the task's last run, or the newest one of its notebook in the cache.

    Raises `UsageError` if there is none.
    """
    record = session.runs.last(task)[1]
    if record is not None:
        return record
    found = [one for one in session.store.all_records() if one.source == task.source]
    if not found:
        raise UsageError(
            f"the cache has no result of '{task.name}' to compare with",
            hint=f"`nbbuild {shlex.quote(task.name)}` makes one; "
            "or name a RECORD of `nbbuild cache list`",
        )
    return max(found, key=lambda one: (one.task == task.name, one.created))


def differences(session: Session, task: Task, record: Record) -> tuple[Explained, ...]:
    """Return how the code of `task` now differs from that of the run of `record`, by cells.

    Raises `NotebookError` if the notebook cannot be read.
    """
    old = tuple(one for one in record.key.fingerprints if one.kind == "code")
    new = (Fingerprint("code", code_digests(session, task)),)
    places = session.inputs.places(task)
    reasons = compare(ActionKey("", old), ActionKey("", new), places=places)
    return explained(session, task, reasons, record)


def code_of(session: Session, record: Record) -> tuple[str, ...]:
    """Return the sources of the code cells that the run of `record` executed.

    Raises `UsageError` if the cache has lost them.
    """
    cells = executed(session, record)
    if cells is None:
        raise UsageError(
            f"the cells of record '{record.id}' are no longer in the cache",
            hint="`nbbuild diff --plain` at least shows which of them changed",
        )
    return tuple(cell.source for cell in cells)


def code_now(session: Session, task: Task) -> tuple[str, ...]:
    """Return the sources of the code cells that `task` would execute, in order."""
    language = session.inputs.language(task)
    notebook = prepared(session.root, task, language=language, readers=session.readers)
    return tuple(cell.source for cell in executed_cells(notebook).cells)
