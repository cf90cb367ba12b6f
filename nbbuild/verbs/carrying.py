"""Choose the records that are carried to another machine."""

from __future__ import annotations

from dataclasses import dataclass

from nbbuild.model import Record
from nbbuild.session import Session
from nbbuild.store.archive import may_travel
from nbbuild.store.records import newest_first


@dataclass(frozen=True, slots=True)
class Load:
    """The records to carry, and those that must stay on this machine."""

    records: tuple[Record, ...]
    staying: tuple[Record, ...]


def choose_load(session: Session, *, everything: bool = False) -> Load:
    """Return the results that the tasks' last good builds rest on, or all that the store has.

    Records that were put aside by a forced run, or because of a conflict, are in neither.
    """
    retired = session.retired.ids()
    if everything:
        found = list(session.store.all_records())
    else:
        found = list(_of_last_builds(session, retired).values())
    sound = [record for record in found if record.id not in retired]
    return Load(
        records=tuple(filter(may_travel, sound)),
        staying=tuple(record for record in sound if not may_travel(record)),
    )


def _of_last_builds(session: Session, retired: frozenset[str]) -> dict[str, Record]:
    """Return task → the record of its last good build.

    For a task that failed since, or was never built here, that is its newest one in the store.
    """
    last = {task.name: session.runs.last(task)[1] for task in session.tasks}
    found = {name: one for name, one in last.items() if one is not None and one.id not in retired}
    without = set(last) - set(found)
    if without:
        for record in newest_first(session.store.all_records()):
            if record.task in without and record.id not in retired:
                found.setdefault(record.task, record)
    return found
