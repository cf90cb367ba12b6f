"""One action: stage, execute, collect. Knows nothing of keys and the store."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbbuild.kernels.execute import Execution, Limits, execute
from nbbuild.kernels.observed import Observed, install_code, prepare, read_report, report_code
from nbbuild.kernels.process import Launcher
from nbbuild.kernelspec import Kernel
from nbbuild.notebook.read import from_bytes

SANDBOX_DEPTH = 8
"""Folders above a sandbox's root, so that an asset such as `../../data` has its place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """All that executing one notebook takes; can be pickled."""

    task: str
    notebook: bytes  # .ipynb, parameters injected
    kernel: Kernel
    root: Path
    folder: str  # the kernel's working folder, relative to the root
    python_path: tuple[str, ...]
    environ: Mapping[str, str]
    allow_errors: bool
    limits: Limits
    watched: bool = False  # whether the kernel tells what it uses
    cache: Path | None = None  # a folder for compiled parts of the tracer
    sandbox: tuple[str, ...] | None = None  # the inputs to stage, None = run in the tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of an action: its execution, and what its kernel was seen to do."""

    execution: Execution
    observed: Observed | None  # None: it was not watched, or gave no account
    root: Path  # where it ran: the project's root, or that of a sandbox
    private: tuple[Path, ...]  # folders made for this run; gone by now


def run(
    action: Action,
    *,
    launcher: Launcher,
    match: Callable[[Path], Sequence[str]],
    cancelled: threading.Event,
    on_cell: Callable[[int, int], None],
) -> Ran:
    """Execute the notebook of `action`.

    `match(root)` names the files under the task's artefact patterns below `root`: what a sandboxed
    run leaves there is moved to its place in the tree.
    """
    with _stage(action) as root, tempfile.TemporaryDirectory(prefix="nbbuild-") as private:
        staged = {path: _stamp(root / path) for path in match(root)} if action.sandbox else {}
        before, after, report = _preparations(action, root, Path(private))
        done = execute(
            from_bytes(action.notebook),
            action.kernel,
            launcher=launcher,
            cwd=root / action.folder,
            env=_environment(action, root),
            allow_errors=action.allow_errors,
            limits=action.limits,
            cancelled=cancelled,
            on_cell=on_cell,
            before=before,
            after=after,
        )
        if action.sandbox is not None:
            for path in match(root):
                if staged.get(path) != _stamp(root / path):
                    _move(root / path, action.root / path)
        return Ran(
            execution=done,
            observed=read_report(report) if report is not None else None,
            root=root,
            private=(Path(private), *([_stage_of(root)] if action.sandbox is not None else [])),
        )


# IPython puts the working folder behind all of PYTHONPATH; python_path comes right after it.
_PATH_CODE = """
import sys
path, folders = sys.path, {folders!r}
path[:] = [entry for entry in path if entry not in folders]
place = path.index("") + 1 if "" in path else 0
path[place:place] = folders
"""


def _preparations(
    action: Action, root: Path, private: Path
) -> tuple[list[str], list[str], Path | None]:
    """Return what an IPython kernel runs silently first and last, and where its account will be."""
    before: list[str] = []
    after: list[str] = []
    if action.kernel.interpreter is None:
        return before, after, None
    if action.python_path:
        code = _PATH_CODE.format(folders=_folders(action, root))
        before.append(f"exec({code!r}, {{'__name__': 'nbbuild'}})")
    if not action.watched:
        return before, after, None
    tracing = prepare(private / "watch", cache=action.cache)
    before.append(install_code(tracing))
    after.append(report_code(tracing, Path(tracing.report)))
    return before, after, Path(tracing.report)


def _folders(action: Action, root: Path) -> list[str]:
    return [str((root / entry).resolve()) for entry in action.python_path]


def _environment(action: Action, root: Path) -> dict[str, str]:
    """Return the kernel's environment; its children find python_path there."""
    environ = dict(action.environ)
    folders = _folders(action, root)
    if folders:
        inherited = [environ["PYTHONPATH"]] if environ.get("PYTHONPATH") else []
        environ["PYTHONPATH"] = os.pathsep.join([*folders, *inherited])
    # A kernel that leaves no bytecode behind cannot leave any that outlives a same-second edit.
    environ["PYTHONDONTWRITEBYTECODE"] = "1"
    return environ


@contextmanager
def _stage(action: Action) -> Iterator[Path]:
    """Yield the root to run in: the project's own, or a temporary one with the inputs only."""
    if action.sandbox is None:
        yield action.root
        return
    with tempfile.TemporaryDirectory(prefix="nbbuild-") as folder:
        root = Path(folder).resolve().joinpath(*(f"{n}" for n in range(SANDBOX_DEPTH)), "root")
        (root / action.folder).mkdir(parents=True)
        for path in action.sandbox:
            target = Path(os.path.normpath(root / path))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(action.root / path, target)
        yield root


def _stage_of(root: Path) -> Path:
    """Return the temporary folder that holds the root of a sandbox."""
    return root.parents[SANDBOX_DEPTH]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_ctime_ns, stat.st_ino


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.move(source, target)
