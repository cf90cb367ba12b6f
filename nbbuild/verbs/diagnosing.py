"""Find out why a result in the copy differs from the stored one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nbbuild.errors import NotebookError
from nbbuild.events import Noted, Observer
from nbbuild.judging.fingerprint import working_folder
from nbbuild.model import Failure, Task
from nbbuild.session import Session
from nbbuild.text.quantities import number_of
from nbbuild.verbs.comparing import Comparison, Difference
from nbbuild.verbs.findings import Finding, VerifyResult
from nbbuild.verbs.rerunning import Rerun, Reruns
from nbbuild.verbs.stored_results import StoredResults

_MISSING = (
    re.compile(r"No such file or directory: b?[\"']([^\"']+)[\"']"),
    re.compile(r"(?:Error|Exception): (\S+) (?:not found|does not exist)"),
    re.compile(r"can't open file [\"']([^\"']+)[\"']"),
)


@dataclass(frozen=True, slots=True)
class Differs:
    """How one result differs from another; true if it does."""

    cells: tuple[Difference, ...] = ()
    artefacts: tuple[str, ...] = ()
    failed: bool = False

    def __bool__(self) -> bool:
        return bool(self.cells or self.artefacts or self.failed)


@dataclass(slots=True)
class Diagnosis:
    """The findings on tasks, from their first runs and those that each made by itself."""

    session: Session
    stored: StoredResults
    reruns: Reruns
    observer: Observer
    _first: dict[str, Rerun] = field(default_factory=dict)
    _other: set[str] = field(default_factory=set)  # gave other bytes than the stored ones
    _suspects: set[str] = field(default_factory=set)

    # Results are compared here, in the main thread, not where the runs are: in another thread an
    # interrupt could not end a user's pattern that goes on for ever.

    def of(self, names: Sequence[str]) -> tuple[dict[str, Finding], tuple[str, ...]]:
        """Run `names`, and those that differ again; return the findings and undeclared files."""
        self._first.update(self.reruns.together(names))
        left = self.reruns.left()
        for name in names:
            self._suspect(name)
        told = {name: self._same(name) for name in names if name not in self._suspects}
        suspects = [name for name in names if name in self._suspects]
        if suspects:
            number = number_of(len(suspects), "notebook")
            self.observer(Noted("", f"running {number} again, each by itself, to find out why"))
        for name in suspects:
            told[name] = self._judged(name, left)
        return told, left

    def _suspect(self, name: str) -> None:
        """Record how the first result differs from the stored one, upstream tasks first."""
        run, stored = self._first.get(name), self.reruns.before(name)
        if run is None:  # blocked by another task that failed
            self._other.add(name)
            self._suspects.add(name)
            return
        if (run.built, run.artefacts) != (stored.built, stored.artefacts) or run.failure:
            self._other.add(name)
        upstream = self.session.graph.upstream(name)
        if self._other.intersection(upstream) or self._differs(name, stored, run):
            self._suspects.add(name)

    def _differs(self, name: str, before: Rerun, after: Rerun) -> Differs:
        """Compare two results of one task."""
        comparison = Comparison.of(self.session.config.verify.ignore)
        if before.failure is not None or after.failure is not None:
            told = [
                None if one is None else (one.kind, one.cell, comparison.text(one.message))
                for one in (before.failure, after.failure)
            ]
            return Differs(failed=told[0] != told[1])
        paths = sorted({*before.artefacts, *after.artefacts})
        artefacts = tuple(p for p in paths if before.artefacts.get(p) != after.artefacts.get(p))
        if before.built == after.built:
            return Differs(artefacts=artefacts)
        cells = comparison.notebooks(json.loads(before.built), json.loads(after.built))
        return Differs(cells, artefacts)

    def _judged(self, name: str, left: tuple[str, ...]) -> Finding:
        """Find out why the result of `name` differs from the stored one, if it does."""
        stored, first = self.reruns.before(name), self._first.get(name)
        if self._other.intersection(self.session.graph.upstream(name)):
            first = None  # it had other inputs than the stored run
        second = self.reruns.alone(name)
        if first is None and not self._differs(name, stored, second):
            return self._same(name, second)
        if first is not None and not self._differs(name, first, second):
            return self._finding(name, VerifyResult.UNDECLARED, stored, first)
        third = self.reruns.alone(name)
        runs = [run for run in (first, second, third) if run is not None]
        other = next(run for run in runs if self._differs(name, stored, run))
        if self._differs(name, second, third):
            result = VerifyResult.NOT_DETERMINISTIC
        elif self._differs(name, stored, second):
            result = VerifyResult.UNDECLARED
        else:
            result = VerifyResult.ORDER if left else VerifyResult.NOT_DETERMINISTIC
        return self._finding(
            name, result, stored, other, left=left if result is VerifyResult.ORDER else ()
        )

    def _same(self, name: str, run: Rerun | None = None) -> Finding:
        seconds = (run or self._first[name]).seconds
        source = self.session.graph.tasks[name].source
        return Finding(task=name, source=source, result=VerifyResult.SAME, seconds=seconds)

    def _finding(
        self,
        name: str,
        result: VerifyResult,
        stored: Rerun,
        run: Rerun,
        *,
        left: tuple[str, ...] = (),
    ) -> Finding:
        differs = self._differs(name, stored, run)
        task = self.session.graph.tasks[name]
        missing = self._missing(task, run.failure) if run.failure is not None else ""
        return Finding(
            task=name,
            source=task.source,
            result=result,
            differences=differs.cells,
            artefacts=differs.artefacts,
            failure=run.failure,
            missing=missing,
            missing_why=self._why(missing) if missing else "",
            left=left,
            seconds=run.seconds,
        )

    def _missing(self, task: Task, failure: Failure) -> str:
        """Return the file of the project that a run did not find in the copy."""
        with suppress(NotebookError):
            inputs = self.session.inputs
            settings = inputs.settings(task, inputs.parsed(task))
            here = self.session.root / working_folder(task, settings)
            text = f"{failure.message}\n{failure.traceback}"
            for name in (found[1] for pattern in _MISSING for found in pattern.finditer(text)):
                path = os.path.relpath(here / name, self.session.root)
                if (self.session.root / path).exists():
                    return Path(path).as_posix()
        return ""

    def _why(self, path: str) -> str:
        """Return why the copy does not hold `path`."""
        maker = self.stored.maker(path)
        if maker:
            kind = "built notebook" if self.session.graph.tasks[maker].built == path else "artefact"
            return f"it is the {kind} of '{maker}'; declare it: assets = [\"{path}\"]"
        return f'an earlier run or another program left it there; declare it: assets = ["{path}"]'
