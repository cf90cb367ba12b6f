"""What it takes to execute one notebook, and which kernel that means.

No kernel is talked to here, so that one can be started before what talks to it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nbbuild.building.parents import Parent
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.wanted import TimeLimits, Wanted
from nbbuild.kernels.warm.nursery import Warm
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
"""Variables that say how many threads a library's pool has, and those that it asks otherwise.

What is a ceiling that no notebook could lift, such as Numba's, is not among them.
"""

# A kernel that leaves no bytecode behind cannot leave any that outlives a same-second edit.
_NO_BYTECODE: Mapping[str, str] = {"PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, slots=True)
class Warmth:
    """What a kernel is forked from: a process with what `parent` says in memory, or ipykernel."""

    parent: Parent | None = None


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
    limits: TimeLimits
    watched: bool = False  # whether the kernel tells what it uses
    syscalls: bool = False  # whether its system calls tell, too
    cache: Path | None = None  # a folder for compiled parts of the tracer
    installed: str = ""  # stands for what the kernel's interpreter has installed
    warmth: Warmth | None = None  # None: its kernel is started anew
    threads: int = 0  # for each of the kernel's own pools; 0: as many as they like
    sandbox: tuple[str, ...] | None = None  # the inputs to stage, None = run in the tree


def wanted(action: Action, root: Path) -> Wanted:
    """Return the kernel of `action`, to be run below `root`: the project's, or a sandbox's."""
    return Wanted(
        kernel=action.kernel,
        cwd=root / action.folder,
        env=environment(action, folders(action, root)),
        installed=action.installed,
        warm=warm(action),
        watched=action.syscalls,
    )


def folders(action: Action, root: Path) -> list[str]:
    """Return the folders of python_path, absolute."""
    return [str((root / entry).resolve()) for entry in action.python_path]


def warm(action: Action) -> Warm | None:
    """Return what the action's kernel is forked from."""
    if action.warmth is None:
        return None
    bare = bare_warm(action.kernel, action.environ, installed=action.installed)
    # Without an account there is none of what was loaded beforehand.
    if action.warmth.parent is None or not action.watched or bare is None:
        return bare
    # Without python_path, which lies elsewhere in each sandbox.
    whole = action.kernel.environment(environment(action, []))
    return _parent(action.warmth.parent, bare, tuple(sorted(whole.items())), zygote_code())


def bare_warm(kernel: Kernel, environ: Mapping[str, str], *, installed: str) -> Warm | None:
    """Return what has only ipykernel in memory, whose libraries have none of the pools."""
    return Warm.of(kernel, {**environ, **_NO_BYTECODE}, installed=installed)


def _parent(parent: Parent, bare: Warm, env: tuple[tuple[str, str], ...], watch: str) -> Warm:
    stem = bare if parent.stem is None else _parent(parent.stem, bare, env, watch)
    return replace(bare, env=env, modules=parent.modules, watch=watch, stem=stem)


def environment(action: Action, folders: Sequence[str]) -> dict[str, str]:
    """Return the kernel's environment; its children find python_path, `folders`, there."""
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
