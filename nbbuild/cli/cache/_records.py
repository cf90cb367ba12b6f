"""Find the records that a user means, and say what is in them."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbbuild.errors import UsageError
from nbbuild.lookup import record_named
from nbbuild.model import Record
from nbbuild.report import amount

if TYPE_CHECKING:
    from nbbuild.session import Session
    from nbbuild.store import Pruned


def folder(session: Session) -> Path:
    """Return the folder of the session's store."""
    return session.store.layout.folder.resolve()


def found(session: Session, word: str) -> Record:
    """Return the record that `word` means.

    That is an id, or the beginning of one; or a target, for the record that holds for it now, or
    else that of its last build. Raises UsageError.
    """
    begun = record_named(word, session.store.all_records())
    if begun is not None:
        return begun
    from nbbuild.project import select

    if len(select(session.project.tasks, word)) != 1:
        raise UsageError(
            f"there is no record '{word}'",
            hint="name a record as `nbbuild cache list` shows them, or one notebook",
        )
    task = session.task(word)
    record = None
    if task.source not in session.project.unreadable:
        record = session.judge().final(task.name).record
    record = record or session.last(task)[1]
    if record is None:
        raise UsageError(
            f"the cache has no record of '{task.name}'",
            hint=f"`nbbuild {shlex.quote(task.name)}` makes one",
        )
    return record


def plain(record: Record) -> dict[str, Any]:
    """Return what a user may want to know of a record, as JSON has it."""
    return {
        "record": record.id,
        "key": record.key.digest,
        "task": record.task,
        "source": record.source,
        "created": record.created,
        "seconds": record.seconds,
        "accepted": record.accepted,
        "artefacts": [
            {"path": one.path, "digest": one.digest, "bytes": one.size} for one in record.artefacts
        ],
    }


def when(seconds: float) -> str:
    """Return a time as a date, in the user's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def count(number: int, noun: str) -> str:
    """Return "1 record", "2 records"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def told(pruned: Pruned, *, dry_run: bool = False) -> str:
    """Return what pruning came to, for people."""
    verb = "would go" if dry_run else "removed"
    what = f"{count(len(pruned.records), 'record')} and {count(pruned.blobs, 'blob')}"
    text = f"{what} {verb}: {amount(pruned.freed)}; {amount(pruned.left)} left"
    if pruned.spared:
        text += f", with {count(pruned.spared, 'record')} that running builds use"
    return text


def as_data(pruned: Pruned) -> dict[str, Any]:
    """Return what pruning came to, as JSON has it."""
    return {
        "records": [{"record": one.id, "task": one.task} for one in pruned.records],
        "blobs": pruned.blobs,
        "bytes": pruned.freed,
        "left": pruned.left,
        "spared": pruned.spared,
    }
