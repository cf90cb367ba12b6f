"""Check whether a record is still valid: whether what its run used is as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nbbuild.disk.project_folder import DOT
from nbbuild.judging.inputs import Inputs
from nbbuild.model import ArtefactFile, Reason, Record, Task
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.watching.traces import KnownValues, Own, Traces

# What working with a record may raise if its values are not from nbbuild.
_ODD = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    re.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """Compares records with the project as it is now; thread-safe if its parts are."""

    inputs: Inputs
    traces: Traces
    replaceable: Callable[[Task, str, str], bool]
    """Whether a path of this kind is another task's output; see tree.Tree."""
    closed: Sequence[str]
    """nbbuild's own folders in the root."""
    scratch: Sequence[str]
    """The scratch patterns of all tasks."""

    def broken(
        self, task: Task, record: Record, seen: KnownValues | None = None
    ) -> Iterator[Reason]:
        """Yield what a record's run used that is different now; `seen` is that of traces."""
        if record.own:
            yield from self._no_longer_found(task, record)
        if not record.trace.items:
            return
        own = self.own(task, record.undeclared)
        probe = self.inputs.probe(task)
        try:
            for one in self.traces.broken(record.trace, probe=probe, own=own.name, seen=seen):
                if not self._of_its_kind(task, one):
                    yield one
        except _ODD as error:  # such as a NUL in a name: another program wrote the record
            text = f"what its last run used cannot be compared: {error}"
            yield Reason("trace", text=text)

    def own(self, task: Task, undeclared: Iterable[ArtefactFile] = ()) -> Own:
        """Return the paths that are the task's own, or nbbuild's."""
        paths = (file.path for file in undeclared)
        return Own(task, undeclared=paths, closed=[*self.closed, DOT], scratch=self.scratch)

    def _no_longer_found(self, task: Task, record: Record) -> Iterator[Reason]:
        """Yield the files behind the record that are scratch now: a run would not find them."""
        patterns = [Pattern.parse(text) for text in task.scratch]
        for path in record.own:
            if any(matches(pattern, path) for pattern in patterns):
                text = f"its result uses '{path}', which is scratch now"
                yield Reason("scratch", path, text=text)

    def _of_its_kind(self, task: Task, reason: Reason) -> bool:
        """Whether another task left what is now at a path where this task's run found nothing."""
        if reason.kind != "absent" or not reason.old or not reason.new:
            return False
        return self.replaceable(task, reason.item, reason.new)
