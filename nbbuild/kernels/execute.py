"""Execute one notebook in a kernel of its own, and say how that ended.

`exit()` ends the kernel. In the last cell that runs this is no failure; in an earlier one it is,
since the rest cannot run. `input()` is refused, which is an ordinary error in the cell. running.py
shows how cells are run.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels import ways
from nbbuild.kernels.kernel import RunningKernel
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.running import ANEW, NotebookRun
from nbbuild.kernels.session import KernelSession, start
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.model import Failure
from nbbuild.watching.seen import Seen


@dataclass(slots=True, kw_only=True)
class Execution:
    """How one execution ended: well, unless `failure` or `cancelled` says otherwise.

    Messages of a failure count cells from 1, and `failure.cell` from 0; both count all cells.
    """

    notebook: NotebookNode  # executed, as far as it got; its outputs are plain dicts
    cell_seconds: tuple[float, ...]  # of each cell that ran, in order
    seconds: float  # kernel start and end included
    failure: Failure | None = None
    cancelled: bool = False
    notes: tuple[str, ...] = ()  # what a user should know, and no failure
    cut_short: bool = False  # the kernel was killed while it was leaving: files may be incomplete
    orphaned: bool = False  # the kernel was killed only because the launcher was
    preloads: tuple[str, ...] = ()  # the modules that its kernel had loaded as it was forked
    preload_seconds: float = 0.0  # how long their imports took
    shortfall: str = ""  # what of a warm start there was not, and why
    seen: Seen | None = None  # from outside; None: it was not watched
    peak_memory: int = 0  # bytes that the kernel held at most; 0: unknown
    cpu_seconds: float = 0.0  # that the kernel took; 0: unknown


def execute(
    notebook: NotebookNode,
    kernel: Kernel,
    *,
    launcher: Launcher,
    cwd: Path,
    env: Mapping[str, str],
    allow_errors: bool,
    limits: TimeLimits,
    cancelled: threading.Event,
    on_cell: Callable[[int, int], None] = lambda number, total: None,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    watched: bool = False,
    warm: Warm | None = None,
    ready: Callable[[Callable[[], None]], KernelSession | None] = lambda check: None,
    on_end: Callable[[], None] = lambda: None,
) -> Execution:
    """Execute a copy of `notebook` in `kernel`, started in `cwd` with `env` and kernel.json's env.

    Cells that are blank or switched off (see notebook/skipped.py) are left as they are. An error
    ends the notebook unless `allow_errors` or the cell's tag `raises-exception` allows it. The old
    outputs of the cells that will run are removed first. Outputs that come late go to the cell that
    they belong to; those that name no cell go to the one that began last.

    `on_cell(number, total)` is called as each cell begins; both count only the cells that run.

    `before` and `after` are pieces of code that an IPython kernel runs silently before the first
    cell and after the last one that ran, if the execution gets that far.

    If it is `watched`, `seen` says which paths the kernel and its descendants asked for. With
    `warm` the kernel is forked from a zygote if possible. `ready(check)` returns such a kernel that
    was started ahead, None when there is none. The portable way (ways.py) does none of these.
    `on_end()` is called once no more cells will run.

    Setting `cancelled` kills the kernel within `kernel.TICK` seconds. When this returns or raises,
    the kernel and all its descendants (portable: its process group) are gone.
    """
    run = NotebookRun(
        copy.deepcopy(notebook),
        kernel=kernel,
        allow_errors=allow_errors,
        limits=limits,
        cancelled=cancelled,
        on_cell=on_cell,
        on_end=on_end,
        before=before,
        after=after,
    )

    fresh = partial(start, kernel, launcher=launcher, cwd=cwd, env=env, check=run.check)

    def begin(before: int) -> RunningKernel:
        session = ready(run.check) if not before else None
        return session or fresh(watched=watched, warm=warm if before < ANEW else None)

    portably = _portably(run, kernel, cwd=cwd, env=env, allow_errors=allow_errors)
    run.perform(portably if ways.portable() else begin)
    return _result(run)


def _portably(run: NotebookRun, kernel: Kernel, **how: Any) -> Callable[[int], RunningKernel]:
    """Return the function that begins `kernel` on the portable way, with the arguments `how`."""

    def begin(before: int) -> RunningKernel:
        from nbbuild.kernels import portable

        return portable.start(kernel, run.notebook, check=run.check, **how)

    return begin


def _result(run: NotebookRun) -> Execution:
    return Execution(
        notebook=run.notebook,
        cell_seconds=tuple(run.cell_seconds),
        seconds=time.monotonic() - run.began,
        failure=run.told(),
        cancelled=run.stopped and run.failure is None,
        notes=tuple(run.notes),
        cut_short=run.cut_short,
        orphaned=run.orphaned,
        preloads=run.preloads,
        preload_seconds=run.preload_seconds,
        shortfall=run.shortfall,
        seen=None if run.seen is None else run.seen.during(run.cells_began),
        peak_memory=run.peak_memory,
        cpu_seconds=run.cpu_seconds,
    )
