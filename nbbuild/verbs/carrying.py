"""Choose the records that are carried to another machine."""

from __future__ import annotations

from dataclasses import dataclass

from nbbuild.building.resting import rest_on
from nbbuild.model import Record
from nbbuild.session import Session
from nbbuild.store.archive import may_travel


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
    found = list(session.store.all_records()) if everything else list(rest_on(session).values())
    sound = [record for record in found if record.id not in retired]
    return Load(
        records=tuple(filter(may_travel, sound)),
        staying=tuple(record for record in sound if not may_travel(record)),
    )
