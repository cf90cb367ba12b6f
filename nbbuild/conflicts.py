"""Find what one task wrote and another used without an edge that puts them in order.

Whether such a reader saw the file before or after it was written is an accident. tup's rule: using
what another rule makes, undeclared, is an error, since no later build could tell.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nbbuild.graph import Graph, makes
from nbbuild.model import Failure, Record, Task


@dataclass(frozen=True, slots=True)
class Conflict:
    """`writer` wrote `path`, which `reader` used (or makes itself), and no edge orders them."""

    writer: str
    reader: str
    path: str
    how: str  # "reads", "lists the folder of", "looks for", "makes"
    declared: bool = False  # whether the writer says that it writes it


class Uses:
    """Who wrote and who used what, over the tasks of one build; thread-safe."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[str, _Facts] = {}
        self._lock = threading.Lock()

    def settle(self, task: Task, record: Record) -> tuple[tuple[Conflict, ...], tuple[Record, ...]]:
        """Take in what a run of `task` wrote and used; return its conflicts with the others.

        Also returns the records of other tasks that read what this one has written since: they
        must not be used again. With conflicts the run is not taken in.
        """
        facts = _facts(task, record)
        with self._lock:
            found = tuple(dict.fromkeys(self._conflicts(facts)))
            # Who makes a file that another wrote over has a sound record: it is put back.
            stale = {one.reader for one in found if one.how != "makes"} - {task.name}
            if not found:
                self._known[task.name] = facts
            return found, tuple(self._known[name].record for name in stale if name in self._known)

    def note(self, task: str, record: Record) -> None:
        """Take in an earlier run that still holds."""
        with self._lock:
            self._known[task] = _facts(self._graph.tasks[task], record)

    def _conflicts(self, ours: _Facts) -> Iterator[Conflict]:
        for name, theirs in self._known.items():
            if name == ours.task.name:
                continue
            yield from self._unordered(theirs, ours)
            yield from self._unordered(ours, theirs)
            yield from _writes_over(ours, theirs.task)
            yield from _writes_over(theirs, ours.task)

    def _unordered(self, writer: _Facts, reader: _Facts) -> Iterator[Conflict]:
        met = list(_met(writer, reader))
        # Every two tasks of a build come here, hardly any meet: the graph is asked last.
        if met and writer.task.name not in self._graph.needed([reader.task.name]):
            yield from met


def failure(conflicts: Iterable[Conflict]) -> Failure:
    """Return what becomes of a run that is the later one in `conflicts`."""
    first, *rest = conflicts
    lines = [
        f"'{one.reader}' {one.how} '{one.path}', which '{one.writer}' writes"
        for one in (first, *rest)
    ]
    asset = posixpath.dirname(first.path) if first.how.startswith("lists") else first.path
    writes = f"artefacts = [\"{first.path}\"] for '{first.writer}' and "
    reads = f"assets = [\"{asset or '.'}\"] for '{first.reader}'"
    hint = f"declare the order: {'' if first.declared else writes}{reads}"
    if first.how == "makes":
        hint = f"let only one of them write '{first.path}'"
    return Failure(
        "order",
        f"{lines[0]}, and nothing puts one after the other",
        None,
        "\n".join(lines[1:]),
        hint,
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What one run wrote and used, as it is looked for."""

    task: Task
    record: Record
    written: Mapping[str, bool]  # path → whether it is declared; a built notebook is
    used: Mapping[str, str]  # path → how
    folders: frozenset[str]  # that were listed
    globs: tuple[str, ...]  # root-relative patterns


def _facts(task: Task, record: Record) -> _Facts:
    used: dict[str, str] = {}
    folders: set[str] = set()
    globs: list[str] = []
    for item in record.trace.items:
        if item.kind == "file":
            used[item.name] = "reads"
        elif item.kind == "absent":
            used[item.name] = "looks for"
        elif item.kind == "listing":
            folders.add(item.name)
        elif item.kind == "glob":
            base, _, pattern = item.name.partition(":")
            globs.append(posixpath.normpath(posixpath.join(base, pattern)))
    written = {task.built: True, **{file.path: True for file in record.artefacts}}
    for file in record.undeclared:
        written.setdefault(file.path, False)
    return _Facts(task, record, written, used, frozenset(folders), tuple(globs))


def _met(writer: _Facts, reader: _Facts) -> Iterator[Conflict]:
    """Yield what `reader` used of what `writer` wrote."""
    for path, declared in writer.written.items():
        how = reader.used.get(path, "")
        if not how and (posixpath.dirname(path) or ".") in reader.folders:
            how = "lists the folder of"
        if not how and any(fnmatchcase(path, pattern) for pattern in reader.globs):
            how = "looks for"
        if how:
            yield Conflict(writer.task.name, reader.task.name, path, how, declared)


def _writes_over(writer: _Facts, maker: Task) -> Iterator[Conflict]:
    for file in writer.record.undeclared:
        if makes(maker, file.path):
            yield Conflict(writer.task.name, maker.name, file.path, "makes")
