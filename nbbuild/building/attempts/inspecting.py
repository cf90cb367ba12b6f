"""Look at a run that has ended: what its sandbox lacked, and what would help a failed import."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from nbbuild.building.attempts.accounts import Accounts
from nbbuild.judging.inputs import Inputs
from nbbuild.model import Failure, Task
from nbbuild.paths.module_folders import folders_with
from nbbuild.paths.walk import Walker
from nbbuild.watching.observed import Observed
from nbbuild.watching.sandbox import BeyondSandbox, Sandbox, hint
from nbbuild.watching.sandbox import failure as undeclared

_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '(\w+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspecting:
    """Inspects the runs of one project, wherever they were executed."""

    tasks: Mapping[str, Task]
    walker: Walker
    inputs: Inputs
    accounts: Accounts
    config: str  # the name of the configuration file, for messages

    def with_folder(self, task: Task, failed: Failure | None) -> Failure | None:
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

    def in_sandbox(
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
