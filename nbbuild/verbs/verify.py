"""Execute notebooks again, without the cache and in a scratch copy, and compare with the store.

First all notebooks run, in a shuffled order, in one copy of the project that holds none of the
artefacts. Its task makes each artefact or, if that is not a target, it comes from the store.

A notebook whose result differs from the stored one then runs by itself, in the copy as it was at
first, with the stored artefacts of the tasks that it needs. The outcome says why:

* the same as the first time: something that nobody declared has changed, or is not in the copy;
* otherwise it runs by itself once more. Two results under the same conditions: not deterministic;
* the stored result, twice: what the other notebooks left behind made the difference.

If a notebook's upstream tasks gave something else the first time, or failed, it is judged only by
the runs with their stored artefacts. So a finding is not reported again for all that depends on it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from nbbuild.building.scheduling.slots import Slots, slots_of_build
from nbbuild.config.types import CacheTable, Config
from nbbuild.errors import NbbuildError, UsageError
from nbbuild.events import Noted, Observer, Planned, silent
from nbbuild.model import Record, Verdict
from nbbuild.paths.scratch import Scratch, scratch_copy
from nbbuild.session import Session, session_of
from nbbuild.verbs.diagnosing import Diagnosis
from nbbuild.verbs.findings import Finding, Verification, VerifyResult
from nbbuild.verbs.rerunning import reruns
from nbbuild.verbs.stored_results import StoredResults

_SEEDS = 1_000_000
_NAMED = 10  # the most files that a message names


def verify(
    session: Session,
    *,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    seed: int | None = None,
    observer: Observer = silent,
) -> Verification:
    """Execute `targets` (none: everything) again in a scratch copy and compare with the store.

    `jobs` notebooks run at once (None: as configured). `seed` decides their order, as far as the
    graph leaves a choice. Neither the project nor its records change. Raises `UsageError` if a
    target, or what it needs, is not up to date, and any error of planning; `NbbuildError` if there
    is no room for the copy. An interrupt ends all kernels, removes the copy and is raised again.
    """
    began = time.monotonic()
    seed = secrets.randbelow(_SEEDS) if seed is None else seed
    wanted = session.wanted(targets, upstream=False)
    needed = session.wanted(targets)
    records = _up_to_date(session, needed, targets)
    names = tuple(name for name in wanted if name in records)
    findings = {
        name: Finding(
            task=name, source=session.graph.tasks[name].source, result=VerifyResult.SKIPPED
        )
        for name in wanted
        if name not in records
    }
    left: tuple[str, ...] = ()
    if names:
        stored = StoredResults(session, needed, records)
        with _slots(session, jobs) as slots:
            observer(Planned(len(names), len(names), slots.most, session.state.durations()))
            order = f"the order is that of --seed {seed}"
            observer(Noted("", f"executing in a scratch copy of the project; {order}"))
            told, left = _found(session, stored, names, slots=slots, seed=seed, observer=observer)
        findings.update(told)
    return Verification(
        seed=seed,
        findings=tuple(findings[name] for name in wanted),
        left=left,
        seconds=time.monotonic() - began,
    )


def _found(
    session: Session,
    stored: StoredResults,
    names: Sequence[str],
    *,
    slots: Slots,
    seed: int,
    observer: Observer,
) -> tuple[dict[str, Finding], tuple[str, ...]]:
    """Copy the project and run `names` there; return the findings and the undeclared files."""
    left_out, tell = stored.left_out(), _tells_copying(observer)
    with (
        session.store.in_use(),
        scratch_copy(session.root, left_out=left_out, told=tell) as scratch,
    ):
        for record in stored.records.values():  # they are only needed for the comparison at the end
            session.store.used(record)
        stored.complete(scratch)
        if scratch.unreadable:
            observer(Noted("", f"not copied, since unreadable: {_named(scratch.unreadable)}"))
        with (
            session_of(_elsewhere(session, scratch), environ=session.environ) as again,
            reruns(
                session,
                again,
                scratch,
                stored,
                names=names,
                slots=slots,
                seed=seed,
                observer=observer,
            ) as runs,
        ):
            return Diagnosis(session, stored, runs, observer).of(names)


def _slots(session: Session, jobs: int | None) -> AbstractContextManager[Slots]:
    execution = session.config.execution
    if jobs is None and execution.executor == "serial":
        jobs = 1
    return slots_of_build(jobs, execution.jobs, session.environ)


def _elsewhere(session: Session, scratch: Scratch) -> Config:
    """Return the configuration of the project as it is in the copy, with a store of its own."""
    config = session.config
    return replace(
        config,
        root=scratch.root,
        path=scratch.root / config.path.name,
        cache=CacheTable(),
        # No key is looked up, so their output does not matter; git, for one, would fail in a copy.
        environment=replace(config.environment, commands=()),
    )


def _up_to_date(
    session: Session, names: Sequence[str], targets: Sequence[str]
) -> dict[str, Record]:
    """Return the record that is a hit for each task except those with `cache = false`.

    Raises `UsageError`, which names the others, and any error that prevents judging.
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
            facts.append((task.name, "its result is no longer complete in the cache"))
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
