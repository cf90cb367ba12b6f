"""Carry out orders of a build in another process, perhaps on another machine.

A worker process keeps a launcher, with its zygotes, from one order to the next. The launcher ends
with the process, however that ends, and every kernel with the launcher.

The kernel gets the environment of the build. Some variables depend on the machine: they say where
things are, or which devices this process may use. Of these it gets the worker's own. A notebook
that asks for cores gets that many threads, but no more than the worker has cores.

A worker never guesses. If it has another nbbuild, or if the interpreter has something else
installed there, nothing is executed: the result could not be told from one of this machine.
"""

from __future__ import annotations

import os
import platform
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from nbbuild.building.attempts import runner
from nbbuild.building.attempts.actions import POOLS, Action, visible
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.building.jobs.marks import note_cell
from nbbuild.building.jobs.orders import (
    BLOBS,
    INPUTS,
    Answer,
    BadOrder,
    InSandbox,
    Order,
    decode_order,
    encode_answer,
    without_outputs,
)
from nbbuild.disk import temporary
from nbbuild.disk.locks import is_held
from nbbuild.errors import NbbuildError, StoreError
from nbbuild.interpreter.environment import Environments
from nbbuild.judging.endings import unforeseen
from nbbuild.kernels import ways
from nbbuild.kernels.launch.machine import threads_for
from nbbuild.kernels.launch.process import Launcher
from nbbuild.model import ArtefactFile, Digest, Failure
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.walk import Walker
from nbbuild.store import DiskStore, MemoryStore, Store
from nbbuild.watching.observed import Observed
from nbbuild.watching.sandbox import Sandbox

STAGING = "NBBUILD_STAGING"
"""The variable that makes a worker stage every order, as if it did not see the project."""

LOOK = 0.25
"""Seconds between two looks at whether an order is still wanted."""

