"""Execute notebooks again, without the cache and in a scratch copy, and compare with the store.

First all notebooks run, in a shuffled order, in one copy of the project that holds none of the
artefacts: each is made by its task, or put there from the store when its task is no target.

A notebook whose result differs from the stored one then runs by itself, in the copy as it was,
with the stored artefacts of the tasks that it needs. What comes of that says why:

* the same as the first time: something that nobody declared has changed, or is not in the copy;
* else it runs by itself once more. Two results under the same conditions: not deterministic;
* the stored result, twice: what the other notebooks left behind made the difference.

A notebook whose upstream tasks gave something else the first time, or failed, is judged only by
the runs with their stored artefacts. So one finding is not told again for all that follows from it.
"""

from __future__ import annotations

import enum
import json
import os
import random
import re
import secrets
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from nbbuild.building import scheduler
from nbbuild.building.builder import Builder
from nbbuild.building.executors import local
from nbbuild.building.preparing import Preparing
from nbbuild.building.turns import Again, Pairs, Turns
from nbbuild.config.types import CacheTable, Config
from nbbuild.errors import NbbuildError, NotebookError, UsageError
from nbbuild.events import Ended, Noted, Observer, Planned, silent
from nbbuild.export.merge import built_from
from nbbuild.judging.conflicts import Uses
from nbbuild.judging.fingerprint import working_folder
from nbbuild.kernels.launch.machine import cores, threads_each
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.launch.usage import held_below
from nbbuild.model import Failure, Outcome, OutcomeKind, Record, Task, Verdict
from nbbuild.notebook.configuration import configuration_file
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.scratch import Scratch, scratch_copy
from nbbuild.project.graph import makes
from nbbuild.session import Session, session_of
from nbbuild.verbs.comparing import Comparison, Difference

_SEEDS = 1_000_000
_NAMED = 10  # files that a message names at most
_TRACEBACK_LINES = 25
_MISSING = (
    re.compile(r"No such file or directory: b?[\"']([^\"']+)[\"']"),
    re.compile(r"(?:Error|Exception): (\S+) (?:not found|does not exist)"),
    re.compile(r"can't open file [\"']([^\"']+)[\"']"),
)


