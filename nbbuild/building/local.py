"""Execute attempts on this machine: in the project's tree, or in a sandbox, with local kernels."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from nbbuild.building import runner
from nbbuild.building.accounts import Accounts
from nbbuild.building.actions import Action
from nbbuild.building.attempts import Attempted
from nbbuild.events import CellStarted, Observer
from nbbuild.judging.inputs import Inputs
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession
from nbbuild.kernels.wanted import Wanted
from nbbuild.model import Failure, Task
from nbbuild.paths.module_folders import folders_with
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.walk import Walker
from nbbuild.tree import Tree
from nbbuild.watching.observed import Observed
from nbbuild.watching.sandbox import BeyondSandbox, Sandbox, hint
from nbbuild.watching.sandbox import failure as undeclared

_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '(\w+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAttempts:
    """Executes the attempts of one build.

    `ready(wanted, check)` returns a kernel that was started ahead, None when there is none;
    `on_end()` is called once no more cells of a notebook will run.
    """

    tasks: Mapping[str, Task]
    launcher: Launcher
    tree: Tree
    walker: Walker
    inputs: Inputs
    accounts: Accounts
    config: str  # the name of the configuration file, for messages
    ready: Callable[[Wanted, Callable[[], None]], KernelSession | None] = runner.none_ready
    on_end: Callable[[], None] = lambda: None

    def __call__(
        self, action: Action, *, cancelled: threading.Event, observer: Observer
    ) -> Attempted:
        """Execute `action`; see `Attempts`."""
        task = self.tasks[action.task]
        done = runner.run(
            action,
            launcher=self.launcher,
            bring_in=self.tree.bring_in,
            match=partial(self._matching, task, action.root),
            inspect=partial(self._inspected, task, action.folder),
            cancelled=cancelled,
            on_cell=lambda at, total: observer(CellStarted(task.name, at, total)),
            ready=self.ready,
            on_end=self.on_end,
        )
        return replace(done, failure=self._with_folder(task, done.failure))

    def _with_folder(self, task: Task, failed: Failure | None) -> Failure | None:
        """Add a hint to the failure of an import that a folder of the project would answer."""
        missing = _NO_MODULE.fullmatch(failed.message) if failed is not None else None
        if failed is None or failed.hint or missing is None:
            return failed
        there = [
            folder
            for folder in folders_with(self.walker, missing[1])
            if folder not in task.python_path
        ]
        if len(there) != 1:  # none, or nobody knows which one is meant
            return failed
        folders = json.dumps([*task.python_path, *there], ensure_ascii=False)
        hint = f"'{missing[1]}' is in '{there[0]}'; in {self.config}, under [project]: python_path"
        return msgspec.structs.replace(failed, hint=f"{hint} = {folders}")

    def _matching(self, task: Task, home: Path, root: Path) -> list[str]:
        """Return the files below `root` that match the artefact patterns of `task`."""
        there = self.walker if root == home else Walker(root, closed=())
        return there.match_all([Pattern.parse(text) for text in task.artefacts])

    def _inspected(
        self,
        task: Task,
        folder: str,
        sandbox: Sandbox,
        observed: Observed | None,
        failed: Failure | None,
    ) -> Failure | None:
        """Return the failure of a run in `sandbox`, if any: it must not use undeclared files."""
        if failed is not None and failed.kind != "error":
            return failed
        probe = self.inputs.probe(task)
        beyond = BeyondSandbox(
            sandbox=sandbox,
            scope=self.accounts.scope(task, probe),
            folder=folder,
            search=list(dict.fromkeys((folder, *task.python_path, "."))),
            suffixes=probe.suffixes if probe is not None else (),
        )
        uses = beyond.used(observed) if observed is not None else []
        if failed is None:
            return undeclared(uses, config=self.config) if uses else None
        cells = self.inputs.parsed(task).cells
        uses = uses or beyond.named(c.source for c in cells if c.index == failed.cell)
        said = hint(uses, config=self.config) if uses else failed.hint
        return msgspec.structs.replace(failed, hint=said)
