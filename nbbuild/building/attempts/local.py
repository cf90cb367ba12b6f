"""Execute attempts on this machine: in the project's tree, or in a sandbox, with local kernels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nbbuild.building.attempts import runner
from nbbuild.building.attempts.actions import Action
from nbbuild.building.attempts.inspecting import Inspecting
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.events import CellStarted, Observer
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession
from nbbuild.kernels.wanted import Wanted
from nbbuild.model import Task
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.walk import Walker
from nbbuild.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAttempts:
    """Executes the attempts of one build.

    `ready(wanted, check)` returns a kernel that was started ahead, None when there is none;
    `on_end()` is called once no more cells of a notebook will run.
    """

    inspecting: Inspecting
    launcher: Launcher
    tree: Tree
    ready: Callable[[Wanted, Callable[[], None]], KernelSession | None] = runner.none_ready
    on_end: Callable[[], None] = lambda: None

    def __call__(
        self, action: Action, *, cancelled: threading.Event, observer: Observer
    ) -> Attempted:
        """Execute `action`; see `Attempts`."""
        task = self.inspecting.tasks[action.task]
        done = runner.run(
            action,
            launcher=self.launcher,
            bring_in=self.tree.bring_in,
            match=partial(self._matching, task, action.root),
            inspect=partial(self.inspecting.in_sandbox, task, action.folder),
            cancelled=cancelled,
            on_cell=lambda at, total: observer(CellStarted(task.name, at, total)),
            ready=self.ready,
            on_end=self.on_end,
        )
        return replace(done, failure=self.inspecting.with_folder(task, done.failure))

    def _matching(self, task: Task, home: Path, root: Path) -> list[str]:
        """Return the files below `root` that match the artefact patterns of `task`."""
        there = self.inspecting.walker if root == home else Walker(root, closed=())
        return there.match_all([Pattern.parse(text) for text in task.artefacts])
