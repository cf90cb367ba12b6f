"""Zygotes as nbbuild sees them: one for each kind of kernel, started when first needed.

A zygote that has packages in memory is forked from its *stem*, a zygote that has fewer, or only
ipykernel. What both need is loaded once and shares the same memory.

zygote.py explains what a zygote is and what it promises. Nothing here may fail a build: if there is
no zygote, or it misbehaves, kernels are started in the ordinary way, and `unfit` says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from nbbuild.disk import temporary
from nbbuild.disk.shapes import Misshapen, Shape
from nbbuild.errors import KernelError
from nbbuild.interpreter.imports import Import
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.warm.import_facts import ImportCost, ImportFacts

PATIENCE = 30.0
"""Seconds that a zygote may take for its imports."""

TICK = 0.05
"""Seconds between two checks whether anybody still waits."""

_IT = "the process that forks kernels"
_LACKING = "'{}' is not loaded beforehand: {}"
_TRIES = 2  # how many zygotes of one kind may be lost before nbbuild gives the kind up
UNSAFE = frozenset(
    """PyQt5 PyQt6 PySide2 PySide6 catboost cupy cv2 dask distributed duckdb eventlet gevent gi
    grpc jax jaxlib keras lightgbm mpi4py numba polars pyspark ray sklearn tensorflow
    tkinter torch vaex wx xgboost""".split()  # noqa: SIM905
)
"""Modules with threads, devices or connections that a fork breaks, or pools that then hang."""

_PROGRAM = Path(__file__).with_name("zygote.py")


class ForkedProcess(Protocol):
    """What this module needs of a running process; see process.KernelProcess."""

    pid: int

    def kill(self) -> tuple[int, ...]:
        """Kill it and all its descendants."""
        ...


class Start(Protocol):
    """Starts a zygote; see process.Launcher.start."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: int,
        output: int,
        stem: Zygote | None,
    ) -> ForkedProcess:
        """Run `argv` in `cwd`, which is removed if nbbuild is killed; raises KernelError.

        If `stem` is given, that zygote forks it where possible.
        """
        ...


@dataclass(frozen=True, slots=True)
class Warm:
    """What all kernels forked from one zygote share.

    `installed` stands for what the interpreter has installed: if that changes, the zygote must not
    be used. `interpreter` and `env` are the zygote's command and environment. `modules` is what it
    imports beside ipykernel; `watch` lets a tracer see that (injection.zygote_code). `stem` is the
    kind of zygote it is forked from, which has the first of the modules; None: it starts afresh.
    """

    interpreter: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    installed: str = ""
    modules: tuple[Import, ...] = ()
    watch: str = ""
    stem: Warm | None = None

    @classmethod
    def of(cls, kernel: Kernel, env: Mapping[str, str], *, installed: str) -> Warm | None:
        """Return how to fork `kernel`; None if that is not possible.

        `env` is its environment without the variables that differ between tasks.
        """
        words = kernel.interpreter
        if sys.platform != "linux" or not words:
            return None
        if any(not word.startswith("-") for word in words[1:]):
            return None  # a program that stays as the interpreter's parent
        whole = kernel.environment(env)
        path = whole.get("PYTHONPATH", "").split(os.pathsep)
        if any(not os.path.isabs(entry) for entry in path if entry):  # noqa: PTH117, a string
            return None  # it means something else in each working folder
        return cls(words, tuple(sorted(whole.items())), installed)

    @property
    def preloads(self) -> tuple[str, ...]:
        """The names of the modules."""
        return tuple(dict.fromkeys(one.module for one in self.modules))

    def without(self, module: str) -> Warm:
        """Return the same, but without importing `module`."""
        modules = tuple(one for one in self.modules if one.module != module)
        stem = self.stem.without(module) if self.stem is not None else None
        if stem is not None and modules == stem.modules:
            return stem
        return replace(self, modules=modules, stem=stem)


