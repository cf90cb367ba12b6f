"""Find files that one task wrote and another used without an edge between them.

Whether such a reader saw the file before or after the write is an accident. This is tup's rule: a
task must not use a file that another task makes unless it says so, since no later build could tell.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from nbbuild.judging.endings import line
from nbbuild.judging.meeting import NO_DEEDS, Deeds, Facts, Nearness, facts_of
from nbbuild.model import Failure, Record, Task
from nbbuild.paths.patterns import escape
from nbbuild.project.graph import Graph, makes


@dataclass(frozen=True, slots=True)
class Conflict:
    """`writer` wrote `path`, which `reader` used (or makes itself), and no edge orders the two."""

    writer: str
    reader: str
    path: str
    how: str  # "reads", "lists the folder of", "looks for", "makes"
    declared: bool = False  # whether the writer declares it
    there: bool = False  # whether it existed before the writer changed it
    circle: bool = False  # whether the writer already waits for the reader


class Settled(NamedTuple):
    """How a run fits in with all the others."""

    conflicts: tuple[Conflict, ...] = ()
    stale: tuple[Record, ...] = ()  # of tasks that read a file before this one wrote it
    spoilt: tuple[Record, ...] = ()  # of tasks that this one may have spoilt while both ran
    again: tuple[str, ...] = ()  # tasks to judge again, those of `spoilt` included
    collided: tuple[tuple[str, str], ...] = ()  # met while both ran: (goes first, the other)


class Uses:
    """What each task of one build wrote and used; thread-safe."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[str, Facts] = {}
        self._near = Nearness()
        self._failed: dict[str, Facts] = {}  # runs in conflict: others may read their files
        self._lock = threading.Lock()

    def settle(self, task: Task, record: Record, deeds: Deeds = NO_DEEDS) -> Settled:
        """Add what a run of `task` wrote and used; return how it fits in with the others.

        A run that has conflicts, or that collided with another one beside it, is not added.
        """
        facts = facts_of(task, record, deeds)
        with self._lock:
            collided = tuple(self._collided(facts))
            found = tuple(dict.fromkeys(self._conflicts(facts)))
            spoilt = set(self._spoilt(facts))
            again = spoilt | set(self._behind(facts))
            # A task whose file was overwritten has a sound record, from which it is put back.
            stale = {one.reader for one in found if one.how != "makes"} - {task.name}
            if not found and not collided:
                self._take_in(facts)
            self._failed.pop(task.name, None)
            if found and not collided:
                self._failed[task.name] = facts
            return Settled(
                conflicts=found,
                stale=self._records(stale),
                spoilt=self._records(spoilt),
                again=tuple(sorted(again)),
                collided=collided,
            )

    def _take_in(self, facts: Facts) -> None:
        self._known[facts.task.name] = facts
        self._near.add(facts)

    def _records(self, names: Iterable[str]) -> tuple[Record, ...]:
        return tuple(self._known[name].record for name in sorted(names) if name in self._known)

    def met(self, task: Task, deeds: Deeds) -> tuple[tuple[str, str], ...]:
        """Return the tasks that, beside `task`, wrote files that it touched before it failed.

        They come in pairs: the task that goes first, and the other.
        """
        with self._lock:
            return tuple(
                (name, task.name)
                for name in sorted(deeds.beside & self._known.keys())
                if not self._known[name].wrote.isdisjoint(deeds.touched)
            )

    def note(self, task: str, record: Record) -> None:
        """Add an earlier run that still holds."""
        with self._lock:
            self._failed.pop(task, None)
            self._take_in(facts_of(self._graph.tasks[task], record, NO_DEEDS))

    def _conflicts(self, ours: Facts) -> Iterator[Conflict]:
        for name in self._near.of(ours):
            theirs = self._known[name]
            yield from self._unordered(theirs, ours)
            yield from self._unordered(ours, theirs)
            yield from _writes_over(ours, theirs.task)
            yield from _writes_over(theirs, ours.task)
        for name, theirs in self._failed.items():
            if name != ours.task.name:
                yield from self._unordered(theirs, ours)

    def _unordered(self, writer: Facts, reader: Facts) -> Iterator[Conflict]:
        # Hardly any of them meet, so the graph is asked last.
        met = [one for one in _met(writer, reader) if one.path not in writer.rewrites]
        if met and not self._ordered(writer.task.name, reader.task.name):
            circle = self._ordered(reader.task.name, writer.task.name)
            yield from (replace(one, circle=circle) for one in met)

    def _collided(self, ours: Facts) -> Iterator[tuple[str, str]]:
        """Yield a pair for each task that ran beside this one and met it on a path."""
        for name in sorted(ours.deeds.beside & self._known.keys()):
            theirs = self._known[name]
            if next(self._unordered(theirs, ours), None) or _spoils(theirs, ours):
                yield name, ours.task.name
            elif next(self._unordered(ours, theirs), None):
                yield ours.task.name, name

    def _spoilt(self, ours: Facts) -> Iterator[str]:
        """Yield the tasks whose files this one overwrote while both ran."""
        for name in ours.deeds.beside & self._known.keys():
            if _spoils(ours, self._known[name]):
                yield name

    def _behind(self, ours: Facts) -> Iterator[str]:
        """Yield the tasks that used, before it changed, a file that this one always rewrites."""
        for name in self._near.of(ours) if ours.rewrites else ():
            met = (one.path for one in _met(ours, self._known[name]))
            if not ours.rewrites.isdisjoint(met) and not self._ordered(name, ours.task.name):
                yield name

    def _ordered(self, first: str, second: str) -> bool:
        return first in self._graph.needed([second])