PLACES = (
    *("HOME", "HOSTNAME", "LOGNAME", "TEMP", "TMP", "TMPDIR", "USER", "XDG_RUNTIME_DIR"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    "ZE_AFFINITY_MASK",
)
"""Variables of which a kernel gets the worker's own values, not the build's."""


class Workplace:
    """What a worker process keeps from one order to the next; thread-safe."""

    def __init__(self, launcher: Launcher | None = None) -> None:
        """`launcher` starts its kernels; None: one of its own."""
        temporary.sweep()  # killed workers leave what they staged, and no build looks here
        self.process = os.getpid()
        self._launcher = launcher or Launcher()
        self._known: dict[tuple[str, str], bytes] = {}  # of interpreters

    def close(self) -> None:
        """End all kernels, and what starts them."""
        self._launcher.close()

    def carry_out(
        self,
        data: bytes,
        *,
        told: Callable[[int, int], None] | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> bytes:
        """Execute an order and return its answer, both encoded; raises `BadOrder`.

        `told(number, total)` is called as each cell begins; None: the mark says so. The run ends
        soon after `wanted()` has become false, or the order's mark has gone if it was there.
        """
        order = decode_order(data)
        answer = Answer(host=platform.node())
        action = _placed(order.action)
        told = told or partial(note_cell, Path(order.mark))
        try:
            return encode_answer(*self._carried_out(order, action, answer, told, wanted))
        except NbbuildError as error:
            failure = Failure.of("start", error)
        except OSError as error:
            failure = Failure("start", f"{answer.host} cannot execute it: {error}")
        except Exception as error:  # noqa: BLE001 - the build shall hear of it, whatever it is
            failure = unforeseen(error, order.action.task)
        return encode_answer(answer, _not_run(action, failure))

    def _carried_out(
        self,
        order: Order,
        action: Action,
        answer: Answer,
        told: Callable[[int, int], None],
        wanted: Callable[[], bool],
    ) -> tuple[Answer, Attempted | None]:
        fault = self._fault(order, action)
        if fault is not None:
            return answer, _not_run(action, fault)
        if not staging(order):
            return self._in_place(order, action, answer, told, wanted)
        if order.inputs is None:
            return msgspec.structs.replace(answer, lacks=INPUTS), None
        store = _store(order)
        if store is None:
            return msgspec.structs.replace(answer, lacks=BLOBS), None
        return self._staged(order, action, answer, store, told, wanted)

    def _in_place(
        self,
        order: Order,
        action: Action,
        answer: Answer,
        told: Callable[[int, int], None],
        wanted: Callable[[], bool],
    ) -> tuple[Answer, Attempted]:
        def still() -> bool:
            there = os.path.lexists(order.mark)
            return wanted() and there and (order.outlives or is_held(Path(order.mark)))

        store: Store = DiskStore(Path(order.store))
        made = _Made(store if store.writable else MemoryStore())
        with _watched(still) as cancelled:
            done = self._run(order, action, made, cancelled=cancelled, told=told)
        return made.told(answer, carried=not store.writable), done

    def _staged(
        self,
        order: Order,
        action: Action,
        answer: Answer,
        store: Store,
        told: Callable[[int, int], None],
        wanted: Callable[[], bool],
    ) -> tuple[Answer, Attempted]:
        inputs = {one.path: one for one in order.inputs or ()}
        seen = os.path.lexists(order.mark)  # but it was asked to stage

        def still() -> bool:
            return wanted() and not (seen and not os.path.lexists(order.mark))

        def put(path: str, target: Path) -> None:
            one = inputs[path]
            if not store.restore(one.digest, target, executable=one.executable):
                raise StoreError(f"'{path}' was lost on its way to {answer.host}")

        made = _Made(store)
        action = replace(action, sandbox=tuple(inputs))
        with _watched(still) as cancelled:
            done = self._run(order, action, made, cancelled=cancelled, told=told, put=put)
        return made.told(answer, carried=bool(order.blobs)), done

    def _run(
        self,
        order: Order,
        action: Action,
        made: _Made,
        *,
        cancelled: threading.Event,
        told: Callable[[int, int], None],
        put: Callable[[str, Path], None] | None = None,
    ) -> Attempted:
        with temporary.folder() as cache:
            done = runner.run(
                replace(action, cache=cache),
                launcher=self._launcher,
                match=lambda root: _matching(root, order.artefacts),
                bring_in=made.keep,
                inspect=made.inspect,
                cancelled=cancelled,
                on_cell=told,
                put=put,
            )
        # The build leaves out what lies in its own temporary folder; this one may be another.
        elsewhere = Path(tempfile.gettempdir())
        around = elsewhere == action.root or elsewhere in action.root.parents
        return replace(done, private=(*done.private, *([] if around else [elsewhere])))

    def _fault(self, order: Order, action: Action) -> Failure | None:
        """Return why this place cannot execute an order as the build itself would."""
        if not order.probe:
            return None
        environments = Environments(
            lambda kind, key: self._known.get((kind, key)),
            lambda kind, key, value: self._known.__setitem__((kind, key), value),
            environ=action.environ,
        )
        if order.grounds is not None and environments.would_say(action.kernel, order.grounds):
            return None
        probe = environments.probe(action.kernel)
        if probe is None or probe.digest == order.probe:
            return None
        return Failure(
            "start",
            f"the kernel '{action.kernel.name}' has something else installed on {platform.node()}",
            traceback=f"there: {probe.version}, {len(probe.distributions)} packages",
            hint="workers need the same packages in the same folders as the machine that builds",
        )


class _Made:
    """Keeps what a run in a sandbox made, before the sandbox goes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files: list[ArtefactFile] = []
        self._sandbox: Sandbox | None = None
        self._there: Sequence[str] = ()

    def inspect(
        self, sandbox: Sandbox, observed: Observed | None, failure: Failure | None
    ) -> Failure | None:
        """Take note of the sandbox; whether it lacked something is for the build to say."""
        self._sandbox, self._there = sandbox, sandbox.files()
        return failure

    def keep(self, file: Path, path: str) -> tuple[str, ...]:
        """Put a file that the run wrote into the store."""
        digest, size = self._store.put_file(file)
        self._files.append(ArtefactFile(path, digest, size, os.access(file, os.X_OK)))
        return ()

    def told(self, answer: Answer, *, carried: bool) -> Answer:
        """Return `answer` with what was made; its blobs are `carried` with it if need be."""
        if self._sandbox is None:
            return answer
        digests = {one.digest for one in self._files} if carried else set()
        blobs = {digest: self._store.get(digest) or b"" for digest in digests}
        return msgspec.structs.replace(
            answer,
            sandbox=InSandbox(
                above=str(self._sandbox.above),
                files=tuple(self._there),
                made=tuple(self._files),
                blobs=blobs,
            ),
        )


def staging(order: Order) -> bool:
    """Whether `order` has to be staged here: the project is not seen, or nobody wants to see it."""
    return os.environ.get(STAGING, "0") not in ("", "0") or not os.path.lexists(order.mark)


def _store(order: Order) -> Store | None:
    """Return the store that holds all inputs of `order`, None if they cannot be had."""
    digests = {one.digest for one in order.inputs or ()}
    if order.blobs:
        carried = MemoryStore()
        for data in order.blobs.values():
            carried.put(data)
        return carried
    store = DiskStore(Path(order.store))
    return store if store.writable and _has_all(store, digests) else None


def _has_all(store: Store, digests: Collection[Digest]) -> bool:
    return all(map(store.has, digests))


def _matching(root: Path, artefacts: Sequence[str]) -> list[str]:
    return Walker(root, closed=()).match_all([Pattern.parse(text) for text in artefacts])


def _placed(action: Action) -> Action:
    """Return `action` as this machine executes it."""
    own = visible(os.environ)
    own.pop(STAGING, None)
    if action.threads:
        # A Dask worker's says 1, whatever the notebook asks for.
        for name in (*POOLS, *(other for others in POOLS.values() for other in others)):
            own.pop(name, None)
    environ = {**own, **action.environ}
    for name in PLACES:
        environ.pop(name, None)
        if name in os.environ:
            environ[name] = os.environ[name]
    return replace(
        action,
        environ=environ,
        syscalls=action.syscalls and not ways.unseen(),
        threads=threads_for(action.threads, 0),
    )


def _not_run(action: Action, failure: Failure) -> Attempted:
    return Attempted(cells=without_outputs(action.notebook), failure=failure, root=action.root)


@contextmanager
def _watched(wanted: Callable[[], bool]) -> Iterator[threading.Event]:
    """Yield an event that is set once `wanted` is false."""
    cancelled, over = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            if not wanted():
                cancelled.set()
                return

    thread = threading.Thread(target=look, name="nbbuild-wanted", daemon=True)
    thread.start()
    try:
        yield cancelled
    finally:
        over.set()
        thread.join()


_turn = threading.Lock()
_workplaces: list[Workplace] = []


def workplace() -> Workplace:
    """Return this process's workplace; a process that was forked off makes its own."""
    with _turn:
        if not _workplaces or _workplaces[0].process != os.getpid():
            _workplaces[:] = [Workplace()]
        return _workplaces[0]


def leave() -> None:
    """Close this process's workplace, if it has one."""
    with _turn:
        left = [one for one in _workplaces if one.process == os.getpid()]
        _workplaces.clear()
    for one in left:
        one.close()


def work(order: bytes) -> bytes:
    """Carry out the order of a `Job`, in this process, and return its answer.

    This is what an executor has run in its own processes; it can be pickled by reference.
    """
    return workplace().carry_out(order)


__all__ = ["STAGING", "BadOrder", "Workplace", "leave", "staging", "work", "workplace"]
