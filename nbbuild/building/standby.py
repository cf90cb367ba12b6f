"""Keep the processes that kernels come from between the builds of one process, for `watch`.

The launcher and the zygotes stay. After each build the next run is foreseen: that of the notebook
which ran last. A zygote with all that it imports is made ready and, if there is memory for it, a
kernel is forked ahead. Everything else that the build had started ends.

A process that stays must not know what is out of date. Kinds of zygotes are told apart by what is
installed, and hold installed packages only, none of them in place (environment.py). One that was
started before it was known what is installed does not stay. A kernel is dropped by `drop_kernel`
when a file changes that it may have loaded as it started, and it is not used in a folder that was
made anew (ahead.py).

This module imports all that executes notebooks, so that the first edit does not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from nbbuild.building import executing, reporting
from nbbuild.building.from_session import preparing_of, warmings_of
from nbbuild.building.supply.processes import Supply
from nbbuild.errors import KernelError, NbbuildError
from nbbuild.kernels.launch.machine import slots_of, threads_for
from nbbuild.kernels.wanted import Wanted
from nbbuild.kernels.warm.import_facts import ImportFacts
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.kernels.ways import portable
from nbbuild.notebook import code, ordinary, read
from nbbuild.session import Memo, Session

__all__ = ["Standby", "code", "executing", "ordinary", "read", "reporting"]


class _NoLonger(Exception):
    """The standby is being closed."""


class Standby:
    """Lends its supply to one build after the other; a context manager, used by one thread."""

    def __init__(self) -> None:
        self._supply: Supply | None = None
        self._memo: Memo | None = None
        self._learnt: dict[tuple[str, str], bytes] = {}  # between builds
        self._lock = threading.Lock()
        self._turn = 0  # counts the builds
        self._closing = threading.Event()
        self._readying: threading.Thread | None = None

    def __enter__(self) -> Standby:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._end_supply()

    @contextmanager
    def lent(self, session: Session, *, jobs: int | None = None) -> Iterator[Supply]:
        """Yield what a build in `session` starts kernels with, `jobs` notebooks at once."""
        slots = slots_of(jobs or session.config.execution.jobs)
        with self._lock:
            self._turn += 1
        if self._supply is not None and self._supply.slots != slots:
            self._end_supply()
        if self._supply is None:
            self._supply = Supply(ImportFacts(self._recall, self._remember), slots=slots)
        learnt, self._learnt = self._learnt, {}
        for (kind, key), value in learnt.items():
            session.memo.remember(kind, key, value)
        self._memo = session.memo
        try:
            yield self._supply
        finally:
            self._memo = None

    def drop_kernel(self) -> None:
        """End the kernel that was forked ahead: it may hold what has changed."""
        with self._lock:
            self._turn += 1
        if self._supply is not None:
            self._supply.ahead().rest()

    def get_ready(self, session: Session, task: str) -> None:
        """Start, in the background, what the next run of `task` needs; end everything else."""
        supply = self._supply
        if supply is None or portable():
            return
        supply.loaded.clear()
        wanted = _wanted(session, supply, task)
        warm = None if wanted is None else wanted.warm
        stays = dict.fromkeys(_stems(warm))
        # Without modules it takes little memory, and serves all notebooks of its kernel.
        supply.launcher.let_go(lambda one: one in stays or bool(one.installed and not one.modules))
        room = not supply.room(session.config.execution.max_memory).shortage()
        if wanted is None or not room:
            supply.ahead().rest()
            return
        with self._lock:
            turn = self._turn
        self._readying = threading.Thread(
            target=self._start, args=(supply, wanted, turn), name="nbbuild-standby"
        )
        self._readying.start()

    def _start(self, supply: Supply, wanted: Wanted, turn: int) -> None:
        def check() -> None:
            if self._closing.is_set():
                raise _NoLonger

        try:
            if wanted.warm is not None:
                supply.launcher.warm_up(wanted.warm, check)
        except (KernelError, OSError, _NoLonger):
            return  # the first task that needs it will report the same error
        with self._lock:
            if turn == self._turn and not self._closing.is_set():
                supply.ahead().rest(wanted)

    def _end_supply(self) -> None:
        if self._readying is not None:
            self._readying.join()
            self._readying = None
        if self._supply is not None:
            self._supply.close()
            self._supply = None

    def _recall(self, kind: str, key: str) -> bytes | None:
        memo = self._memo
        return memo.recall(kind, key) if memo is not None else self._learnt.get((kind, key))

    def _remember(self, kind: str, key: str, value: bytes) -> None:
        memo = self._memo
        if memo is None:
            self._learnt[kind, key] = value
        else:
            memo.remember(kind, key, value)


def _wanted(session: Session, supply: Supply, task: str) -> Wanted | None:
    """Return the kernel of the next run of `task`, forked from what has all of its imports."""
    try:
        found = warmings_of(session, [task], slots=supply.slots).whole(task)
        if found is not None:
            installed, cores, parent = found
            supply.loaded[installed, threads_for(cores, 0)] = parent
        warming = warmings_of(session, [task], slots=supply.slots, supply=supply)
        return preparing_of(session, warming=warming, threads=0).wanted(task)
    except (NbbuildError, OSError):
        return None  # reported when its turn comes


def _stems(warm: Warm | None) -> Iterator[Warm]:
    while warm is not None:
        yield warm
        warm = warm.stem
