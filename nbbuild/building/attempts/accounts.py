"""Work out what a run used and wrote, from what its kernel was seen to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbbuild.building.attempts.protocol import Attempted
from nbbuild.disk.digests import Digests
from nbbuild.interpreter.environment import Probe
from nbbuild.judging.fingerprint import working_folder
from nbbuild.judging.inputs import InEffect, Inputs
from nbbuild.model import ActionKey, Digest, Task, Trace
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.tree import Tree
from nbbuild.watching.scope import Scope
from nbbuild.watching.traces import Own
from nbbuild.watching.tracing import traced
from nbbuild.watching.watched import Watched, Watching

_NO_PYTHON = Probe("", "", "", "", {}, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was known when a run began."""

    began_ns: int
    now: InEffect
    found: Mapping[str, Digest]  # files left by earlier runs, which it could find


class Account(Protocol):
    """Works out what a run used and wrote."""

    def __call__(self, task: Task, key: ActionKey, attempted: Attempted, before: Before) -> Watched:
        """Return what a run of `task` under `key` used and wrote."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Reads the accounts that the kernels of one project give."""

    root: Path
    store: Path
    environ: Mapping[str, str]
    digests: Digests
    inputs: Inputs
    tree: Tree
    own: Callable[[Task], Own]

    def __call__(self, task: Task, key: ActionKey, attempted: Attempted, before: Before) -> Watched:
        """Return what the run used and wrote."""
        inputs = self.inputs
        after = inputs.probe(task)
        if inputs.level(task) == "none":
            return Watched(trace=Trace())
        if attempted.observed is None:
            return Watched(trace=Trace(), changed=("the kernel did not report what it used",))
        now = before.now
        folder = working_folder(task, now.settings)
        watching = Watching(
            scope=self.scope(task, now.probe, closed=attempted.private),
            digests=self.digests,
            cells=tuple(cell.source for cell in now.parsed.cells),
            cwd=(attempted.root / folder).resolve(),
            began_ns=before.began_ns,
            before=now.probe or _NO_PYTHON,
            after=after or _NO_PYTHON,
            named=inputs.imported,
            declared=frozenset(
                item
                for one in key.fingerprints
                if one.kind in ("assets", "modules", "files")
                for item, _ in one.items
            ),
            scratch=_means(task.scratch),
            left=before.found,
            tracked=self.tree.tracked(),
        )
        return traced(watching, attempted.observed)

    def scope(self, task: Task, probe: Probe | None, *, closed: Sequence[Path] = ()) -> Scope:
        """Return which paths count for `task`."""
        return Scope(
            self.root,
            folders=probe.folders if probe is not None else (),
            closed=[self.store, *closed],
            own=self.own(task),
            environ=self.environ,
        )


def _means(texts: Sequence[str]) -> Callable[[str], bool]:
    patterns = [Pattern.parse(text) for text in texts]
    return lambda path: any(matches(pattern, path) for pattern in patterns)
