"""Find what the tasks of a project rest on: the results that others may want."""

from __future__ import annotations

from nbbuild.model import Record
from nbbuild.session import Session
from nbbuild.store.records import newest_first


def rest_on(session: Session) -> dict[str, Record]:
    """Return task → the record of its last good build.

    For a task that failed since, or was never built here, that is its newest one in the store.
    Records that were put aside, by a forced run or because of a conflict, count for nothing.
    """
    retired = session.retired.ids()
    last = {task.name: session.runs.last(task)[1] for task in session.tasks}
    found = {name: one for name, one in last.items() if one is not None and one.id not in retired}
    without = set(last) - set(found)
    if without:
        for record in newest_first(session.store.all_records()):
            if record.task in without and record.id not in retired:
                found.setdefault(record.task, record)
    return found
