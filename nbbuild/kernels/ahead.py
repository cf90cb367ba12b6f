"""Start kernels before a task asks for one, while others end or tasks are being judged.

Such a kernel has not run any notebook's code. The first task that wants one just like it takes it;
kernels that nobody takes end with the build. Nothing here may fail a build: when a kernel cannot
be started ahead, the task that wants it starts one itself, and reports what is wrong.

Each is started by a thread of its own and used by the thread that takes it, never by both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
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


class Ahead:
    """The kernels started ahead, at most `most` at once; a context manager, thread-safe."""

    def __init__(self, launcher: Launcher, *, most: int) -> None:
        self._launcher = launcher
        self._most = most
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="nbbuild-ahead")
        self._lock = threading.Lock()
        self._coming: list[_Coming] = []
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
            if len(self._coming) < self._most and not self._closing.is_set():
                self._coming.append(_Coming(wanted, self._pool.submit(self._start, wanted)))

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
            coming, self._coming = self._coming, []
        for one in coming:
            one.session.cancel()
        self._pool.shutdown()
        for one in coming:
            _end(one.session)

    def _next(self, wanted: Wanted) -> _Coming | None:
        with self._lock:
            fitting = [one for one in self._coming if wanted.given_by(one.wanted)]
            # Take one that is ready, if there is one.
            one = min(fitting, key=lambda one: not one.session.done(), default=None)
            if one is not None:
                self._coming.remove(one)
            return one

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


def _end(session: Future[KernelSession]) -> None:
    if not session.cancelled() and session.exception() is None:
        session.result().close()
