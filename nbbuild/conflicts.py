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
            stale = {one.reader for one in found if one.reader != task.name}
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
                for path, how in _met(_written(other), record):
                    yield Conflict(name, task.name, path, how)
            if task.name not in self._graph.needed([name]):
                for path, how in _met(_written(record), other):
                    yield Conflict(task.name, name, path, how)
            for file in record.undeclared:
                if makes(theirs, file.path):
                    yield Conflict(task.name, name, file.path, "makes")


def failure(conflicts: Iterable[Conflict]) -> Failure:
    """Return what becomes of a run that is the later one in `conflicts`."""
    first, *rest = conflicts
    lines = [
        f"'{one.reader}' {one.how} '{one.path}', which '{one.writer}' writes"
        for one in (first, *rest)
    ]
    asset = posixpath.dirname(first.path) if first.how.startswith("lists") else first.path
    hint = (
        f"declare the order: artefacts = [\"{first.path}\"] for '{first.writer}' "
        f"and assets = [\"{asset or '.'}\"] for '{first.reader}'"
    )
    if first.how == "makes":
        hint = f"let only one of them write '{first.path}'"
    return Failure(
        "order",
        f"{lines[0]}, and nothing puts one after the other",
        None,
        "\n".join(lines[1:]),
        hint,
    )


def _written(record: Record) -> list[str]:
    return [file.path for file in (*record.artefacts, *record.undeclared)]


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
