"""Make one report of several, each of a build of a part of one project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from nbbuild.disk import regular
from nbbuild.disk.shapes import Misshapen
from nbbuild.errors import UsageError
from nbbuild.model import OutcomeKind
from nbbuild.report.document import Document, TaskRun, counted, critical_path, decoded

_RANK: Final = (
    OutcomeKind.FAILED,
    OutcomeKind.EXECUTED,
    OutcomeKind.RESTORED,
    OutcomeKind.REFRESHED,
    OutcomeKind.FRESH,
    OutcomeKind.BLOCKED,
    OutcomeKind.CANCELLED,
)
"""Of a task with several outcomes the first of these is taken: a failure must not be lost, and
what blocked a task in one build is in that build's report itself."""

_PROBLEM, _INTERRUPTED = 3, 130


def read(paths: Iterable[str]) -> list[Document]:
    """Return the reports in JSON files, each once. Raises `UsageError`."""
    found: list[Document] = []
    for path in paths:
        try:
            document = decoded(regular.read(path))
        except (OSError, Misshapen) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(
                f"'{path}' is no report that can be read",
                facts=[("reason", reason)],
                hint="`nbbuild report --json > FILE` writes one",
            ) from error
        if document not in found:
            found.append(document)
    return found


def merged(documents: Sequence[Document]) -> Document:
    """Return one report of `documents`, of which there is at least one, on one clock.

    A task that several have is taken once: a failure first, then a run, then what was restored. The
    slots of each follow those of the one before.
    """
    began = min(one.began for one in documents)
    first = min(documents, key=lambda one: (one.began, one.id))
    runs: dict[str, list[TaskRun]] = {}
    below = 0  # slots of the documents so far
    for document in documents:
        for task in document.tasks:
            moved = _moved(task, seconds=document.began - began, slots=below)
            runs.setdefault(task.task, []).append(moved)
        below += max([document.slots, *(one.slot or 0 for one in document.tasks)])
    tasks = _in_order({name: _taken(several) for name, several in runs.items()})
    interrupted = any(one.interrupted for one in documents)
    incomplete = list(_incomplete(documents))
    statuses = [one.exit_status for one in documents] + [_PROBLEM for _ in incomplete]
    problems = [text for one in documents for text in one.problems]
    return Document(
        id=first.id,
        nbbuild=_words(one.nbbuild for one in documents),
        python=_words(one.python for one in documents),
        project=first.project,
        targets=_targets(documents),
        began=began,
        seconds=max(one.began + one.seconds for one in documents) - began,
        slots=below,
        exit_status=_INTERRUPTED if interrupted else max(statuses),
        interrupted=interrupted,
        counts=counted(tasks),
        problems=tuple(dict.fromkeys([*problems, *incomplete])),
        tasks=tasks,
        critical_path=critical_path(tasks),
    )


def _incomplete(documents: Sequence[Document]) -> Iterator[str]:
    """Yield why these reports of shards may not hold all notebooks."""
    shards = [one for one in documents if one.shard]
    if len({one.division for one in shards}) > 1:
        yield (
            "the shards were not divided alike, so some notebooks may be in none: all machines "
            "have to begin with the same files and the same .nbbuild"
        )
        return
    there = {one.shard for one in shards}
    count = int(shards[0].shard.partition("/")[2]) if shards else 0
    for number in range(1, count + 1):
        if f"{number}/{count}" not in there:
            yield f"the report of shard {number}/{count} is missing"


def _moved(task: TaskRun, *, seconds: float, slots: int) -> TaskRun:
    """Return `task` as seen from `seconds` earlier, with `slots` before its own."""

    def later(offset: float | None) -> float | None:
        return None if offset is None else offset + seconds

    return msgspec.structs.replace(
        task,
        begin=later(task.begin),
        end=later(task.end),
        slot=None if task.slot is None else task.slot + slots,
        cells=tuple(msgspec.structs.replace(one, begin=later(one.begin)) for one in task.cells),
    )


def _taken(runs: Sequence[TaskRun]) -> TaskRun:
    rank = {kind.value: place for place, kind in enumerate(_RANK)}
    taken = min(runs, key=lambda one: rank.get(one.outcome, len(rank)))
    executed = sum(one.executed for one in runs)
    if executed < 2:
        return taken
    note = f"executed in {executed} of the merged builds; this is one of them"
    return msgspec.structs.replace(taken, notes=(*taken.notes, note))


def _in_order(tasks: Mapping[str, TaskRun]) -> tuple[TaskRun, ...]:
    """Return the tasks, each after those that it waits for."""
    done: dict[str, TaskRun] = {}
    todo = list(reversed(list(tasks)))
    entered: set[str] = set()  # a file from outside may hold a circle
    while todo:
        name = todo[-1]
        above = [one for one in tasks[name].upstream if one in tasks and one not in entered]
        if name not in entered and above:
            entered.add(name)
            todo += reversed(above)
            continue
        entered.add(name)
        done.setdefault(todo.pop(), tasks[name])
    return tuple(done.values())


def _targets(documents: Sequence[Document]) -> tuple[str, ...]:
    """Return what was asked for by any; nothing means everything."""
    if not all(one.targets for one in documents):
        return ()
    return tuple(dict.fromkeys(word for one in documents for word in one.targets))


def _words(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
