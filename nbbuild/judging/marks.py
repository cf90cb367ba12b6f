"""Find what users should know about a verdict even though it holds, such as its limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from nbbuild.judging import endings
from nbbuild.judging.inputs import Inputs
from nbbuild.judging.last_runs import LastRuns
from nbbuild.model import Judgement, Record, Task, Verdict
from nbbuild.watching.levels import closeness, in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Finds the marks of verdicts; call it with a judgement."""

    tasks: Mapping[str, Task]
    unreadable: Collection[str]
    """Sources that cannot be read."""
    inputs: Inputs
    runs: LastRuns

    def __call__(self, judgement: Judgement) -> Iterator[str]:
        """Yield what users should know about the limits of a verdict."""
        task = self.tasks[judgement.task]
        if task.source in self.unreadable:
            return
        now = self.inputs.in_effect(task)
        if now.probe is None and self.inputs.level(task) == "none":
            yield (
                f"its kernel '{now.kernel.name}' cannot be watched: only what it declares counts"
            )
        outcome, record = self.runs.last(task)
        record = judgement.record or record
        own = record.own if record is not None else outcome.own if outcome is not None else ()
        if own:
            yield endings.rests_on(own)
        if record is None:
            return
        python = now.probe.version if now.probe is not None else ""
        hit = judgement.verdict in (Verdict.FRESH, Verdict.REFRESH)
        if hit and record.python and python and record.python != python:
            yield f"its result was made with {record.python}; its kernel is {python} now"
        yield from self._of_the_trace(task, record)

    def on(self, judgement: Judgement) -> Judgement:
        """Return `judgement` with its marks."""
        return replace(judgement, marks=tuple(self(judgement)))

    def _of_the_trace(self, task: Task, record: Record) -> Iterator[str]:
        trace = record.trace
        if trace.hosts and task.max_age is None:
            hosts = ", ".join(trace.hosts[:3])
            yield f"it contacted {hosts}, and has no max_age"
        if trace.exempt:
            yield f"its system calls were not watched, so that '{trace.exempt}' keeps its rights"
        elif trace.best and closeness(trace.level) < closeness(self.inputs.level(task)):
            yield f"its last run {in_words(trace.level)}: its machine allowed no more"
        if trace.partial and not trace.exempt:
            yield f"not everything that it used was seen: {trace.partial[0]}"
