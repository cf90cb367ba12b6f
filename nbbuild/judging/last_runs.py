"""Find a task's last outcome on this machine, and its record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nbbuild.model import Digest, Outcome, Record, Task


@dataclass(frozen=True, slots=True)
class LastRuns:
    """The last outcomes in the state, and their records in the store."""

    outcome: Callable[[str], Outcome | None]
    """The last outcome of the task of this name; see disk.state."""
    records: Callable[[Digest], Iterable[Record]]
    """The records of a key; see the store."""

    def last(self, task: Task) -> tuple[Outcome | None, Record | None]:
        """Return the task's last outcome and the record that it made or used."""
        outcome = self.outcome(task.name)
        if outcome is None or outcome.key is None:
            return outcome, None
        records = self.records(outcome.key.digest)
        return outcome, next((one for one in records if one.id == outcome.record), None)
