"""Do what a verdict asks for with one task: lock, judge again, put back or run, publish.

Everything here happens while the task's outputs are locked in the tree, and a run also holds its
key's lock in the store, so that several nbbuild processes execute one key once. Each lock is
followed by another look: whoever held it may have done the work.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nbformat import NotebookNode

from nbbuild import runner
from nbbuild.errors import NbbuildError, NotebookError, StoreError
from nbbuild.events import CellStarted, Noted, Observer, Started
from nbbuild.fingerprint import working_folder
from nbbuild.graph import Graph
from nbbuild.inputs import Inputs
from nbbuild.kernels.execute import Execution, Limits
from nbbuild.kernels.process import Launcher
from nbbuild.locks import Cancelled
from nbbuild.model import (
    ActionKey,
    ArtefactFile,
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
from nbbuild.notebook.merge import decode, encode, executed_cells, merge, to_bytes
from nbbuild.notebook.source import prepared
from nbbuild.patterns import Pattern
from nbbuild.plan import Judge
from nbbuild.reasons import compare
from nbbuild.retired import Retired
from nbbuild.store import Store
from nbbuild.tree import ArtefactError, Tree
from nbbuild.walk import Walker


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds one task at a time, from any thread."""

    root: Path
    graph: Graph
    inputs: Inputs
    judge: Judge
    store: Store
    tree: Tree
    retired: Retired
    launcher: Launcher
    walker: Walker
    environ: Mapping[str, str]
    observer: Observer
    cancelled: threading.Event
    made_from: Callable[[Task, Record], str]

    def build(self, name: str) -> Outcome:
        """Bring `name` up to date, its upstream tasks being done; never raises for a notebook."""
        task = self.graph.tasks[name]
        began = time.monotonic()
        try:
            outcome = self._locked(task)
        except Cancelled:
            outcome = Outcome.of(task, OutcomeKind.CANCELLED)
        except StoreError:
            raise
        except NbbuildError as error:
            kind = "unreadable" if isinstance(error, NotebookError) else "input"
            failure = Failure(kind, error.what, hint=error.hint)
            outcome = Outcome.of(task, OutcomeKind.FAILED, failure=failure)
        self.walker.forget()
        return msgspec.structs.replace(outcome, seconds=time.monotonic() - began, when=time.time())

    def _locked(self, task: Task) -> Outcome:
        upstream = self.graph.upstream(task.name)
        with self.tree.outputs_lock(
            task.name, upstream, cancelled=self.cancelled, on_wait=self._waits(task)
        ):
            judgement = self.judge.final(task.name)
            done = self._reused(task, judgement)
            if done is not None:
                return done
            assert judgement.key is not None
            with self.store.lock(
                judgement.key.digest, cancelled=self.cancelled, on_wait=self._waits(task)
            ):
                judgement = self.judge.final(task.name)
                return self._reused(task, judgement) or self._run(task, judgement)

    def _waits(self, task: Task) -> Callable[[str], None]:
        return lambda holder: self.observer(Noted(task.name, f"waits for {holder}"))

    # -- a result that is there already --------------------------------------------------------

    def _reused(self, task: Task, judgement: Judgement) -> Outcome | None:
        """Return the outcome of a hit put in its place; None when the task has to run."""
        record = judgement.record
        if record is None or judgement.verdict is Verdict.RUN:
            return None
        if judgement.verdict is Verdict.FRESH:
            return Outcome.of(task, OutcomeKind.FRESH, judgement=judgement, record=record)
        cells = self.store.get(record.cells)
        if cells is None:
            return None
        try:
            built = to_bytes(merge(self._prepared(task), decode(cells)))
        except ValueError:  # a record that cannot be merged is a miss, never a wrong answer
            return None
        restored = self.tree.restore(task, record)
        if restored.missing:
            return None
        written, notes = self.tree.write_built(task, built, self.made_from(task, record))
        self.tree.drop_failed(task)
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
        key = judgement.key
        assert key is not None
        if judgement.record is not None or judgement.reasons[0].kind == "forced":
            # A forced run that fails must not fall back on what it was to replace.
            self.retired.retire(record.id for record in self.store.records(key.digest))
        parsed = self.inputs.parsed(task)
        settings = self.inputs.settings(task, parsed)
        source = self._prepared(task)
        action = self._action(task, parsed, settings, to_bytes(source))
        self.observer(Started(task.name, len(parsed.cells)))
        done, notes = self._attempts(task, action, retries=settings.retries or 0)
        if done.cancelled:
            self.tree.abandon(task)
            return Outcome.of(task, OutcomeKind.CANCELLED, judgement=judgement)
        failure = done.failure
        artefacts: tuple[ArtefactFile, ...] = ()
        if failure is None:
            try:
                artefacts = self.tree.collect(task)
            except ArtefactError as error:
                failure = Failure("artefact", error.what, hint=error.hint)
        cells = executed_cells(done.notebook)
        built = to_bytes(merge(source, cells))
        if failure is not None:
            return self._failed(task, judgement, done, failure, built, notes)
        cell_blob = self.store.put(encode(cells))
        record = Record(
            id=f"{key.digest[:12]}-{secrets.token_hex(8)}",
            key=key,
            trace=Trace(),
            task=task.name,
            source=task.source,
            cells=cell_blob,
            artefacts=artefacts,
            created=time.time(),
            seconds=done.seconds,
            cell_seconds=done.cell_seconds,
        )
        unpublished = self._unpublished(task, key)
        if not unpublished:
            self.store.publish(record)
        made_from = "" if unpublished else self.made_from(task, record)
        _, more = self.tree.write_built(task, built, made_from)
        self.tree.drop_failed(task)
        self.retired.unmark(task.name)
        return Outcome.of(
            task,
            OutcomeKind.EXECUTED,
            judgement=judgement,
            record=record,
            cell_seconds=done.cell_seconds,
            cached=not unpublished,
            notes=(*notes, *more, *([unpublished] if unpublished and task.cache else [])),
        )

    def _prepared(self, task: Task) -> NotebookNode:
        return prepared(self.root, task, language=self.inputs.parsed(task).language)

    def _action(
        self, task: Task, parsed: Parsed, settings: Settings, notebook: bytes
    ) -> runner.Action:
        kernel, _ = self.inputs.kernel(task, parsed, settings)
        staged: tuple[str, ...] | None = None
        if settings.sandbox:
            assets = (Pattern.parse(text) for text in task.assets)
            inputs = [path for asset in assets for path in self.inputs.asset_paths(task, asset)]
            modules = self.inputs.module_paths(task, parsed, settings)
            staged = tuple(dict.fromkeys([task.source, *inputs, *modules]))
        return runner.Action(
            task=task.name,
            notebook=notebook,
            kernel=kernel,
            root=self.root,
            folder=working_folder(task, settings),
            python_path=task.python_path,
            environ=self.environ,
            allow_errors=bool(settings.allow_errors),
            limits=Limits(timeout=settings.timeout, notebook_timeout=settings.notebook_timeout),
            sandbox=staged,
        )

    def _attempts(
        self, task: Task, action: runner.Action, *, retries: int
    ) -> tuple[Execution, tuple[str, ...]]:
        """Execute until it succeeds or `retries` more attempts have failed, each from a clean tree."""
        notes: tuple[str, ...] = ()
        for attempt in range(retries + 1):
            notes += self.tree.begin(task)
            done = runner.run(
                action,
                launcher=self.launcher,
                match=lambda root: _matching(root, self.root, self.walker, task),
                cancelled=self.cancelled,
                on_cell=lambda at, total: self.observer(CellStarted(task.name, at, total)),
            )
            self.walker.forget()
            if done.failure is None or done.cancelled or attempt == retries:
                break
            self.tree.abandon(task)
            notes += (f"attempt {attempt + 1} of {retries + 1} failed: {done.failure.message}",)
        return done, notes

    def _unpublished(self, task: Task, key: ActionKey) -> str:
        """Say why the result of a run must not be published, "" when it may be."""
        if not task.cache:
            return "`cache = false`: the result is not kept"
        try:
            after = self.judge.key(task.name)
        except NbbuildError as error:
            return f"the result is shown but not cached: {error.what}; it will run again"
        if after.digest == key.digest:
            return ""
        changed = "; ".join(str(reason) for reason in compare(key, after)[:3])
        return f"the result is shown but not cached: {changed} while it ran; it will run again"

    def _failed(
        self,
        task: Task,
        judgement: Judgement,
        done: Execution,
        failure: Failure,
        built: bytes,
        notes: tuple[str, ...],
    ) -> Outcome:
        self.tree.abandon(task)
        self.tree.remove_built(task)
        partial = self.tree.keep_failed(task, built)
        return Outcome.of(
            task,
            OutcomeKind.FAILED,
            judgement=judgement,
            failure=failure,
            cell_seconds=done.cell_seconds,
            notes=notes,
            built=partial,
        )


def _matching(root: Path, home: Path, walker: Walker, task: Task) -> list[str]:
    """Return the files under the artefact patterns of `task` below `root`."""
    there = walker if root == home else Walker(root, closed=())
    return there.match_all([Pattern.parse(text) for text in task.artefacts])
