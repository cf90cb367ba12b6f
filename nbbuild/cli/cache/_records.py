"""Find the records that a user means, and say what is in them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbbuild.errors import UsageError
from nbbuild.model import Record
from nbbuild.report import amount
from nbbuild.store.choosing import record_named
from nbbuild.text.quantities import number_of

if TYPE_CHECKING:
    from nbbuild.session import Session
    from nbbuild.store import Earlier, Pruned


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
    if len(session.targets.find(word)) != 1:
        raise UsageError(
            f"there is no record '{word}'",
            hint="name a record from `nbbuild cache list`, or one notebook",
        )
    task = session.task(word)
    record = None
    if task.source not in session.project.unreadable:
        record = session.judge().final(task.name).record
    record = record or session.runs.last(task)[1]
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


def told(pruned: Pruned, earlier: Sequence[Earlier] = (), *, dry_run: bool = False) -> str:
    """Return what pruning came to, for people; `earlier` is what was there in earlier formats."""
    verb = "would go" if dry_run else "removed"
    what = f"{number_of(len(pruned.records), 'record')} and {number_of(pruned.blobs, 'blob')}"
    text = f"{what} {verb}: {amount(pruned.freed)}; {amount(pruned.left)} left"
    if pruned.spared:
        text += f", with {number_of(pruned.spared, 'record')} that running builds use"
    return "\n".join([text, *(_told_earlier(one, verb) for one in earlier)])


def _told_earlier(one: Earlier, verb: str) -> str:
    what = f"{number_of(one.records, 'record')} of an older nbbuild"
    if one.in_use:
        stay = "stays" if one.records == 1 else "stay"
        return f"{what} {stay} until its running builds end: {amount(one.size)}"
    return f"{what} {verb}: {amount(one.size)}"


def earlier_as_data(earlier: Sequence[Earlier]) -> list[dict[str, Any]]:
    """Return what there is, or was, in earlier formats, as JSON has it."""
    return [
        {
            "folder": one.folder,
            "records": one.records,
            "bytes": one.size,
            "in_use": one.in_use,
        }
        for one in earlier
    ]


def as_data(pruned: Pruned, earlier: Sequence[Earlier] = ()) -> dict[str, Any]:
    """Return what pruning came to, as JSON has it."""
    return {
        "records": [{"record": one.id, "task": one.task} for one in pruned.records],
        "blobs": pruned.blobs,
        "bytes": pruned.freed,
        "left": pruned.left,
        "spared": pruned.spared,
        "earlier": earlier_as_data(earlier),
    }