def pairs_by_rewriting(records: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Yield (writer, reader) where one always rewrites what the other reads, and not vice versa."""
    for writer, reader in beside_a_writer(records):
        theirs = {*records[reader].rewritten}
        if theirs.isdisjoint(_read(records[writer])):
            yield writer, reader


def beside_a_writer(records: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Yield (writer, other) where one always rewrites what the other reads or rewrites."""
    writers = {name: {*one.rewritten} for name, one in records.items() if one.rewritten}
    if not writers:
        return
    used = {name: _read(one) | {*one.rewritten} for name, one in records.items()}
    for writer, paths in writers.items():
        for other, theirs in used.items():
            if other != writer and not paths.isdisjoint(theirs):
                yield writer, other


def _read(record: Record) -> set[str]:
    return {item.name for item in record.trace.items if item.kind == "file"}


def failure(
    conflicts: Sequence[Conflict], *, ignored: Callable[[str], bool] = lambda path: False
) -> Failure:
    """Return the failure of a run that is the later one in `conflicts`.

    `ignored` says whether version control leaves a file out; no such file becomes an artefact.
    """
    first, *rest = conflicts
    told = [
        f"'{one.reader}' {one.how} '{one.path}', which '{one.writer}' writes"
        for one in (first, *rest)
    ]
    lines = tuple(_lines(conflicts, ignored))
    return Failure(
        "order",
        f"{told[0]}, and no order between them is declared",
        None,
        "\n".join(told[1:]),
        _hint(first, lines),
        lines=lines,
    )


def _lines(
    conflicts: Sequence[Conflict], ignored: Callable[[str], bool]
) -> Iterator[tuple[str, str, str]]:
    """Yield the declarations that put writers before readers, as (task, key, value)."""
    ways = {(one.writer, one.reader) for one in conflicts}
    for one in conflicts:
        if one.how == "makes" or one.circle or (one.reader, one.writer) in ways:
            continue
        path = escape(one.path).replace("{", "{{").replace("}", "}}")
        if one.there or (not one.declared and ignored(one.path)):
            # Artefacts are removed before each run, and this file is the user's.
            yield one.reader, "depends_on", one.writer
            continue
        if not one.declared:
            yield one.writer, "artefacts", path
        yield one.reader, "assets", path


def _hint(first: Conflict, lines: Sequence[tuple[str, str, str]]) -> str:
    if first.how == "makes":
        return f"let only one of them write '{first.path}'"
    if not lines:
        return (
            f"each waits for the other: let '{first.writer}' write another file, "
            f"or do both in one notebook"
        )
    grouped: dict[tuple[str, str], list[str]] = {}
    for task, key, value in lines:
        values = grouped.setdefault((task, key), [])
        if value not in values:
            values.append(value)
    *most, last = [f"{line(key, values)} for '{task}'" for (task, key), values in grouped.items()]
    said = f"{', '.join(most)} and {last}" if most else last
    return f"declare the order: {said}"


def _met(writer: Facts, reader: Facts) -> Iterator[Conflict]:
    """Yield the conflicts about what `reader` used and `writer` changed."""
    for path, declared in writer.written.items():
        how = reader.used.get(path, "")
        if not how and path in writer.renamed:
            if (posixpath.dirname(path) or ".") in reader.folders:
                how = "lists the folder of"
            elif any(fnmatchcase(path, pattern) for pattern in reader.globs):
                how = "looks for"
        if how:
            there = path not in writer.renamed
            yield Conflict(writer.task.name, reader.task.name, path, how, declared, there)


def _spoils(writer: Facts, other: Facts) -> bool:
    """Whether `writer` may have spoilt `other` while both ran.

    What a run used is checked again when it ends, but not what it wrote before it read it.
    """
    met = writer.wrote & (other.deeds.touched | other.wrote)
    return bool(met) and (not other.deeds.sound or not met.isdisjoint(other.own))


def _writes_over(writer: Facts, maker: Task) -> Iterator[Conflict]:
    for file in writer.record.undeclared:
        if makes(maker, file.path):
            yield Conflict(writer.task.name, maker.name, file.path, "makes")
