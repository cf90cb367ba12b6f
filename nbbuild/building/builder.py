"""Do what a verdict asks for with one task: lock, judge again, put back or run, publish.

Everything here happens while the task's outputs are locked in the tree, and a run also holds its
key's lock in the store, so that several nbbuild processes execute one key once. Each lock is
followed by another look: whoever held it may have done the work.
"""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec
from nbformat import NotebookNode

from nbbuild.building import runner
from nbbuild.building.actions import Action
from nbbuild.building.preparing import Preparing
from nbbuild.building.turns import Again, Pairs, Turns
from nbbuild.disk.digests import digest_bytes, now_ns
from nbbuild.disk.locks import Cancelled
from nbbuild.errors import NbbuildError, NotebookError, OneTaskError, StoreError, internal
from nbbuild.events import CellStarted, Noted, Observer, Started
from nbbuild.interpreter.environment import Probe
from nbbuild.judging import endings
from nbbuild.judging.conflicts import Deeds, Uses
from nbbuild.judging.conflicts import failure as conflicting
from nbbuild.judging.fingerprint import working_folder
from nbbuild.judging.reasons import compare
from nbbuild.judging.verdicts import Judge, made_from
from nbbuild.kernels.execute import Execution
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession
from nbbuild.kernels.wanted import Wanted
from nbbuild.model import (
    ActionKey,
    ArtefactFile,
    Digest,
    Failure,
    Judgement,
    Outcome,
    OutcomeKind,
    Parsed,
    Record,
    Settings,
    Task,
    Trace,
    Verdict,
)
from nbbuild.notebook.code import running
from nbbuild.notebook.merge import built_bytes, decode, encode, executed_cells
from nbbuild.notebook.source import prepared
from nbbuild.notebook.write import to_bytes
from nbbuild.paths.ignored import Ignored
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.paths.walk import Walker
from nbbuild.session import Session
from nbbuild.tree import ArtefactError
from nbbuild.tree import Left as LeftInTree
from nbbuild.watching.observed import Observed
from nbbuild.watching.sandbox import Beyond, Sandbox, hint
from nbbuild.watching.sandbox import failure as undeclared
from nbbuild.watching.tracing import Left, Scope, Watched, Watching

_AGAIN = "runs again without a watch over its system calls: '{}' gets no rights under it"