class Result(enum.Enum):
    """What verifying one task came to."""

    SAME = "same"
    NOT_DETERMINISTIC = "not deterministic"
    UNDECLARED = "undeclared input"  # it has changed since, or is not in the copy
    ORDER = "order"  # other notebooks change its result
    SKIPPED = "skipped"  # `cache = false`: there is nothing to compare with


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What verifying one task came to, and how its result differs from the stored one."""

    task: str
    result: Result
    source: str
    differences: tuple[Difference, ...] = ()  # one for each cell that differs, then others
    artefacts: tuple[str, ...] = ()  # those that differ
    failure: Failure | None = None  # of a run that failed, though the stored one had not
    missing: str = ""  # a file of the project that the copy lacks and the notebook looked for
    missing_why: str = ""
    left: tuple[str, ...] = ()  # files that notebooks left undeclared, for ORDER
    seconds: float = 0.0  # of the first run


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The findings on all targets, in the graph's order."""

    seed: int
    findings: tuple[Finding, ...] = ()
    left: tuple[str, ...] = ()  # files that notebooks wrote or altered without declaring them
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 all the same, 1 any differs."""
        fine = (Result.SAME, Result.SKIPPED)
        return int(any(finding.result not in fine for finding in self.findings))


def verify(
    session: Session,
    *,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    seed: int | None = None,
    observer: Observer = silent,
) -> Verification:
    """Execute `targets` (none: everything) again in a scratch copy and compare with the store.

    `jobs` notebooks run at once (None: as configured), in an order that `seed` decides, as far as
    the graph leaves a choice. Neither the project nor its records change. Raises `UsageError` when
    a target, or what it needs, is not up to date, and what planning raises; `NbbuildError` when
    there is no room for the copy. An interrupt ends all kernels, removes the copy and is raised.
    """
    began = time.monotonic()
    seed = secrets.randbelow(_SEEDS) if seed is None else seed
    wanted = session.wanted(targets, upstream=False)
    needed = session.wanted(targets)
    records = _up_to_date(session, needed, targets)
    names = tuple(name for name in wanted if name in records)
    findings = {
        name: Finding(task=name, source=session.graph.tasks[name].source, result=Result.SKIPPED)
        for name in wanted
        if name not in records
    }
    left: tuple[str, ...] = ()
    if names:
        slots = _slots(session, jobs)
        observer(Planned(len(names), len(names), slots, session.state.durations()))
        order = f"the order is that of --seed {seed}"
        observer(Noted("", f"executing in a scratch copy of the project; {order}"))
        ours = _Ours(session, needed, records)
        left_out, tell = ours.left_out(), _tells_copying(observer)
        with (
            session.store.in_use(),
            scratch_copy(session.root, left_out=left_out, told=tell) as scratch,
        ):
            for record in records.values():  # they are compared with in the end only
                session.store.used(record)
            ours.complete(scratch)
            if scratch.unreadable:
                observer(Noted("", f"not copied, since unreadable: {_named(scratch.unreadable)}"))
            with session_of(_elsewhere(session, scratch), environ=session.environ) as again:
                told, left = _Runs(session, again, scratch, ours, observer).all(
                    names, slots=slots, seed=seed
                )
                findings.update(told)
    return Verification(
        seed=seed,
        findings=tuple(findings[name] for name in wanted),
        left=left,
        seconds=time.monotonic() - began,
    )


def _slots(session: Session, jobs: int | None) -> int:
    execution = session.config.execution
    if jobs is None and execution.executor == "serial":
        return 1
    chosen = jobs or execution.jobs
    return cores() if chosen == "auto" else int(chosen)


def _elsewhere(session: Session, scratch: Scratch) -> Config:
    """Return the configuration of the project as it is in the copy, with a store of its own."""
    config = session.config
    return replace(
        config,
        root=scratch.root,
        path=scratch.root / config.path.name,
        cache=CacheTable(),
        # No key is looked up, so their output does not matter; git, say, would fail in a copy.
        environment=replace(config.environment, commands=()),
    )


def _up_to_date(
    session: Session, names: Sequence[str], targets: Sequence[str]
) -> dict[str, Record]:
    """Return the record that is a hit for each task but those of `cache = false`.

    Raises `UsageError` that names the others, and what stands in the way of judging.
    """
    tasks = [session.graph.tasks[name] for name in names]
    for task in tasks:
        if task.source in session.project.unreadable:
            raise session.project.unreadable[task.source]
    session.check(names)
    judge = session.judge()
    records: dict[str, Record] = {}
    facts: list[tuple[str, str]] = []
    for task in tasks:
        if not task.cache:
            continue
        try:
            judgement = judge.final(task.name)
        except NbbuildError as error:
            facts.append((task.name, error.what))
            continue
        record = judgement.record
        if record is None or judgement.verdict is Verdict.RUN:
            facts.append((task.name, str(judgement.reasons[0])))
        elif not session.store.has(record.cells):
            facts.append((task.name, "its result is no longer whole in the cache"))
        else:
            records[task.name] = record
    if facts:
        one = f"'{facts[0][0]}' is" if len(facts) == 1 else f"{len(facts)} notebooks are"
        build = " ".join(["nbbuild", *targets])
        raise UsageError(
            f"{one} not up to date, so there is no result to compare with",
            facts=facts[:_NAMED] + [("and", f"{len(facts) - _NAMED} more")][: len(facts) > _NAMED],
            hint=f"build first: `{build}`",
        )
    return records


def _tells_copying(observer: Observer) -> Callable[[int, int], None]:
    def tell(count: int, size: int) -> None:
        observer(Noted("", f"copying the project: {count:,} files, {size / 1e6:,.0f} MB so far"))

    return tell


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(f"'{path}'" for path in paths[:_NAMED]) + more


class _Ours:
    """What of the project's files is a result, and the stored results themselves."""

    def __init__(
        self, session: Session, needed: Sequence[str], records: Mapping[str, Record]
    ) -> None:
        self._session = session
        self._needed = needed
        self.records = records
        self._tasks = session.graph.tasks
        self._ledgers = session.tree.known()
        self._built = {task.built for task in session.project.tasks}

    def left_out(self) -> set[str]:
        """Return the files and folders that the copy shall not hold, relative to the root."""
        config = self._session.config
        made = {config.project.output, *self._built}
        store = os.path.relpath(config.store, self._session.root)
        made.add(Path(store).as_posix())
        for ledger in self._ledgers.values():
            made |= {one.path for one in (*ledger.made, *ledger.built)}
            if not ledger.finished:
                made |= set(self._session.walker.match_all(ledger.patterns))
        for record in self.records.values():
            made |= {one.path for one in (*record.artefacts, *record.undeclared)} - {
                *record.altered
            }
            made |= {*record.own}
        sources = {
            path for task in self._session.project.tasks for path in (task.source, *task.paired)
        }
        return made - sources

    def complete(self, scratch: Scratch) -> None:
        """Bring into the copy what is declared, or was used, and is not in it yet."""
        session = self._session
        undeclared = {one.path for r in self.records.values() for one in r.undeclared}
        undeclared |= {path for record in self.records.values() for path in record.own}
        for name in self._needed:
            task = self._tasks[name]
            declared = {task.source, *task.paired, *session.walker.match_all(task.files)}
            for text in task.assets:
                declared.update(session.inputs.asset_paths(task, Pattern.parse(text)))
            parsed = session.inputs.parsed(task)
            settings = session.inputs.settings(task, parsed)
            declared.update(session.inputs.module_paths(task, parsed, settings))
            used = self.records[name].trace.items if name in self.records else ()
            # What was only looked at is looked for again.
            seen = [i for i in used if i.kind == "stat"]
            found = {i.name for i in used if i.kind == "file"}
            found |= {i.name for i in seen if i.value.startswith("f")}
            declared.update(found - undeclared)
            folders = [i.name for i in seen if i.value.startswith("d")]
            kinds = ("listing", "glob")
            folders += [i.name.partition(":")[0] for i in used if i.kind in kinds]
            for folder in (*task.python_path, *folders):
                if folder.startswith("../"):
                    scratch.link(folder)
            lacking = [path for path in sorted(declared) if scratch.lacks(path)]
            scratch.add(path for path in lacking if not self.maker(path))
        # A folder above may hold the configuration by which Jupytext reads the notebooks.
        above = configuration_file(session.root.parent)
        if above is not None and session.root.is_relative_to(above.parent):
            scratch.add([os.path.relpath(above, session.root)])

    def maker(self, path: str) -> str:
        """Return the task that makes `path`, as an artefact or its built notebook; "" if none."""
        return next(
            (
                task.name
                for task in self._session.project.tasks
                if task.built == path or makes(task, path)
            ),
            "",
        )

    def built(self, name: str) -> bytes:
        """Return the built notebook that belongs to the task's record."""
        data = built_from(self._session, self._tasks[name], self.records[name])
        if data is None:  # it was there when the records were looked up
            raise NbbuildError(f"the result of '{name}' has gone from the cache meanwhile")
        return data

    def put(self, name: str, root: Path) -> None:
        """Put the stored results of a task into the project at `root`."""
        session = self._session
        task, record = self._tasks[name], self.records.get(name)
        if record is None:
            ledger = self._ledgers.get(name)
            made = [one.path for one in ledger.made] if ledger else []
            for path in (*made, task.built):
                self._from_tree(path, root / path)
            return
        for artefact in record.artefacts:
            place = root / artefact.path
            if not session.store.restore(
                artefact.digest, place, executable=artefact.executable
            ) and not self._from_tree(artefact.path, place, digest=artefact.digest):
                raise NbbuildError(
                    f"'{artefact.path}', an artefact of '{name}', is not in the cache",
                    hint=f"build it again: `nbbuild -B {shlex.quote(name)}`",
                )
        place = root / task.built
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.built(name))

    def _from_tree(self, path: str, place: Path, *, digest: str | None = None) -> bool:
        source = self._session.root / path
        there = self._session.digests.digest(source)
        if there is None or there != (digest or there):
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place)
        return True


