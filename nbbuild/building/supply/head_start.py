"""Start the first kernels while tasks are still being judged.

What will run is a guess: the notebooks that were read for the first time and whose code differs
from that of their last run. For these only zygotes are started, which leave nothing behind if the
guess was wrong. The one with only ipykernel in memory starts at once. Those with packages are
forked from it when it is known what is installed. A kernel starts ahead once a task is judged to
run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Protocol

from nbbuild.errors import KernelError, NbbuildError
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.wanted import Wanted
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.model import Judgement, Outcome, Parsed, Task, Verdict
from nbbuild.notebook.code import cell_digests
from nbbuild.project.readings import Readings


class Likely(Protocol):
    """Which kernels the tasks that are likely to run need."""

    def forerunner(self, task: str) -> Warm | None:
        """Return what all zygotes for such a task are forked from, without looking at packages."""
        ...

    def zygotes(self, tasks: Sequence[str]) -> Sequence[Warm]:
        """Return what the kernels of `tasks` are forked from, the most useful first."""
        ...

    def kernel(self, tasks: Sequence[str]) -> Wanted | None:
        """Return the kernel of the first of `tasks`; None if it is not known."""
        ...


class StartsAhead(Protocol):
    """Starts kernels ahead; see kernels.ahead.Ahead."""

    def begin(self, wanted: Wanted) -> None:
        """Start a kernel as described by `wanted`."""
        ...


ENOUGH = 100
"""The most tasks that are looked at: with more, the first kernels soon matter little."""


class HeadStart:
    """Starts kernels before everything is judged; a context manager.

    Leaving the context gives up whatever is being started, and waits for that to end.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        launcher: Launcher,
        *,
        is_new: Callable[[Task], bool],
        likely: Likely,
        kernels: Callable[[], StartsAhead],
        wanted: bool = True,
    ) -> None:
        """`is_new` tells whether a task's code differs from that of its last run.

        Unless it is `wanted`, nothing is started.
        """
        self._wanted = wanted
        self._tasks = tasks
        self._is_new = is_new
        self._launcher = launcher
        self._likely = likely
        self._kernels = kernels
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._expected: list[str] = []
        self._guessed = 0
        self._to_run: list[str] = []

    def __enter__(self) -> HeadStart:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def guess(self, names: Collection[str], *, forced: bool) -> None:
        """Start zygotes for the kernels of those `names` that are likely to run.

        This begins before it is known what is installed, because finding out takes just as long.
        """
        if not self._wanted:
            return
        likely = (name for name in names if forced or self._is_new(self._tasks[name]))
        self._expected = list(islice(likely, ENOUGH))
        self._guessed = len(self._expected)
        if self._guessed:
            with suppress(OSError):  # the first task that needs it will report the same error
                self._launcher.begin()
            forerunner = self._likely.forerunner(self._expected[0])
            if forerunner is not None:
                self._in_a_thread(partial(self._warm_up, [forerunner]))
            self._start_zygotes()

    def judged(self, judgement: Judgement) -> None:
        """Take note of a verdict as soon as it is given."""
        if judgement.verdict is not Verdict.RUN or not self._wanted:
            return
        if self._guessed > 1 or len(self._to_run) > 1:  # a zygote is on its way
            return
        self._to_run.append(judgement.task)
        self._expected = list(self._to_run)
        if len(self._to_run) > 1:  # together they may need more to be loaded
            self._start_zygotes()
        elif not self._guessed:
            self._in_a_thread(self._start_kernel)

    def _in_a_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="nbbuild-head-start")
        with suppress(RuntimeError):  # no thread can be started: it only helps
            thread.start()
            self._threads.append(thread)

    def _start_zygotes(self) -> None:
        try:
            zygotes = self._likely.zygotes(list(self._expected))
        except (NbbuildError, OSError):
            return  # reported when its turn comes
        if zygotes:
            self._in_a_thread(partial(self._warm_up, zygotes))

    def _warm_up(self, zygotes: Sequence[Warm]) -> None:
        try:
            for warm in zygotes:
                self._launcher.warm_up(warm, self._check)
        except (KernelError, OSError, _GivenUp):
            return  # the first task that needs it will report the same error

    def _start_kernel(self) -> None:
        try:
            wanted = self._likely.kernel(list(self._expected))
        except (NbbuildError, OSError):
            return  # reported when its turn comes
        if wanted is not None:
            self._kernels().begin(wanted)

    def _check(self) -> None:
        if self._closing.is_set():
            raise _GivenUp


@dataclass(frozen=True, slots=True, kw_only=True)
class IsNew:
    """Tells whether a task's code differs from that of its last run, as far as is known."""

    readings: Readings
    unreadable: Collection[str]
    parsed: Callable[[Task], Parsed]
    last: Callable[[str], Outcome | None]

    def __call__(self, task: Task) -> bool:
        """Compare the code; a notebook that was not read again counts as not new."""
        if task.source not in self.readings.anew or task.source in self.unreadable:
            return False
        outcome = self.last(task.name)
        if outcome is None or outcome.key is None:
            return True
        code = [one.items for one in outcome.key.fingerprints if one.kind == "code"]
        return code != [cell_digests(self.parsed(task), injecting=bool(task.parameters))]


class _GivenUp(Exception):
    """Nobody is waiting any more."""
