"""Start kernels before a task asks for one, while others end or tasks are being judged.

Such a kernel has not run any notebook's code. The first task that wants one just like it takes it;
kernels that nobody takes end with the build. Between the builds of one process a kernel may be
*spared* for the next one (`rest`). Nothing here may fail a build: when a kernel cannot
be started ahead, the task that wants it starts one itself, and reports what is wrong.

Each is started by a thread of its own and used by the thread that takes it, never by both.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from nbbuild.kernels.kernel import TICK
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession, start
from nbbuild.kernels.wanted import Wanted
from nbbuild.kernels.ways import portable


class _NotWanted(Exception):
    """Nobody will want this kernel any more."""


@dataclass(frozen=True, slots=True)
class _Coming:
    """A kernel that is starting or ready."""

    wanted: Wanted
    session: Future[KernelSession]
    folder: tuple[int, int] | None  # what its working folder was when it started

    def gives(self, wanted: Wanted) -> bool:
        """Return whether it will do for `wanted`; not if its folder was made anew meanwhile."""
        return wanted.given_by(self.wanted) and self.folder == _folder(wanted.cwd)

    def lost(self) -> bool:
        """Return whether it did not start, or has ended."""
        if not self.session.done():
            return False
        gone = self.session.cancelled() or self.session.exception() is not None
        return gone or self.session.result().process.poll() is not None


class Ahead:
    """The kernels started ahead, at most `most` at once; a context manager, thread-safe."""

    def __init__(self, launcher: Launcher, *, most: int) -> None:
        self._launcher = launcher
        self._most = most
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="nbbuild-ahead")
        self._lock = threading.Lock()
        self._coming: list[_Coming] = []
        self._spared: list[_Coming] = []
        self._closing = threading.Event()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def begin(self, wanted: Wanted) -> None:
        """Start a kernel like `wanted`, unless enough are coming already.

        The portable way (ways.py) starts none ahead.
        """
        if portable():
            return
        with self._lock:
            spared = next((one for one in self._spared if one.gives(wanted)), None)
            if spared is not None:
                self._spared.remove(spared)
                self._coming.append(spared)
            elif len(self._coming) < self._most and not self._closing.is_set():
                self._coming.append(self._started(wanted))

    def rest(self, wanted: Wanted | None = None) -> None:
        """End all kernels but one like `wanted`, which is spared for a later build.

        If there is none, one is started. Called between builds.
        """
        with self._lock:
            found, self._coming, self._spared = [*self._spared, *self._coming], [], []
            if wanted is not None and not portable() and not self._closing.is_set():
                alike = (one for one in found if one.wanted == wanted and one.gives(wanted))
                usable = (one for one in alike if not one.lost())
                spared = next(usable, None) or self._started(wanted)
                self._spared = [spared]
        for one in found:
            if one not in self._spared:
                one.session.cancel()
                one.session.add_done_callback(_end)

    def take(self, wanted: Wanted, check: Callable[[], None]) -> KernelSession | None:
        """Return a kernel like `wanted` that was started ahead; None when there is none.

        If it is still getting ready, this waits for it and calls `check` every `TICK`; `check` may
        raise to give up.
        """
        while (coming := self._next(wanted)) is not None:
            try:
                while not wait([coming.session], TICK).done:
                    check()
            except BaseException:
                coming.session.add_done_callback(_end)
                raise
            if coming.session.exception() is None:
                session = coming.session.result()
                if session.process.poll() is None:
                    return session
                session.close()  # it died before anybody took it
        return None

    def close(self) -> None:
        """End all kernels that nobody took."""
        with self._lock:
            self._closing.set()
            coming, self._coming, self._spared = [*self._coming, *self._spared], [], []
        for one in coming:
            one.session.cancel()
        self._pool.shutdown()
        for one in coming:
            _end(one.session)

    def _next(self, wanted: Wanted) -> _Coming | None:
        with self._lock:
            fitting = [one for one in self._coming if one.gives(wanted)]
            # Take one that is ready, if there is one.
            one = min(fitting, key=lambda one: not one.session.done(), default=None)
            if one is not None:
                self._coming.remove(one)
            return one

    def _started(self, wanted: Wanted) -> _Coming:
        return _Coming(wanted, self._pool.submit(self._start, wanted), _folder(wanted.cwd))

    def _start(self, wanted: Wanted) -> KernelSession:
        return start(
            wanted.kernel,
            launcher=self._launcher,
            cwd=wanted.cwd,
            env=wanted.env,
            check=self._check,
            warm=wanted.warm,
            watched=wanted.watched,
        )

    def _check(self) -> None:
        if self._closing.is_set():
            raise _NotWanted


def _folder(path: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another one of the same path; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _end(session: Future[KernelSession]) -> None:
    if not session.cancelled() and session.exception() is None:
        session.result().close()
