"""Start the first kernels while tasks are still being judged.

What will run is guessed: notebooks that were read for the first time, and whose code is not that
of their last run. For these only a zygote is started, which leaves nothing behind when it was in
vain. A kernel is started ahead once a task is judged to run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Protocol

from nbbuild.disk.project_folder import DOT
from nbbuild.errors import KernelError, NbbuildError
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.wanted import Wanted
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.model import Judgement, Task, Verdict
from nbbuild.notebook.code import cell_digests
from nbbuild.session import Session


class StartsAhead(Protocol):
    """Starts kernels ahead; see kernels.ahead.Ahead."""

    def begin(self, wanted: Wanted) -> None:
        """Have a kernel started as it is `wanted`."""
        ...


ENOUGH = 100
"""Tasks that are looked at, at most: with more, the first kernels soon matter little."""


class HeadStart:
    """What is started before all is judged; a context manager.

    Leaving the context waits for whatever is being started; that is given up at once.
    """

    def __init__(
        self,
        session: Session,
        launcher: Launcher,
        *,
        wanted: Callable[[Sequence[str]], Callable[[str], Wanted | None]],
        kernels: Callable[[], StartsAhead],
    ) -> None:
        """`wanted(expected)(task)` is the kernel of a task, if the `expected` ones are to run."""
        self._session = session
        self._launcher = launcher
        self._wanted_if = wanted
        self._kernels = kernels
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._expected: list[str] = []
        self._runs = 0

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
        """Start what forks the kernels of those of `names` that are likely to run, if several."""
        session = self._session
        tasks = (session.graph.tasks[name] for name in names)
        likely = (one.name for one in tasks if forced or _is_new(session, one))
        self._expected = list(islice(likely, ENOUGH))
        if len(self._expected) > 1:
            with suppress(OSError):  # the first task that needs it meets the same, and tells
                self._launcher.begin()
            self._start_zygote()

    def judged(self, judgement: Judgement) -> None:
        """Take in a verdict as it is given."""
        if judgement.verdict is not Verdict.RUN:
            return
        self._runs += 1
        if len(self._expected) > 1:  # the zygote is on its way
            return
        if self._runs == 1:
            self._expected = [judgement.task]
            self._in_a_thread(self._start_kernel)
        elif self._runs == 2:
            self._expected.append(judgement.task)
            self._start_zygote()

    def _in_a_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="nbbuild-head-start")
        self._threads.append(thread)
        thread.start()

    def _start_zygote(self) -> None:
        wanted = self._wanted()
        if wanted is not None and wanted.warm is not None:
            self._in_a_thread(partial(self._warm_up, wanted.warm))

    def _warm_up(self, warm: Warm) -> None:
        try:
            self._launcher.warm_up(warm, self._check)
        except (KernelError, OSError, _GivenUp):
            return  # the first task that needs it meets the same, and tells

    def _start_kernel(self) -> None:
        wanted = self._wanted()
        if wanted is not None:
            self._kernels().begin(wanted)

    def _wanted(self) -> Wanted | None:
        """Return the first kernel that will be wanted, None where that is not known."""
        expected = list(self._expected)
        first = self._session.graph.tasks[expected[0]]
        try:
            warm = self._session.inputs.in_effect(first).settings.warm
            if isinstance(warm, tuple) and not (self._session.root / DOT).exists():
                return None  # it would need a file there; nothing is written until all is judged
            return self._wanted_if(expected)(first.name)
        except (NbbuildError, OSError):
            return None  # told when its turn comes

    def _check(self) -> None:
        if self._closing.is_set():
            raise _GivenUp


def _is_new(session: Session, task: Task) -> bool:
    """Say whether the code of `task` is another one than in its last run, as far as is known."""
    if task.source not in session.readings.anew or task.source in session.project.unreadable:
        return False
    outcome = session.state.outcome(task.name)
    if outcome is None or outcome.key is None:
        return True
    code = [one.items for one in outcome.key.fingerprints if one.kind == "code"]
    return code != [cell_digests(session.inputs.parsed(task), injecting=bool(task.parameters))]


class _GivenUp(Exception):
    """Nobody waits any more."""