class Zygote:
    """A zygote that is ready to fork; any thread may use it."""

    def __init__(
        self,
        process: ForkedProcess,
        control: socket.socket,
        *,
        warm: Warm,
        folder: contextlib.ExitStack,
    ) -> None:
        """Closing `folder` removes the folder that the process works in."""
        self.warm = warm
        self.seconds = 0.0
        """Seconds that its imports took besides ipykernel's, including those of its stem."""
        self._folder = folder
        self._process = process
        self._control = control
        self._lock = threading.Lock()
        self.lost = False

    def fork(self, channel: socket.socket) -> None:
        """Fork a kernel that talks through `channel`; the caller may then close its copy.

        If that fails, the other end of the channel simply finds it closed.
        """
        with self._lock:
            try:
                socket.send_fds(self._control, [b"k"], [channel.fileno()])
            except OSError:
                self.lost = True

    def end(self) -> None:
        """Kill it; the kernels it has forked keep running."""
        with self._lock:
            self.lost = True
            self._control.close()
        self._process.kill()
        self._folder.close()


@dataclass(slots=True)
class _Kind:
    """The state of one kind of zygote."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    zygote: Zygote | None = None
    tries: int = 0
    unfit: str = ""
    less: Warm | None = None  # the same without the module that is to blame


class Nursery:
    """The zygotes of one build; thread-safe. `start` starts their processes."""

    def __init__(self, start: Start, facts: ImportFacts) -> None:
        self._start = start
        self._facts = facts
        self._lock = threading.Lock()
        self._kinds: dict[Warm, _Kind] = {}

    def zygote(self, warm: Warm, check: Callable[[], None]) -> tuple[Zygote | None, str]:
        """Return a ready zygote for `warm` and what it lacks of that, or why there is none.

        While the zygote gets ready, `check` is called every `TICK`; it may raise to give up.
        """
        less: Warm | None
        less, lacks = self._without_the_refused(warm)
        while less is not None:
            kind = self._kind(less)
            while not kind.lock.acquire(timeout=TICK):
                check()
            try:
                if kind.zygote is not None and kind.zygote.lost:
                    kind.zygote.end()
                    kind.zygote = None
                if kind.zygote is None and not kind.unfit and kind.tries < _TRIES:
                    kind.tries += 1
                    self._bear(kind, less, check)
                if kind.zygote is not None:
                    return kind.zygote, "; ".join(lacks)
                lacks.append(kind.unfit or f"{_IT} was lost")
                less = kind.less
            finally:
                kind.lock.release()
        return None, "; ".join(lacks)

    def _kind(self, warm: Warm) -> _Kind:
        """Return the state of this kind.

        A forerunner is a kind requested before it was known what is installed. It becomes the first
        kind that is the same in all other respects.
        """
        with self._lock:
            kinds, early = self._kinds, replace(warm, installed="")
            if warm in kinds:
                return kinds[warm]
            if warm == early:
                alike = (kind for one, kind in kinds.items() if replace(one, installed="") == early)
                kind = next(alike, None)
                if kind is not None:
                    return kind
            kinds[warm] = kinds.pop(early) if early in kinds else _Kind()
            return kinds[warm]

    def _without_the_refused(self, warm: Warm) -> tuple[Warm, list[str]]:
        lacks: list[str] = []
        for module in warm.preloads:
            reason = self._facts.refused(warm.installed, module)
            if reason:
                lacks.append(_LACKING.format(module, reason))
                warm = warm.without(module)
        return warm, lacks

    def let_go(self, keep: Callable[[Warm], bool]) -> None:
        """End the zygotes of which `keep` is not true, but for those that are getting ready."""
        with self._lock:
            gone = {one: kind for one, kind in self._kinds.items() if not keep(one)}
        for warm, kind in gone.items():
            if kind.lock.acquire(blocking=False):
                with self._lock:
                    self._kinds.pop(warm, None)
                if kind.zygote is not None:
                    kind.zygote.end()
                    kind.zygote = None
                kind.lock.release()

    def close(self) -> None:
        """End all zygotes."""
        with self._lock:
            kinds, self._kinds = list(self._kinds.values()), {}
        for kind in kinds:
            if kind.zygote is not None:
                kind.zygote.end()

    def _bear(self, kind: _Kind, warm: Warm, check: Callable[[], None]) -> None:
        """Start a zygote of this kind, or record why there is none."""
        stem = None
        if warm.stem is not None:
            stem, _ = self.zygote(warm.stem, check)
            less, lacks = self._without_the_refused(warm)
            if less != warm:  # its stem has already found that out
                kind.unfit, kind.less = "; ".join(lacks), less
                return
        wanted = {
            "words": len(warm.interpreter),
            "modules": [(one.module, one.names) for one in warm.modules],
            "unsafe": sorted(UNSAFE),
            "watch": warm.watch,
        }
        argv = [*warm.interpreter, str(_PROGRAM), json.dumps(wanted)]
        with contextlib.ExitStack() as failing:
            try:
                folder = failing.enter_context(contextlib.ExitStack())
                cwd = folder.enter_context(temporary.folder())
                log = failing.enter_context(tempfile.TemporaryFile())
                ours, theirs = socket.socketpair()
                failing.callback(ours.close)
                with theirs:
                    process = self._start(
                        argv,
                        env=dict(warm.env),
                        cwd=cwd,
                        stdin=theirs.fileno(),
                        output=log.fileno(),
                        stem=stem,
                    )
            except (KernelError, OSError) as error:
                kind.unfit = f"{_IT} cannot be started: {error}"
                return
            zygote = Zygote(process, ours, warm=warm, folder=folder)
            failing.callback(zygote.end)
            word = _hear(ours, check)
            if not word.pid:
                kind.unfit = ": ".join([word.unfit, *_last_words(log)])
            elif word.pid != process.pid:
                kind.unfit = "the kernel's command starts Python in a process of its own"
            elif word.unfit and not word.culprit:
                kind.unfit = word.unfit
            elif word.unfit:
                kind.unfit = _LACKING.format(word.culprit, word.unfit)
                kind.less = warm.without(word.culprit)
                self._facts.refuse(warm.installed, word.culprit, word.unfit)
            else:
                for one, cost in zip(warm.modules, word.costs, strict=False):
                    self._facts.keep_cost(warm.installed, one.module, cost)
                zygote.seconds = sum(cost.seconds for cost in word.costs)
                kind.zygote = zygote
                failing.pop_all()
                log.close()


class _Word(msgspec.Struct):
    """What a zygote reports about itself."""

    pid: int = 0
    unfit: str = ""
    culprit: str = ""
    costs: tuple[ImportCost, ...] = ()  # of each import


_WORD: Shape[_Word] = Shape(_Word)


def _hear(control: socket.socket, check: Callable[[], None]) -> _Word:
    """Wait until a zygote reports what it is."""
    deadline = time.monotonic() + PATIENCE
    heard = b""
    poller = select.poll()
    poller.register(control, select.POLLIN)
    while b"\n" not in heard:
        check()
        if time.monotonic() > deadline:
            return _Word(unfit=f"{_IT} was not ready within {PATIENCE:g} s")
        if poller.poll(TICK * 1000):
            data = _received(control)
            if not data:
                return _Word(unfit=f"{_IT} ended before it was ready")
            heard += data
    try:
        return _WORD.from_json(heard)
    except Misshapen as error:
        return _Word(unfit=f"{_IT} cannot be understood: {error}")


def _received(control: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionError):
        return control.recv(65536)
    return b""


def _last_words(log: BinaryIO) -> list[str]:
    """Return the end of what a zygote printed, as one item; [] if it printed nothing."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return [lines[-1]] if lines else []