@dataclass(frozen=True, slots=True)
class _Collided:
    """A run that may have been spoilt by another beside it, and how it ended if it failed."""

    deeds: Deeds
    failed: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds one task at a time, from any thread.

    `again` takes in the tasks that are to be judged once more when all others are done.
    `ready(wanted, check)` gives a kernel that has been started already, None when there is none;
    `on_end()` is called when no more cell of a notebook will run.
    """

    session: Session
    judge: Judge
    launcher: Launcher
    room: Room
    observer: Observer
    cancelled: threading.Event
    uses: Uses
    turns: Turns
    pairs: Pairs
    again: Again
    preparing: Preparing
    said: set[str] = field(default_factory=set)  # why runs were seen in part, in this build
    ready: Callable[[Wanted, Callable[[], None]], KernelSession | None] = runner.none_ready
    on_end: Callable[[], None] = lambda: None

    def build(self, name: str) -> Outcome:
        """Bring `name` up to date, its upstream tasks being done; never raises for a notebook."""
        task = self.session.graph.tasks[name]
        began = time.monotonic()
        try:
            outcome = self._locked(task)
        except Cancelled:
            outcome = Outcome.of(task, OutcomeKind.CANCELLED)
        except OneTaskError as error:
            failure = Failure.of("output", error)
            outcome = Outcome.of(task, OutcomeKind.FAILED, failure=failure)
        except StoreError:
            raise
        except NbbuildError as error:
            kind = "unreadable" if isinstance(error, NotebookError) else "input"
            failure = Failure.of(kind, error)
            outcome = Outcome.of(task, OutcomeKind.FAILED, failure=failure)
        except Exception as error:  # noqa: BLE001 - one bad thing stops one task
            outcome = self._surprised(task, error)
        self.session.forget()
        return msgspec.structs.replace(outcome, seconds=time.monotonic() - began, when=time.time())

    def _surprised(self, task: Task, error: Exception) -> Outcome:
        """Return the failure of a task at which nbbuild itself failed."""
        with suppress(NbbuildError):
            self.session.tree.abandon(task)
            self.session.tree.remove_built(task)
        told = internal(error)
        trace = "".join(traceback.format_exception(error)).rstrip()
        hint = f"this is a bug, please report it with what `nbbuild show {task.name}` says"
        failure = Failure("internal", told.what, traceback=trace, hint=hint)
        return Outcome.of(task, OutcomeKind.FAILED, failure=failure)

    def _locked(self, task: Task) -> Outcome:
        upstream = self.session.graph.upstream(task.name)
        with self.session.tree.outputs_lock(
            task.name, upstream, cancelled=self.cancelled, on_wait=self._waits(task)
        ):
            judgement = self.judge.final(task.name)
            done = self._reused(task, judgement)
            if done is not None:
                return done
            assert judgement.key is not None
            with (
                self.session.store.lock(
                    judgement.key.digest, cancelled=self.cancelled, on_wait=self._waits(task)
                ),
                self.room.place(self._check, self._waits(task)),
            ):
                judgement = self.judge.final(task.name)
                return self._reused(task, judgement) or self._run(task, judgement)

    def reuse(self, name: str) -> Outcome | None:
        """Put the result that the cache holds for `name` in its place; None when it has none."""
        task = self.session.graph.tasks[name]
        with self.session.tree.outputs_lock(task.name, self.session.graph.upstream(name)):
            return self._reused(task, self.judge.final(name))

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled

    def _waits(self, task: Task) -> Callable[[str], None]:
        return lambda holder: self.observer(Noted(task.name, f"waits for {holder}"))

    # -- a result that is there already --------------------------------------------------------

    def _reused(self, task: Task, judgement: Judgement) -> Outcome | None:
        """Return the outcome of a hit put in its place; None when the task has to run."""
        record = judgement.record
        if record is None or judgement.verdict is Verdict.RUN:
            return None
        self.uses.note(task.name, record)
        self.session.keep_renewed(record)
        self.session.store.used(record)
        if judgement.verdict is Verdict.FRESH:
            return Outcome.of(task, OutcomeKind.FRESH, judgement=judgement, record=record)
        cells = self.session.store.get(record.cells)
        if cells is None:
            return None
        sources = self.session.sources(task)  # before reading: an edit in between is seen next time
        try:
            built = built_bytes(self._prepared(task), decode(cells))
        except ValueError:  # a record that cannot be merged is a miss, never a wrong answer
            return None
        restored = self.session.tree.restore(task, record)
        if restored.missing:
            return None
        written, notes = self.session.tree.write_built(task, built, made_from(record, sources))
        self.session.tree.drop_failed(task)
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
            saved=record.seconds,
        )

    # -- a run ---------------------------------------------------------------------------------

    def _run(self, task: Task, judgement: Judgement) -> Outcome:
        """Execute; once more, and alone, if that ran into another that ran at the same time."""
        if judgement.record is not None or judgement.reasons[0].kind == "forced":
            # A forced run that fails must not fall back on what it was to replace.
            assert judgement.key is not None
            self.session.retired.retire(
                record.id
                for record in self.session.store.records(judgement.key.digest)
                if not any(self.session.broken(task, record))
            )
        with self.turns.running(task.name, check=self._check):
            ended = self._once(task, judgement)
        if isinstance(ended, Outcome):
            return ended
        with self.turns.running(task.name, check=self._check, alone=True):
            if ended.failed is not None and not self._part(task, self.uses.met(task, ended.deeds)):
                return ended.failed  # by itself, as it turns out
            again = self._once(task, judgement)
        assert isinstance(again, Outcome)  # nobody ran beside it
        return again

    def _part(self, task: Task, pairs: Iterable[tuple[str, str]]) -> bool:
        """Keep the tasks of each pair apart from now on, and say so; return whether any is."""
        found = list(pairs)
        for first, second in found:
            self.pairs.add(first, second)
            self.turns.part(first, second)
        if found:
            others = endings.named([name for pair in found for name in pair if name != task.name])
            text = f"met {others} on a file while both ran: once more, by itself"
            self.observer(Noted(task.name, text))
        return bool(found)

    def _once(self, task: Task, judgement: Judgement) -> Outcome | _Collided:
        key = judgement.key
        assert key is not None
        parsed = self.session.inputs.parsed(task)
        settings = self.session.inputs.settings(task, parsed)
        sources = self.session.sources(task)
        source = self._prepared(task)
        action = self.preparing.action(task, to_bytes(source))
        began_ns, installed = now_ns(), self.session.inputs.probe(task)
        self.observer(Started(task.name, running(parsed)))
        forced = judgement.reasons[0].kind == "forced"
        ran, notes, found, exempt = self._executed(
            task, key, action, retries=settings.retries or 0, forced=forced
        )
        done, failure = ran.execution, ran.execution.failure
        if done.cancelled:
            self.session.tree.abandon(task)
            return Outcome.of(task, OutcomeKind.CANCELLED, judgement=judgement)
        writable = self.session.store.writable
        artefacts: tuple[ArtefactFile, ...] = ()
        if failure is None:
            artefacts, failure = self._collected(task)
        cells = executed_cells(done.notebook)
        built = built_bytes(source, cells)
        watched = self._watched(
            task, key, parsed, settings, ran, began_ns=began_ns, before=installed, found=found
        )
        self.session.tree.leave(task, map(_left, watched.left))
        deeds = self._deeds(task, watched)
        if failure is not None:
            failure = endings.with_own(failure, watched.own)
            failed = self._failed(task, judgement, done, failure, built, notes)
            failed = msgspec.structs.replace(failed, own=watched.own)
            if failure.kind == "error" and self._may_be_spoilt(deeds, began_ns):
                return _Collided(deeds, failed)
            return failed
        blob = encode(cells)
        complete = not (done.cut_short and artefacts)
        last = self.session.last(task)[1]
        seen = {"best": settings.trace is True, "exempt": exempt}
        record = Record(
            id=f"{key.digest[:12]}-{secrets.token_hex(8)}",
            key=key,
            trace=msgspec.structs.replace(watched.trace, **seen),
            undeclared=watched.undeclared,
            altered=watched.altered,
            rewritten=_rewritten(watched, last),
            removed=watched.removed,
            own=watched.own,
            local=bool(watched.own),
            task=task.name,
            source=task.source,
            cells=self.session.store.put(blob) if writable else digest_bytes(blob),
            artefacts=artefacts,
            folders=self.session.tree.left_empty(task),
            created=time.time(),
            seconds=done.seconds,
            cell_seconds=done.cell_seconds,
            preloads=done.preloads,
            python=installed.version if installed is not None else "",
        )
        settled = self.uses.settle(task, record, deeds)
        self.session.retired.retire(one.id for one in settled.spoilt)
        self.again.add(settled.again)
        if self._part(task, settled.collided):
            self.session.tree.abandon(task)
            return _Collided(deeds)
        if settled.conflicts:
            self.session.retired.retire(one.id for one in settled.stale)
            failure = conflicting(settled.conflicts, ignored=Ignored(self.session.root))
            return self._failed(task, judgement, done, failure, built, notes)
        notes += (*self._products(record, last), *self._unseen(record.trace))
        unpublished = self._unpublished(task, key, watched, writable=writable, whole=complete)
        if not unpublished:
            self.session.store.publish(record)
        origin = "" if unpublished else made_from(record, sources)
        _, more = self.session.tree.write_built(task, built, origin)
        self.session.tree.drop_failed(task)
        self.session.retired.unmark(task.name)
        return Outcome.of(
            task,
            OutcomeKind.EXECUTED,
            judgement=judgement,
            record=record,
            cell_seconds=done.cell_seconds,
            cached=not unpublished,
            own=watched.own,
            notes=(*notes, *more, *([unpublished] if unpublished and task.cache else [])),
        )

    def _collected(self, task: Task) -> tuple[tuple[ArtefactFile, ...], Failure | None]:
        try:
            return self.session.tree.collect(task, stored=self.session.store.writable), None
        except ArtefactError as error:
            return (), Failure.of("artefact", error)

    def _deeds(self, task: Task, watched: Watched) -> Deeds:
        return Deeds(
            touched=watched.touched,
            scratch=watched.scratch,
            sound=not watched.changed,
            beside=self.turns.beside(task.name),
        )

    def _may_be_spoilt(self, deeds: Deeds, began_ns: int) -> bool:
        """Whether a run that failed used what somebody changed while it ran beside others."""
        digests, root = self.session.digests, self.session.root
        return bool(deeds.beside) and any(
            digests.changed_since(root / path, began_ns)
            for path in deeds.touched
            if (root / path).is_file()
        )

    def _prepared(self, task: Task) -> NotebookNode:
        session = self.session
        language = session.inputs.language(task)
        return prepared(session.root, task, language=language, readers=session.readers)

    def _executed(
        self, task: Task, key: ActionKey, action: Action, *, retries: int, forced: bool
    ) -> tuple[runner.Ran, tuple[str, ...], Mapping[str, Digest], str]:
        """Execute as `_attempts` does; name the program for whose sake no calls were watched, too.

        Such a program, sudo for one, gets no rights under the watch, so all is done again without.
        """
        exempt = self._exempt(task, key)
        if exempt:
            action = replace(action, syscalls=False)
        ran, notes, found = self._attempts(task, action, retries=retries, forced=forced)
        if ran.observed is not None and ran.observed.rights and not ran.execution.cancelled:
            exempt = ran.observed.rights
            self.session.tree.abandon(task)
            self.observer(Noted(task.name, _AGAIN.format(exempt)))
            action = replace(action, syscalls=False)
            ran, notes, found = self._attempts(task, action, retries=retries, forced=forced)
        return ran, notes, found, exempt

    def _attempts(
        self, task: Task, action: Action, *, retries: int, forced: bool
    ) -> tuple[runner.Ran, tuple[str, ...], Mapping[str, Digest]]:
        """Execute until it succeeds or `retries` more attempts failed, each from a clean tree.

        Also returns notes, and what the last attempt could find of what earlier runs had left.
        """
        notes: tuple[str, ...] = ()
        for attempt in range(retries + 1):
            notes += self.session.tree.begin(task, forced=forced)
            found = self.session.tree.left(task)
            ran = runner.run(
                action,
                launcher=self.launcher,
                bring_in=self.session.tree.bring_in,
                match=lambda root: _matching(root, self.session.root, self.session.walker, task),
                inspect=partial(self._inspected, task, action.folder),
                cancelled=self.cancelled,
                on_cell=lambda at, total: self.observer(CellStarted(task.name, at, total)),
                ready=self.ready,
                on_end=self.on_end,
            )
            done = ran.execution
            if done.shortfall:
                self.observer(Noted(task.name, done.shortfall, detail=True))
            notes += (*done.notes, *ran.notes)
            self.session.forget()
            failure = done.failure
            if failure is None or done.cancelled or attempt == retries:
                break
            if failure.kind == "undeclared":  # another attempt would use the same
                break
            self.session.tree.abandon(task)
            notes += (f"attempt {attempt + 1} of {retries + 1} failed: {failure.message}",)
        return ran, notes, found

    def _watched(
        self,
        task: Task,
        key: ActionKey,
        parsed: Parsed,
        settings: Settings,
        ran: runner.Ran,
        *,
        began_ns: int,
        before: Probe | None,
        found: Mapping[str, Digest],
    ) -> Watched:
        """Return what the run turned out to use and to write."""
        session = self.session
        after = session.inputs.probe(task)
        if session.inputs.level(task) == "none":
            return Watched(trace=Trace())
        nothing = Probe("", "", "", "", {}, ())  # of a kernel that is no Python
        if ran.observed is None:
            return Watched(trace=Trace(), changed=("the kernel did not tell what it used",))
        watching = Watching(
            scope=self._scope(task, before, closed=ran.private),
            digests=session.digests,
            cells=tuple(cell.source for cell in parsed.cells),
            cwd=(ran.root / working_folder(task, settings)).resolve(),
            began_ns=began_ns,
            before=before or nothing,
            after=after or nothing,
            named=session.inputs.imported,
            declared=frozenset(
                item
                for one in key.fingerprints
                if one.kind in ("assets", "modules", "files")
                for item, _ in one.items
            ),
            scratch=_means(task.scratch),
            left=found,
            tracked=session.tree.tracked(),
        )
        return watching.watched(ran.observed)

    def _scope(self, task: Task, probe: Probe | None, *, closed: Sequence[Path] = ()) -> Scope:
        session = self.session
        return Scope(
            session.root,
            folders=probe.folders if probe is not None else (),
            closed=[session.config.store, *closed],
            own=session.own(task),
            environ=session.environ,
        )

    def _inspected(
        self,
        task: Task,
        folder: str,
        sandbox: Sandbox,
        observed: Observed | None,
        failed: Failure | None,
    ) -> Failure | None:
        """Return what a run in `sandbox` comes to: it fails if it used what is not declared."""
        if failed is not None and failed.kind != "error":
            return failed
        session = self.session
        probe = session.inputs.probe(task)
        beyond = Beyond(
            sandbox=sandbox,
            scope=self._scope(task, probe),
            folder=folder,
            search=list(dict.fromkeys((folder, *task.python_path, "."))),
            suffixes=probe.suffixes if probe is not None else (),
        )
        uses = beyond.used(observed) if observed is not None else []
        config = session.config.path.name
        if failed is None:
            return undeclared(uses, config=config) if uses else None
        cells = session.inputs.parsed(task).cells
        uses = uses or beyond.named(c.source for c in cells if c.index == failed.cell)
        said = hint(uses, config=config) if uses else failed.hint
        return msgspec.structs.replace(failed, hint=said)

    def _exempt(self, task: Task, key: ActionKey) -> str:
        """Return the program for whose sake this code is run without a watch over system calls."""
        _, last = self.session.last(task)
        if last is None or not last.trace.exempt:
            return ""
        changed = {reason.kind for reason in compare(last.key, key)}
        return "" if "code" in changed else last.trace.exempt

    def _unseen(self, trace: Trace) -> tuple[str, ...]:
        """Say why a run was seen only in part, once in a build for each cause."""
        causes = () if trace.exempt else trace.partial
        new = [cause for cause in causes if cause not in self.said]
        self.said.update(new)
        return tuple(f"what it used was seen only in part: {cause}" for cause in new)

    def _products(self, record: Record, last: Record | None) -> tuple[str, ...]:
        """Say what a run wrote and found undeclared, as far as the last one did not."""
        notes: tuple[str, ...] = ()
        known = {file.path for file in last.undeclared} if last else set()
        products = endings.products(record, ignored=Ignored(self.session.root))
        new = [path for path in products if path not in known]
        if new:
            notes += (f"wrote what it does not declare; to keep it: {runner.keeping(new)}",)
        if record.own and (last is None or {*record.own} - {*last.own}):
            notes += (endings.rests_on(record.own),)
        return notes

    def _unpublished(
        self, task: Task, key: ActionKey, watched: Watched, *, writable: bool, whole: bool
    ) -> str:
        """Say why the result of a run must not be published, "" when it may be."""
        if not task.cache:
            return "`cache = false`: the result is not kept"
        if not writable:
            why = f"'{self.session.store.layout.folder}' cannot be written"
        elif not whole:
            why = "files that it wrote may be incomplete"
        else:
            why = self._changed(task, key) or "; ".join(watched.changed[:3])
            why += " while it ran" if why else ""
        return why and f"the result is shown but not cached: {why}; it will run again"

    def _changed(self, task: Task, key: ActionKey) -> str:
        """Say which of the key's inputs changed since the run began, "" if none did."""
        try:
            after = self.judge.key(task.name)
        except NbbuildError as error:
            return error.what
        if after.digest == key.digest:
            return ""
        places = self.session.inputs.places(task)
        return "; ".join(str(one) for one in compare(key, after, places=places)[:3])

    def _failed(
        self,
        task: Task,
        judgement: Judgement,
        done: Execution,
        failure: Failure,
        built: bytes,
        notes: tuple[str, ...],
    ) -> Outcome:
        self.session.tree.abandon(task)
        self.session.tree.remove_built(task)
        partial = self.session.tree.keep_failed(task, built)
        return Outcome.of(
            task,
            OutcomeKind.FAILED,
            judgement=judgement,
            failure=failure,
            cell_seconds=done.cell_seconds,
            notes=notes,
            built=partial,
        )


def _rewritten(watched: Watched, last: Record | None) -> tuple[str, ...]:
    """Return what a task writes again in every run, though it may have changed it in this one."""
    before = {*last.rewritten} if last is not None else set()
    now = {file.path for file in watched.undeclared}
    return tuple(sorted({*watched.rewritten, *(before & now)}))


def _means(texts: Sequence[str]) -> Callable[[str], bool]:
    patterns = [Pattern.parse(text) for text in texts]
    return lambda path: any(matches(pattern, path) for pattern in patterns)


def _left(one: Left) -> LeftInTree:
    return LeftInTree(one.path, one.digest, one.anew, one.scratch, one.asked, one.shared)


def _matching(root: Path, home: Path, walker: Walker, task: Task) -> list[str]:
    """Return the files under the artefact patterns of `task` below `root`."""
    there = walker if root == home else Walker(root, closed=())
    return there.match_all([Pattern.parse(text) for text in task.artefacts])
