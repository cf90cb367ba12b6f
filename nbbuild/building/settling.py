"""Turn a run into its result: a record, stored or not, or a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from nbbuild.building.attempts.accounts import Account
from nbbuild.building.attempts.attempting import Run
from nbbuild.building.outputs import Outputs
from nbbuild.building.progress import not_run
from nbbuild.building.scheduling.turns import Again, Meetings
from nbbuild.disk.digests import digest_bytes
from nbbuild.errors import NbbuildError
from nbbuild.judging import endings
from nbbuild.judging.conflicts import Settled, Uses
from nbbuild.judging.conflicts import failure as conflicting
from nbbuild.judging.meeting import Deeds
from nbbuild.judging.reasons import compare
from nbbuild.judging.verdicts import made_from
from nbbuild.model import (
    ActionKey,
    ArtefactFile,
    Failure,
    Judgement,
    Outcome,
    OutcomeKind,
    Record,
    Task,
    Trace,
)
from nbbuild.notebook.merge import built_bytes, bytes_not_cached, encode
from nbbuild.store import Store
from nbbuild.store.layout import new_record_id
from nbbuild.tree import ArtefactError, Left
from nbbuild.version import __version__
from nbbuild.watching.watched import LeftFile, Watched


@dataclass(frozen=True, slots=True)
class Collided:
    """A run that another one beside it may have spoilt; `failed` is its outcome if it failed."""

    deeds: Deeds
    failed: Outcome | None = None


class Retiring(Protocol):
    """Puts records aside, and unmarks tasks; see judging.retired.Retired."""

    def retire(self, ids: Iterable[str]) -> None:
        """Put records aside for good."""
        ...

    def unmark(self, task: str) -> None:
        """Remove the mark from a task that has run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """Settles the runs of one build."""

    root: Path
    store: Store
    outputs: Outputs
    account: Account
    uses: Uses
    retired: Retiring
    again: Again  # collects the tasks to judge again at the end
    meetings: Meetings
    key: Callable[[str], ActionKey]  # of a task as it is now, trusting no earlier digest
    places: Callable[[Task], Sequence[tuple[int, int | None]]]  # what messages call its cells
    last: Callable[[Task], tuple[Outcome | None, Record | None]]
    changed_since: Callable[[Path, int], bool]
    ignored: Callable[[str], bool]  # whether version control leaves a file out
    said: set[str] = field(default_factory=set)  # causes already given for runs seen in part

    def __call__(self, run: Run) -> Outcome | Collided:
        """Return the outcome of `run`; may raise `StoreError`."""
        task, done = run.task, run.attempted
        if done.cancelled:
            self.outputs.abandon(task)
            return Outcome.of(task, OutcomeKind.CANCELLED, judgement=run.judgement)
        artefacts, failure = self._collected(task) if done.failure is None else ((), done.failure)
        watched = self.account(task, run.key, done, run.before)
        self.outputs.leave(task, map(_left, watched.left))
        deeds = Deeds(
            touched=watched.touched,
            scratch=watched.scratch,
            sound=not watched.changed,
            beside=self.meetings.beside(task.name),
        )
        if failure is not None:
            failed = self._failed(run, endings.with_own(failure, watched.own))
            failed = msgspec.structs.replace(failed, own=watched.own)
            if failure.kind == "error" and self._may_be_spoilt(deeds, run.before.began_ns):
                return Collided(deeds, failed)
            return failed
        last = self.last(task)[1]
        record = self._record(run, watched, artefacts, last)
        settled = self.uses.settle(task, record, deeds)
        self.retired.retire(one.id for one in settled.spoilt)
        self.again.add(settled.again)
        if self.meetings.part(task.name, settled.collided):
            self.outputs.abandon(task)
            return Collided(deeds)
        if settled.conflicts:
            return self._in_conflict(run, settled)
        return self._published(run, watched, record, last)

    def known(self, task: Task, judgement: Judgement) -> Outcome:
        """Return the outcome of a task that is not run, though it is not up to date."""
        return not_run(task, judgement, self.last(task)[0])

    def _collected(self, task: Task) -> tuple[tuple[ArtefactFile, ...], Failure | None]:
        try:
            return self.outputs.collect(task, stored=self.store.writable), None
        except ArtefactError as error:
            return (), Failure.of("artefact", error)

    def _may_be_spoilt(self, deeds: Deeds, began_ns: int) -> bool:
        """Whether a failed run used a file that changed while it ran beside others."""
        return bool(deeds.beside) and any(
            self.changed_since(self.root / path, began_ns)
            for path in deeds.touched
            if (self.root / path).is_file()
        )

    def _record(
        self,
        run: Run,
        watched: Watched,
        artefacts: tuple[ArtefactFile, ...],
        last: Record | None,
    ) -> Record:
        """Return the record of a run that ended well; its cells are stored if possible."""
        task, done = run.task, run.attempted
        probe = run.before.now.probe
        blob = encode(done.cells)
        return Record(
            id=new_record_id(run.key.digest),
            key=run.key,
            trace=msgspec.structs.replace(watched.trace, best=run.best, exempt=run.exempt),
            undeclared=watched.undeclared,
            altered=watched.altered,
            rewritten=_rewritten(watched, last),
            removed=watched.removed,
            own=watched.own,
            local=bool(watched.own),
            task=task.name,
            source=task.source,
            cells=self.store.put(blob) if self.store.writable else digest_bytes(blob),
            artefacts=artefacts,
            folders=self.outputs.left_empty(task),
            created=time.time(),
            seconds=done.seconds,
            cell_seconds=done.cell_seconds,
            preloads=done.preloads,
            python=probe.version if probe is not None else "",
            nbbuild=__version__,
        )

    def _in_conflict(self, run: Run, settled: Settled) -> Outcome:
        self.retired.retire(one.id for one in settled.stale)
        return self._failed(run, conflicting(settled.conflicts, ignored=self.ignored))

    def _published(
        self, run: Run, watched: Watched, record: Record, last: Record | None
    ) -> Outcome:
        """Keep and show the result of a run that has no conflict."""
        task, done = run.task, run.attempted
        notes = (*run.notes, *self._products(record, last), *self._unseen(record.trace))
        whole = not (done.cut_short and record.artefacts)
        unpublished = self._unpublished(task, run.key, watched, whole=whole)
        if not unpublished:
            self.store.publish(record)
        origin = "" if unpublished else made_from(record, run.sources)
        built = (
            bytes_not_cached(run.source, done.cells)
            if unpublished
            else built_bytes(run.source, done.cells, record)
        )
        _, more = self.outputs.write_built(task, built, origin)
        self.outputs.drop_failed(task)
        self.retired.unmark(task.name)
        return Outcome.of(
            task,
            OutcomeKind.EXECUTED,
            judgement=run.judgement,
            record=record,
            cell_seconds=done.cell_seconds,
            peak_memory=done.peak_memory,
            cpu_seconds=done.cpu_seconds,
            cached=not unpublished,
            own=watched.own,
            notes=(*notes, *more, *([unpublished] if unpublished and task.cache else [])),
        )

    def _failed(self, run: Run, failure: Failure) -> Outcome:
        task, done = run.task, run.attempted
        self.outputs.abandon(task)
        self.outputs.remove_built(task)
        partial = self.outputs.keep_failed(task, bytes_not_cached(run.source, done.cells))
        return Outcome.of(
            task,
            OutcomeKind.FAILED,
            judgement=run.judgement,
            failure=failure,
            cell_seconds=done.cell_seconds,
            peak_memory=done.peak_memory,
            cpu_seconds=done.cpu_seconds,
            notes=run.notes,
            built=partial,
        )

    # -- what users should know ----------------------------------------------------------------

    def _unseen(self, trace: Trace) -> tuple[str, ...]:
        """Say why a run was seen only in part; each cause is reported once in a build."""
        causes = () if trace.exempt else trace.partial
        new = [cause for cause in causes if cause not in self.said]
        self.said.update(new)
        return tuple(f"not everything that it used was seen: {cause}" for cause in new)

    def _products(self, record: Record, last: Record | None) -> tuple[str, ...]:
        """Say what a run wrote and found undeclared, unless the last run did so too."""
        notes: tuple[str, ...] = ()
        known = {file.path for file in last.undeclared} if last else set()
        products = endings.products(record, ignored=self.ignored)
        new = [path for path in products if path not in known]
        if new:
            notes += (f"wrote undeclared files; to keep them: {endings.keeping(new)}",)
        if record.own and (last is None or {*record.own} - {*last.own}):
            notes += (endings.rests_on(record.own),)
        return notes

    def _unpublished(self, task: Task, key: ActionKey, watched: Watched, *, whole: bool) -> str:
        """Return why the result of a run must not be published, "" if it may be."""
        if not task.cache:
            return "`cache = false`: the result is not kept"
        if not self.store.writable:
            why = f"'{self.store.name}' cannot be written"
        elif not whole:
            why = "files that it wrote may be incomplete"
        else:
            why = self._changed(task, key) or "; ".join(watched.changed[:3])
            why += " while it ran" if why else ""
        return why and f"the result is shown but not cached: {why}; it will run again"

    def _changed(self, task: Task, key: ActionKey) -> str:
        """Return which of the key's inputs changed since the run began, "" if none did."""
        try:
            after = self.key(task.name)
        except NbbuildError as error:
            return error.what
        if after.digest == key.digest:
            return ""
        return "; ".join(str(one) for one in compare(key, after, places=self.places(task))[:3])


def _rewritten(watched: Watched, last: Record | None) -> tuple[str, ...]:
    """Return files that a task rewrites in every run, even if it changed them in this one."""
    before = {*last.rewritten} if last is not None else set()
    now = {file.path for file in watched.undeclared}
    return tuple(sorted({*watched.rewritten, *(before & now)}))


def _left(one: LeftFile) -> Left:
    return Left(one.path, one.digest, one.anew, one.scratch, one.asked, one.shared)
