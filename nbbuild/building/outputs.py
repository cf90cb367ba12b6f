"""The interface to a project's outputs, as a build needs it; tree.Tree is the one on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from nbbuild.model import ArtefactFile, Digest, Record, Task
from nbbuild.tree import Left, Restored


class Outputs(Protocol):
    """The built notebooks and artefacts of a project's tasks; see tree.Tree for each method."""

    def outputs_lock(
        self,
        task: str,
        upstream: Iterable[str] = (),
        *,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> AbstractContextManager[None]:
        """Hold a task's outputs, and keep those of `upstream` from changing."""
        ...

    def begin(self, task: Task, *, forced: bool = False) -> tuple[str, ...]:
        """Put away what earlier runs of `task` made; return what users should know."""
        ...

    def resume(self, task: Task) -> None:
        """Go on with a run of `task` that an earlier build began: put nothing away."""
        ...

    def left(self, task: Task) -> Mapping[str, Digest]:
        """Return what earlier runs of `task` left undeclared."""
        ...

    def leave(self, task: Task, left: Iterable[Left]) -> None:
        """Take note of what a run left undeclared."""
        ...

    def collect(self, task: Task, *, stored: bool = True) -> tuple[ArtefactFile, ...]:
        """Put the artefacts that a run wrote into the store; may raise `ArtefactError`."""
        ...

    def left_empty(self, task: Task) -> tuple[str, ...]:
        """Return the empty folders that a run made under its patterns."""
        ...

    def abandon(self, task: Task) -> None:
        """Remove what an unfinished run made."""
        ...

    def restore(self, task: Task, record: Record) -> Restored:
        """Put the artefacts of a record in their place."""
        ...

    def write_built(self, task: Task, data: bytes, made_from: str) -> tuple[bool, tuple[str, ...]]:
        """Write the built notebook; return whether it changed, and what users should know."""
        ...

    def remove_built(self, task: Task) -> tuple[str, ...]:
        """Remove the built notebook."""
        ...

    def keep_failed(self, task: Task, data: bytes) -> str:
        """Keep a notebook as far as it got, and return where."""
        ...

    def drop_failed(self, task: Task) -> None:
        """Remove what was kept of a failed run."""
        ...
