"""Put a result from the cache in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nbformat import NotebookNode

from nbbuild.building.outputs import Outputs
from nbbuild.judging.conflicts import Uses
from nbbuild.judging.verdicts import made_from
from nbbuild.model import (
    LOCAL,
    Digest,
    Judgement,
    Outcome,
    OutcomeKind,
    Record,
    Task,
    Verdict,
)
from nbbuild.notebook.merge import built_bytes, stored_cells
from nbbuild.store import Store
from nbbuild.store.renewing import note_hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The source notebooks of a project's tasks."""

    digest: Callable[[Task], Digest]  # of everything that a built notebook takes from its source
    read: Callable[[Task], NotebookNode]  # with its parameters in it; may raise `NotebookError`


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """Puts the hits of one build in their place."""

    store: Store
    outputs: Outputs
    sources: Sources
    uses: Uses
    origin: Callable[[Record], str] = lambda record: LOCAL
    """The cache that a record's result came from; see Outcome."""

    def __call__(self, task: Task, judgement: Judgement) -> Outcome | None:
        """Return the outcome of a hit put in its place; None when the task has to run."""
        record = judgement.record
        if record is None or judgement.verdict is Verdict.RUN:
            return None
        self.uses.note(task.name, record)
        note_hit(self.store, record)
        if judgement.verdict is Verdict.FRESH:
            return Outcome.of(task, OutcomeKind.FRESH, judgement=judgement, record=record)
        cells = stored_cells(self.store.get, record.cells)
        if cells is None:
            return None
        sources = self.sources.digest(task)  # before reading, so that a later edit is noticed
        try:
            built = built_bytes(self.sources.read(task), cells, record)
        except ValueError:  # a record that cannot be merged is a miss, never a wrong answer
            return None
        restored = self.outputs.restore(task, record)
        if restored.missing:
            return None
        written, notes = self.outputs.write_built(task, built, made_from(record, sources))
        self.outputs.drop_failed(task)
        if restored.changed:
            kind = OutcomeKind.RESTORED
        else:
            kind = OutcomeKind.REFRESHED if written else OutcomeKind.FRESH
        return Outcome.of(
            task,
            kind,
            judgement=judgement,
            record=record,
            notes=(*restored.notes, *notes),
            origin=self.origin(record),
            saved=record.seconds,
        )
