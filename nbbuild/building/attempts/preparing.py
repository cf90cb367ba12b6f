"""Collect what is needed to execute a task, given all settings in effect for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbbuild.building.attempts.actions import Action, Warmth, bare_warm
from nbbuild.building.attempts.actions import wanted as kernel_of
from nbbuild.disk.project_folder import DOT
from nbbuild.errors import NbbuildError
from nbbuild.interpreter.environment import Probe
from nbbuild.judging.fingerprint import working_folder
from nbbuild.judging.inputs import Inputs
from nbbuild.kernels.launch.machine import threads_for
from nbbuild.kernels.wanted import TimeLimits, Wanted
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.model import Settings, Task
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.walk import Walker


class Warming(Protocol):
    """Tells what is loaded in the process that a task's kernel is forked from."""

    def __call__(self, task: Task, settings: Settings, probe: Probe | None) -> Warmth | None:
        """Return that; None if the kernel is to be started afresh."""
        ...


def stock(task: Task, settings: Settings, probe: Probe | None) -> Warmth | None:
    """Start every kernel afresh."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """Makes the actions of one build; thread-safe."""

    root: Path
    tasks: Mapping[str, Task]
    inputs: Inputs
    walker: Walker
    environ: Mapping[str, str]
    warming: Warming = stock
    threads: int = 0
    """How many threads a library's pool gets in a kernel if the user set no number; 0: any.

    It is for notebooks that ask for no cores.
    """
    here: bool = True  # False: another machine executes them, with as many cores as it has

    def action(self, task: Task, notebook: bytes) -> Action:
        """Return what is needed to execute `task`; may raise `NotebookError`, `KernelError`."""
        now = self.inputs.in_effect(task)
        settings = now.settings
        return Action(
            task=task.name,
            notebook=notebook,
            kernel=now.kernel,
            root=self.root,
            folder=working_folder(task, settings),
            python_path=task.python_path,
            environ=self.environ,
            allow_errors=bool(settings.allow_errors),
            limits=TimeLimits(timeout=settings.timeout, notebook_timeout=settings.notebook_timeout),
            watched=bool(settings.trace),
            syscalls=self.inputs.level(task) == "syscalls",
            cache=self.root / DOT / "tracer",
            installed=now.probe.digest if now.probe is not None else "",
            warmth=self.warming(task, settings, now.probe),
            threads=self._threads(settings.cores or 0),
            sandbox=self.staged(task) if settings.sandbox else None,
        )

    def _threads(self, asked: int) -> int:
        return threads_for(asked, self.threads) if self.here else asked

    def wanted(self, name: str) -> Wanted | None:
        """Return the kernel that a task would run in, if it ran now.

        None if that is not known beforehand, or if its kernel must not be started before the task.
        """
        task = self.tasks[name]
        try:
            settings = self.inputs.in_effect(task).settings
            if settings.sandbox:
                return None
            action = self.action(task, b"")
            return kernel_of(action, action.root)
        except (NbbuildError, OSError):
            return None  # reported when its turn comes

    def forerunner(self, name: str) -> Warm | None:
        """Return what a task's kernel, or that kernel's parent, will be forked from.

        This does not depend on what is installed.
        """
        task = self.tasks[name]
        try:
            parsed = self.inputs.parsed(task)
            settings = self.inputs.settings(task, parsed)
            if not settings.warm:
                return None
            return bare_warm(self.inputs.kernel_of(parsed, settings), self.environ, installed="")
        except (NbbuildError, OSError):
            return None  # reported when its turn comes

    def staged(self, task: Task) -> tuple[str, ...]:
        """Return all files that a sandbox holds for `task`."""
        now = self.inputs.in_effect(task)
        assets = (Pattern.parse(text) for text in task.assets)
        files = [path for asset in assets for path in self.inputs.asset_paths(task, asset)]
        modules = self.inputs.module_paths(task, now.parsed, now.settings)
        common = self.walker.match_all(task.files)
        loaded = [cell.load for cell in now.parsed.cells if cell.load]
        return tuple(dict.fromkeys([task.source, *files, *modules, *common, *loaded]))