@dataclass(frozen=True, slots=True)
class _Run:
    """The result of one execution, the stored one included."""

    built: bytes
    artefacts: Mapping[str, str]  # path → digest
    failure: Failure | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Differs:
    """How one result differs from another; true if it does."""

    cells: tuple[Difference, ...] = ()
    artefacts: tuple[str, ...] = ()
    failed: bool = False

    def __bool__(self) -> bool:
        return bool(self.cells or self.artefacts or self.failed)


@dataclass(slots=True)
class _Runs:
    """The runs in the copy, and what they say."""

    session: Session
    again: Session  # the copy
    scratch: Scratch
    ours: _Ours
    observer: Observer
    _first: dict[str, _Run] = field(default_factory=dict)
    _other: set[str] = field(default_factory=set)  # gave other bytes than the stored ones
    _suspects: set[str] = field(default_factory=set)

    def all(
        self, names: Sequence[str], *, slots: int, seed: int
    ) -> tuple[dict[str, Finding], tuple[str, ...]]:
        """Run `names`, and those that differ again; return the findings and undeclared files."""
        for name in self._upstream_of(names):
            if name not in names:
                self.ours.put(name, self.again.root)
        self.again.walker.forget()
        shuffled = list(names)
        random.Random(seed).shuffle(shuffled)
        workers = local.local(slots)
        cancelled = threading.Event()
        with workers.executor, Launcher() as launcher:
            builder = Builder(
                session=self.again,
                judge=self.again.judge(forced=names),
                launcher=launcher,
                observer=self.observer,
                cancelled=cancelled,
                uses=Uses(self.again.graph),
                turns=Turns(),
                pairs=Pairs(self.again.state),
                again=Again(),
                preparing=Preparing(session=self.again, threads=threads_each(slots, len(names))),
                room=Room(
                    self.again.config.execution.max_memory,
                    held=lambda: held_below(launcher.pid),
                ),
            )

            def perform(wanted: Sequence[str], act: Callable[[str], bool]) -> None:
                scheduler.run(
                    wanted,
                    self.again.graph,
                    up_to_date=lambda name: False,
                    act=act,
                    blocked=lambda name, by: None,
                    executor=workers.executor,
                    slots=workers.slots,
                    priority={name: -float(place) for place, name in enumerate(shuffled)},
                    abort=cancelled.set,
                )

            def run(name: str) -> bool:
                self._first[name] = first = self._run(name, builder)
                return first.failure is None

            def alone(name: str) -> _Run:
                runs: list[_Run] = []

                def rerun(name: str) -> bool:
                    runs.append(self._run_alone(name, builder))
                    return True

                perform([name], rerun)
                return runs[0]

            perform(names, run)
            left = tuple(path for path in self.scratch.changed() if not self.ours.maker(path))
            for name in names:
                self._suspect(name)
            told = {name: self._same(name) for name in names if name not in self._suspects}
            suspects = [name for name in names if name in self._suspects]
            if suspects:
                number = f"{len(suspects)} notebook{'s'[: len(suspects) > 1]}"
                self.observer(Noted("", f"running {number} again, each by itself, to find out why"))
            for name in suspects:
                told[name] = self._judged(name, alone, left)
        return told, left

    def _upstream_of(self, names: Iterable[str]) -> tuple[str, ...]:
        graph = self.session.graph
        return graph.sorted({other for name in names for other in graph.upstream(name)})

    # -- runs ----------------------------------------------------------------------------------

    # Results are compared here, in the main thread, not where the runs are: in another one a user's
    # pattern that goes on for ever would not end by an interrupt.

    def _suspect(self, name: str) -> None:
        """Take note of how the first result differs from the stored one, upstream tasks first."""
        run, stored = self._first.get(name), self._stored(name)
        if run is None:  # blocked by another one that failed
            self._other.add(name)
            self._suspects.add(name)
            return
        if (run.built, run.artefacts) != (stored.built, stored.artefacts) or run.failure:
            self._other.add(name)
        upstream = self.session.graph.upstream(name)
        if self._other.intersection(upstream) or self._differs(name, stored, run):
            self._suspects.add(name)

    def _run_alone(self, name: str, builder: Builder) -> _Run:
        """Run `name` in the copy as it was, with the stored results of what it needs."""
        self.scratch.reset()
        for other in self.session.graph.upstream(name):
            self.ours.put(other, self.again.root)
        self.again.walker.forget()
        return self._run(name, builder)

    def _run(self, name: str, builder: Builder) -> _Run:
        outcome = builder.build(name)
        self.observer(Ended(_told(outcome)))
        if outcome.failure is not None or outcome.kind is not OutcomeKind.EXECUTED:
            failure = outcome.failure or Failure("internal", outcome.kind.value)
            return _Run(b"", {}, self._plain_failure(failure), outcome.seconds)
        built = (self.again.root / outcome.built).read_bytes()
        return _Run(self._plain(built), self._artefacts(outcome), None, outcome.seconds)

    def _artefacts(self, outcome: Outcome) -> dict[str, str]:
        records = self.again.store.records(outcome.key.digest) if outcome.key is not None else []
        record = next((one for one in records if one.id == outcome.record), None)
        if record is not None:
            return {one.path: one.digest for one in record.artefacts}
        ledger = self.again.tree.known().get(outcome.task)  # it was not published
        return {one.path: one.digest for one in ledger.made} if ledger is not None else {}

    def _stored(self, name: str) -> _Run:
        artefacts = {one.path: one.digest for one in self.ours.records[name].artefacts}
        return _Run(self._plain(self.ours.built(name)), artefacts)

    # -- places --------------------------------------------------------------------------------

    def _plain(self, built: bytes) -> bytes:
        """Return a notebook in which paths do not tell where the project and its user lie."""
        home = self.session.environ.get("HOME", "").rstrip("/")
        text = built.replace(str(self.scratch.above).encode(), b"")
        return text.replace(f"{home}/".encode(), b"~/") if home else text

    def _plain_failure(self, failure: Failure) -> Failure:
        above = str(self.scratch.above)
        return msgspec.structs.replace(
            failure,
            message=failure.message.replace(above, ""),
            traceback=failure.traceback.replace(above, ""),
        )

    # -- what it means -------------------------------------------------------------------------

    def _differs(self, name: str, before: _Run, after: _Run) -> _Differs:
        """Compare two results of one task."""
        comparison = Comparison.of(self.session.config.verify.ignore)
        if before.failure is not None or after.failure is not None:
            told = [
                None if one is None else (one.kind, one.cell, comparison.text(one.message))
                for one in (before.failure, after.failure)
            ]
            return _Differs(failed=told[0] != told[1])
        paths = sorted({*before.artefacts, *after.artefacts})
        artefacts = tuple(p for p in paths if before.artefacts.get(p) != after.artefacts.get(p))
        if before.built == after.built:
            return _Differs(artefacts=artefacts)
        cells = comparison.notebooks(json.loads(before.built), json.loads(after.built))
        return _Differs(cells, artefacts)

    def _judged(self, name: str, alone: Callable[[str], _Run], left: tuple[str, ...]) -> Finding:
        """Find out why the result of `name` differs from the stored one, if it does."""
        stored, first = self._stored(name), self._first.get(name)
        if self._other.intersection(self.session.graph.upstream(name)):
            first = None  # it had other inputs than the stored run
        second = alone(name)
        if first is None and not self._differs(name, stored, second):
            return self._same(name, second)
        if first is not None and not self._differs(name, first, second):
            return self._finding(name, Result.UNDECLARED, stored, first)
        third = alone(name)
        runs = [run for run in (first, second, third) if run is not None]
        other = next(run for run in runs if self._differs(name, stored, run))
        if self._differs(name, second, third):
            result = Result.NOT_DETERMINISTIC
        elif self._differs(name, stored, second):
            result = Result.UNDECLARED
        else:
            result = Result.ORDER if left else Result.NOT_DETERMINISTIC
        return self._finding(
            name, result, stored, other, left=left if result is Result.ORDER else ()
        )

    def _same(self, name: str, run: _Run | None = None) -> Finding:
        seconds = (run or self._first[name]).seconds
        source = self.session.graph.tasks[name].source
        return Finding(task=name, source=source, result=Result.SAME, seconds=seconds)

    def _finding(
        self,
        name: str,
        result: Result,
        stored: _Run,
        run: _Run,
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
        """Return the file that a run did not find in the copy, though it is in the project."""
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
        """Say why the copy does not hold `path`."""
        maker = self.ours.maker(path)
        if maker:
            kind = "built notebook" if self.session.graph.tasks[maker].built == path else "artefact"
            return f"it is the {kind} of '{maker}'; declare it: assets = [\"{path}\"]"
        return f'an earlier run or another program left it there; declare it: assets = ["{path}"]'


def _told(outcome: Outcome) -> Outcome:
    """Return an outcome without what would lead into the copy, which is soon gone."""
    failure = outcome.failure
    if failure is not None:
        lines = failure.traceback.rstrip().splitlines()[-_TRACEBACK_LINES:]
        failure = msgspec.structs.replace(failure, traceback="\n".join(lines), hint="")
    return msgspec.structs.replace(outcome, failure=failure, built="", notes=(), reasons=())
