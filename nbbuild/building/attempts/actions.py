"""Describe how to execute one notebook, and which kernel that takes.

Nothing here talks to a kernel, so a kernel can start before the code that talks to it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nbbuild.building.executors import Begun
from nbbuild.building.supply.parents import Parent
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.wanted import TimeLimits, Wanted
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.quick import make
from nbbuild.store.remote.signing import SECRET_VARIABLE
from nbbuild.watching.injection import zygote_code

POOLS: Mapping[str, tuple[str, ...]] = {
    "OMP_NUM_THREADS": (),
    "OPENBLAS_NUM_THREADS": ("GOTO_NUM_THREADS", "OMP_NUM_THREADS"),
    "MKL_NUM_THREADS": ("OMP_NUM_THREADS",),
    "BLIS_NUM_THREADS": ("OMP_NUM_THREADS",),
    "NUMEXPR_NUM_THREADS": ("OMP_NUM_THREADS",),
    "VECLIB_MAXIMUM_THREADS": (),
    "POLARS_MAX_THREADS": (),
    "RAYON_NUM_THREADS": (),
}
"""Variables for the size of a library's thread pool: name → others that the library also reads.

Variables that set a ceiling, which no notebook could raise, are left out; Numba's is one.
"""

# No bytecode is left behind: it would stay valid after an edit within the same second.
_NO_BYTECODE: Mapping[str, str] = {"PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, slots=True)
class Warmth:
    """What a kernel is forked from: a process with what `parent` says in memory, or ipykernel."""

    parent: Parent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Everything needed to execute one notebook; can be pickled."""

    task: str
    notebook: bytes  # .ipynb, parameters injected
    kernel: Kernel
    root: Path
    folder: str  # the kernel's working folder, relative to the root
    python_path: tuple[str, ...]
    environ: Mapping[str, str]
    allow_errors: bool
    limits: TimeLimits
    watched: bool = False  # whether the kernel reports what it uses
    syscalls: bool = False  # whether its system calls are watched, too
    cache: Path | None = None  # a folder for compiled parts of the tracer
    installed: str = ""  # identifies what is installed for the kernel's interpreter
    warmth: Warmth | None = None  # None: its kernel is started, not forked
    threads: int = 0  # in each thread pool of the kernel; 0: no limit
    sandbox: tuple[str, ...] | None = None  # the inputs to stage, None = run in the tree
    key: str = ""  # of what is executed; "" while that is not known
    begun: Begun | None = None  # when the attempt began, and what it could find
    resumes: bool = False  # an earlier build began it: it is only waited for


def visible(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what kernels may see of an environment: many a notebook prints all of it."""
    outside = make.outside(environ)
    outside.pop(SECRET_VARIABLE, None)
    return outside


def wanted(action: Action, root: Path) -> Wanted:
    """Return the kernel that `action` needs, run below `root`: the project's or a sandbox's."""
    return Wanted(
        kernel=action.kernel,
        cwd=root / action.folder,
        env=environment(action, folders(action, root)),
        installed=action.installed,
        warm=warm(action),
        watched=action.syscalls,
    )


def folders(action: Action, root: Path) -> list[str]:
    """Return the folders of python_path as absolute paths."""
    return [str((root / entry).resolve()) for entry in action.python_path]


def warm(action: Action) -> Warm | None:
    """Return the process to fork the action's kernel from; None: it is started, not forked."""
    if action.warmth is None:
        return None
    bare = bare_warm(action.kernel, action.environ, installed=action.installed)
    # An unwatched kernel could give no account of modules loaded beforehand.
    if action.warmth.parent is None or not action.watched or bare is None:
        return bare
    # python_path is left out: it lies elsewhere in each sandbox.
    whole = action.kernel.environment(environment(action, []))
    return _parent(action.warmth.parent, bare, tuple(sorted(whole.items())), zygote_code())


def bare_warm(kernel: Kernel, environ: Mapping[str, str], *, installed: str) -> Warm | None:
    """Return what has only ipykernel in memory, whose libraries have none of the pools."""
    return Warm.of(kernel, {**environ, **_NO_BYTECODE}, installed=installed)


def _parent(parent: Parent, bare: Warm, env: tuple[tuple[str, str], ...], watch: str) -> Warm:
    stem = bare if parent.stem is None else _parent(parent.stem, bare, env, watch)
    return replace(bare, env=env, modules=parent.modules, watch=watch, stem=stem)


def environment(action: Action, folders: Sequence[str]) -> dict[str, str]:
    """Return the kernel's environment; child processes get python_path, `folders`, through it."""
    environ = dict(action.environ)
    if folders:
        inherited = [environ["PYTHONPATH"]] if environ.get("PYTHONPATH") else []
        environ["PYTHONPATH"] = os.pathsep.join([*folders, *inherited])
    environ |= _NO_BYTECODE
    if action.threads:
        said = {**action.environ, **dict(action.kernel.env)}
        for name, others in POOLS.items():
            if not any(other in said for other in (name, *others)):
                environ[name] = str(action.threads)
    return environ
