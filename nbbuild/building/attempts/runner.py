"""Run one action: stage, execute, collect. Knows nothing about keys and the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from nbbuild.building.attempts.actions import Action, folders, wanted
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.disk import temporary
from nbbuild.judging import endings
from nbbuild.kernels.execute import Execution, execute
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession
from nbbuild.kernels.wanted import Wanted
from nbbuild.model import Failure
from nbbuild.notebook.merge import executed_cells
from nbbuild.notebook.read import from_own
from nbbuild.watching.injection import install_code, prepare, report_code
from nbbuild.watching.observed import Observed
from nbbuild.watching.reading import only_seen, read_report
from nbbuild.watching.sandbox import Put, Sandbox, stage
from nbbuild.watching.seen import Seen


def none_ready(wanted: Wanted, check: Callable[[], None]) -> KernelSession | None:
    """Return None: no kernel was started ahead."""
    return None


def run(
    action: Action,
    *,
    launcher: Launcher,
    match: Callable[[Path], Sequence[str]],
    bring_in: Callable[[Path, str], tuple[str, ...]],
    inspect: Callable[[Sandbox, Observed | None, Failure | None], Failure | None],
    cancelled: threading.Event,
    on_cell: Callable[[int, int], None],
    ready: Callable[[Wanted, Callable[[], None]], KernelSession | None] = none_ready,
    on_end: Callable[[], None] = lambda: None,
    put: Put | None = None,
) -> Attempted:
    """Execute the notebook of `action`.

    `ready(wanted, check)` and `on_end` are those of `execute`. `put` fills a sandbox (see `stage`).

    `inspect(sandbox, observed, failure)` is called while the sandbox of a run still exists; it
    returns the final failure of the run, if any. `match(root)` returns the files below `root` that
    match the task's artefact patterns. If a sandboxed run ends well, `bring_in(file, path)` puts
    those that it wrote in their place in the tree, and returns notes for users.
    """
    with ExitStack() as stack:
        sandbox: Sandbox | None = None
        if action.sandbox is not None:
            places = (action.folder, *action.python_path)
            sandbox = stack.enter_context(stage(action.root, action.sandbox, places, put))
        root = action.root if sandbox is None else sandbox.root
        private = stack.enter_context(temporary.folder())
        above = None if sandbox is None else sandbox.above
        before, after, report = _preparations(action, root, private, above)
        kernel = wanted(action, root)
        done = execute(
            from_own(action.notebook),
            kernel.kernel,
            launcher=launcher,
            cwd=kernel.cwd,
            env=kernel.env,
            allow_errors=action.allow_errors,
            limits=action.limits,
            cancelled=cancelled,
            on_cell=on_cell,
            before=before,
            after=after,
            watched=kernel.watched,
            warm=kernel.warm,
            ready=partial(ready, kernel),
            on_end=on_end,
        )
        notes: tuple[str, ...] = ()
        observed = _observed(report, done.seen)
        if sandbox is not None and not done.cancelled:
            done.failure = inspect(sandbox, observed, done.failure)
            if done.failure is None:
                notes += _bring_in(sandbox, match(root), bring_in)
        made = [private] if sandbox is None else [private, sandbox.above]
        return _attempted(done, notes, observed, root, made)


def _attempted(
    done: Execution,
    notes: tuple[str, ...],
    observed: Observed | None,
    root: Path,
    private: Sequence[Path],
) -> Attempted:
    return Attempted(
        cells=executed_cells(done.notebook),
        failure=done.failure,
        cancelled=done.cancelled,
        seconds=done.seconds,
        cell_seconds=done.cell_seconds,
        notes=(*done.notes, *notes),
        shortfall=done.shortfall,
        cut_short=done.cut_short,
        orphaned=done.orphaned,
        preloads=done.preloads,
        preload_seconds=done.preload_seconds,
        peak_memory=done.peak_memory,
        cpu_seconds=done.cpu_seconds,
        observed=observed,
        root=root,
        private=tuple(private),
    )


def _bring_in(
    sandbox: Sandbox, artefacts: Sequence[str], bring_in: Callable[[Path, str], tuple[str, ...]]
) -> tuple[str, ...]:
    """Bring the artefacts that a run wrote to their place; return notes for users."""
    lost = sandbox.lost(artefacts)
    notes: tuple[str, ...] = ()
    for path in artefacts:
        if sandbox.changed(path):
            notes += bring_in(sandbox.root / path, path)
    if lost:
        notes += (f"wrote undeclared files in its sandbox; to keep them: {endings.keeping(lost)}",)
    return notes


def _observed(report: Path | None, seen: Seen | None) -> Observed | None:
    """Return what the kernel's account and its system calls show."""
    if report is not None:
        return read_report(report, seen)
    return only_seen(seen) if seen is not None else None


# IPython puts the working folder after all of PYTHONPATH; python_path belongs right after it.
_PATH_CODE = """
import sys
path, folders = sys.path, {folders!r}
path[:] = [entry for entry in path if entry not in folders]
place = path.index("") + 1 if "" in path else 0
path[place:place] = folders
"""


# Python checks bytecode by size and whole seconds; it compiles any source without a time.
_FROM_SOURCE = """
import os, sys
def begin():
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    stats, stdlib = loader.path_stats, os.path.dirname(os.__file__) + "/"
    def path_stats(self, path):
        installed = "/site-packages/" in path or "/dist-packages/" in path
        if not installed and not path.startswith(stdlib):
            raise OSError
        return stats(self, path)
    path_stats.__module__, path_stats.__qualname__ = stats.__module__, stats.__qualname__
    loader.path_stats = path_stats
begin()
"""


def _preparations(
    action: Action, root: Path, private: Path, above: Path | None
) -> tuple[list[str], list[str], Path | None]:
    """Return what an IPython kernel runs silently first and last, and the path of its account."""
    before: list[str] = []
    after: list[str] = []
    if action.kernel.interpreter is None:
        return before, after, None
    if not action.watched:  # else the tracer does the same
        before.append(f"exec({_FROM_SOURCE!r}, {{'__name__': 'nbbuild'}})")
    if action.python_path:
        code = _PATH_CODE.format(folders=folders(action, root))
        before.append(f"exec({code!r}, {{'__name__': 'nbbuild'}})")
    if not action.watched:
        return before, after, None
    folder = private / "watch"
    tracing = prepare(folder, cache=action.cache, outside=action.syscalls, above=above)
    before.append(install_code(tracing))
    after.append(report_code(tracing, Path(tracing.report)))
    return before, after, Path(tracing.report)
