"""Find what one task wrote and another used without an edge that puts them in order.

Whether such a reader saw the file before or after it was written is an accident. tup's rule: using
what another rule makes, undeclared, is an error, since no later build could tell.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Iterable, Iterator
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
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()

    def settle(self, task: Task, record: Record) -> tuple[tuple[Conflict, ...], tuple[Record, ...]]:
        """Take in what a run of `task` wrote and used; return its conflicts with the others.

        Also returns the records of other tasks that read what this one has written since: they
        must not be used again. With conflicts the run is not taken in.
        """
        with self._lock:
            found = tuple(dict.fromkeys(self._conflicts(task, record)))
            # Who makes a file that another wrote over has a sound record: it is put back.
            stale = {one.reader for one in found if one.how != "makes"} - {task.name}
            if not found:
                self._records[task.name] = record
            return found, tuple(self._records[name] for name in stale if name in self._records)

    def note(self, task: str, record: Record) -> None:
        """Take in an earlier run that still holds."""
        with self._lock:
            self._records[task] = record

    def _conflicts(self, task: Task, record: Record) -> Iterator[Conflict]:
        upstream = set(self._graph.needed([task.name]))
        for name, other in self._records.items():
            if name == task.name:
                continue
            theirs = self._graph.tasks[name]
            if name not in upstream:
                yield from _uses(theirs, other, task, record)
            if task.name not in self._graph.needed([name]):
                yield from _uses(task, record, theirs, other)
            yield from _writes_over(task, record, theirs)
            yield from _writes_over(theirs, other, task)


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


def _uses(writer: Task, written: Record, reader: Task, used: Record) -> Iterator[Conflict]:
    """Yield what `reader` used of what `writer` wrote; a built notebook is written, too."""
    declared = [writer.built, *(file.path for file in written.artefacts)]
    for path, how in _met([*declared, *(file.path for file in written.undeclared)], used):
        yield Conflict(writer.name, reader.name, path, how, path in declared)


def _writes_over(writer: Task, written: Record, maker: Task) -> Iterator[Conflict]:
    for file in written.undeclared:
        if makes(maker, file.path):
            yield Conflict(writer.name, maker.name, file.path, "makes")


def _met(written: list[str], record: Record) -> Iterator[tuple[str, str]]:
    """Yield which of the paths `written` the run of `record` used, and how."""
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
    for path in written:
        if path in used:
            yield path, used[path]
        elif (posixpath.dirname(path) or ".") in folders:
            yield path, "lists the folder of"
        elif any(fnmatchcase(path, pattern) for pattern in globs):
            yield path, "looks for"
