"""Have attempts executed elsewhere: send orders out, and make of the answers what local runs give.

Judging, locks, the tree, the trace and the record stay with the build: a worker only executes. So
there is one record for an attempt however many workers were lost on the way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from nbbuild.building.attempts.actions import Action
from nbbuild.building.attempts.inspecting import Inspecting
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.building.executors import Begun, GivenUp, Job, Jobs, Lost, NotBegun
from nbbuild.building.jobs.marks import marked
from nbbuild.building.jobs.orders import (
    BLOBS,
    Answer,
    BadOrder,
    InSandbox,
    Order,
    decode_answer,
    encode_order,
    without_outputs,
)
from nbbuild.disk import temporary
from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import write, writing
from nbbuild.errors import OneTaskError
from nbbuild.events import CellStarted, Noted, Observer
from nbbuild.model import ArtefactFile, Digest, Failure, Task
from nbbuild.store import Store
from nbbuild.tree import Tree
from nbbuild.watching.sandbox import Sandbox

_STOPPED = "its worker on {} ended it: it did not see any more that it is wanted"
_STAGED = "it had only what is declared: its worker on {} does not see the project"


class Lacks:
    """What the workers of one build have been found to lack, so that the next order has it."""

    def __init__(self) -> None:
        self.inputs = False
        self.blobs = False

    def add(self, lacks: str) -> None:
        """Take note of what one lacked."""
        self.inputs = True
        self.blobs = self.blobs or lacks == BLOBS


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptsElsewhere:
    """Has the attempts of one build carried out by `jobs`. See attempts.Attempts.

    `inputs(task)` returns the files that a sandbox holds. Tasks of higher `priority` go first.
    """

    jobs: Jobs
    inspecting: Inspecting
    tree: Tree
    store: Store
    folder: Path  # of the store
    inputs: Callable[[Task], Sequence[str]]
    priority: Mapping[str, float]
    lacks: Lacks = field(default_factory=Lacks)

    def __call__(
        self, action: Action, *, cancelled: threading.Event, observer: Observer
    ) -> Attempted:
        """Execute `action`; see `Attempts`."""
        task = self.inspecting.tasks[action.task]
        begun = action.begun or Begun(began_ns=0, found={})
        with marked(action.root, action.key, begun, outlives=self.jobs.outlive) as mark:
            action = replace(action, begun=msgspec.structs.replace(begun, mark=str(mark)))
            while True:
                order = self._order(task, action, mark)
                try:
                    data = self.jobs.carry_out(
                        self._job(action, order, observer), cancelled=cancelled
                    )
                except GivenUp:
                    cells = without_outputs(action.notebook)
                    return Attempted(cells=cells, cancelled=True, root=action.root)
                except (BadOrder, NotBegun) as error:
                    return _failed(action, Failure("start", f"no worker begins it: {error}"))
                except Lost as error:
                    told = f"the worker that executed it was lost: {error}"
                    return _failed(action, Failure("died", told))
                answer = self._understood(action, data)
                done = answer.attempted
                if done is not None and done.cancelled and not cancelled.is_set():
                    failure = Failure("died", _STOPPED.format(answer.host))
                    return replace(done, cancelled=False, failure=failure, root=action.root)
                if done is not None:
                    if action.resumes and answer.sandbox is None:
                        done = replace(done, stale=self._changed(task, action))
                    return self._settled(task, action, answer, done)
                self.lacks.add(answer.lacks)
                action = replace(action, resumes=False)

    def _job(self, action: Action, order: Order, observer: Observer) -> Job:
        name = action.task
        return Job(
            name=name,
            key=action.key,
            order=encode_order(order),
            begun=action.begun or Begun(began_ns=0, found={}),
            resumes=action.resumes,
            priority=self.priority.get(name, 0.0),
            cores=action.threads or 1,
            resources=self.inspecting.tasks[name].resources,
            told=lambda number, total: observer(CellStarted(name, number, total)),
            waits=lambda why: observer(Noted(name, why, waits=True)),
        )

    def _order(self, task: Task, action: Action, mark: Path) -> Order:
        probe = self.inspecting.inputs.probe(task)
        inputs = self._inputs(task, action.root) if self.lacks.inputs else None
        blobs: dict[Digest, bytes] = {}
        if inputs is not None and (self.lacks.blobs or not self.store.writable):
            blobs = {one.digest: (action.root / one.path).read_bytes() for one in inputs}
        return Order(
            action=replace(action, cache=None),
            artefacts=task.artefacts,
            mark=str(mark),
            outlives=self.jobs.outlive,
            probe=probe.digest if probe is not None else "",
            grounds=self.inspecting.inputs.environments.grounds(action.kernel),
            store=str(self.folder),
            inputs=inputs,
            blobs=blobs,
        )

    def _inputs(self, task: Task, root: Path) -> tuple[ArtefactFile, ...]:
        """Put the declared inputs of `task` into the store, and return them."""
        found: list[ArtefactFile] = []
        for path in self.inputs(task):
            place = root / path
            executable = os.access(place, os.X_OK)
            with writing(f"'{path}' cannot be sent to a worker", place):
                if self.store.writable:
                    digest, size = self.store.put_file(place)
                else:
                    data = place.read_bytes()
                    digest, size = digest_bytes(data), len(data)
            found.append(ArtefactFile(path, digest, size, executable))
        return tuple(found)

    def _understood(self, action: Action, data: bytes) -> Answer:
        try:
            return decode_answer(data)
        except ValueError as error:
            self.jobs.settled(action.key)  # else the next build would find the same answer
            raise OneTaskError(
                f"the answer of the worker that executed '{action.task}' cannot be read",
                facts=[("because", str(error))],
                hint="build again",
            ) from error

    def _settled(self, task: Task, action: Action, answer: Answer, done: Attempted) -> Attempted:
        """Return what became of an attempt, what it made in a sandbox brought into the tree."""
        if answer.sandbox is not None and not done.cancelled:
            held = self.inputs(task) if action.sandbox is None else action.sandbox
            there = answer.sandbox
            sandbox = Sandbox(action.root, Path(there.above), held, there=there.files)
            failure = self.inspecting.in_sandbox(
                task, action.folder, sandbox, done.observed, done.failure
            )
            notes = done.notes
            if failure is None:
                notes += self._bring_in(action, there)
            elif action.sandbox is None:
                notes += (_STAGED.format(answer.host),)
            done = replace(done, failure=failure, notes=notes)
        return replace(done, failure=self.inspecting.with_folder(task, done.failure))

    def _changed(self, task: Task, action: Action) -> str:
        """Say which artefact has changed since the job answered: nobody was there to keep it."""
        answered = self.jobs.answered_ns(action.key)
        for path in self.inspecting.walker.match_all(task.artefacts) if answered else ():
            with suppress(FileNotFoundError):
                if (action.root / path).stat().st_mtime_ns > answered:
                    return f"'{path}' has changed since its job ended"
        return ""

    def _bring_in(self, action: Action, there: InSandbox) -> tuple[str, ...]:
        """Put the artefacts of a run in a sandbox in their places; return notes for users."""
        notes: tuple[str, ...] = ()
        with temporary.folder() as folder:
            for number, one in enumerate(there.made):
                file = folder / str(number)
                data = there.blobs.get(one.digest)
                if data is not None:
                    write(file, data, mode=0o777 if one.executable else 0o666, sync=False)
                elif not self.store.restore(one.digest, file, executable=one.executable):
                    self.jobs.settled(action.key)  # nor will the next build find it
                    raise OneTaskError(
                        f"'{one.path}' is not in the cache, though a worker put it there",
                        hint="build again",
                    )
                notes += self.tree.bring_in(file, one.path)
        return notes


def _failed(action: Action, failure: Failure) -> Attempted:
    cells = without_outputs(action.notebook)
    return Attempted(cells=cells, failure=failure, root=action.root)
