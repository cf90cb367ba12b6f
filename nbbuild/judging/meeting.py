"""Tell what one run wrote and used, and which runs of a build can have met; no I/O."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nbbuild.model import Record, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Deeds:
    """What a run did besides what its record says; later builds do not know it."""

    touched: frozenset[str] = frozenset()  # all that it used or wrote, including its own files
    scratch: tuple[str, ...] = ()  # files that it made for itself
    sound: bool = True  # whether all that it used was unchanged at its end
    beside: frozenset[str] = frozenset()  # the tasks that ran at the same time


NO_DEEDS = Deeds()


@dataclass(frozen=True, slots=True)
class Facts:
    """What one run wrote and used, arranged for lookups."""

    task: Task
    record: Record
    written: Mapping[str, bool]  # changed path → declared? (a built notebook is)
    renamed: frozenset[str]  # those of `written` that did not exist before
    rewrites: frozenset[str]  # paths that it rewrites in every run, usually unchanged
    used: Mapping[str, str]  # path → how
    folders: frozenset[str]  # folders that it listed
    globs: tuple[str, ...]  # root-relative patterns
    deeds: Deeds

    @property
    def wrote(self) -> frozenset[str]:
        """All paths that it wrote, even if they were the same afterwards."""
        return frozenset((*self.written, *self.rewrites, *self.deeds.scratch))

    @property
    def own(self) -> frozenset[str]:
        """Its own files, which are not checked for changes when it ends."""
        return self.wrote - self.used.keys()


def facts_of(task: Task, record: Record, deeds: Deeds) -> Facts:
    """Return what a run of `task` wrote and used, from its record and its deeds."""
    used: dict[str, str] = {}
    folders: set[str] = set()
    globs: list[str] = []
    mine = {file.path for file in record.undeclared}
    for item in record.trace.items:
        if item.kind == "file":
            used[item.name] = "reads"
        elif item.kind == "absent" and item.name not in mine:
            used[item.name] = "looks for"
        elif item.kind == "listing":
            folders.add(item.name)
        elif item.kind == "glob":
            base, _, pattern = item.name.partition(":")
            globs.append(posixpath.normpath(posixpath.join(base, pattern)))
    written = {task.built: True, **{file.path: True for file in record.artefacts}}
    for path in (*(file.path for file in record.undeclared), *record.removed):
        written.setdefault(path, False)
    return Facts(
        task=task,
        record=record,
        written=written,
        renamed=frozenset(written) - set(record.altered),
        rewrites=frozenset(record.rewritten),
        used=used,
        folders=frozenset(folders),
        globs=tuple(globs),
        deeds=deeds,
    )


class Nearness:
    """Finds which of many runs can have met another one, without looking at each.

    A build of ten thousand notebooks has fifty million pairs of runs, and hardly any of them meet.
    """

    def __init__(self) -> None:
        self._facts: dict[str, Facts] = {}
        self._rank: dict[str, int] = {}  # task → its place in the order of `add`
        self._writers: _Names = defaultdict(set)  # path → tasks
        self._movers: _Names = defaultdict(set)  # folder → tasks that added a name to it
        self._users: _Names = defaultdict(set)  # path → tasks
        self._listers: _Names = defaultdict(set)  # folder → tasks
        self._globbing: set[str] = set()
        self._making: set[str] = set()  # tasks with artefact patterns
        self._undeclared: set[str] = set()  # tasks that wrote undeclared files

    def add(self, facts: Facts) -> None:
        """Add the last run of a task, in place of an earlier one."""
        name = facts.task.name
        before = self._facts.get(name)
        for names in self._places(before) if before is not None else ():
            names.discard(name)
        for names in self._places(facts):
            names.add(name)
        self._facts[name] = facts
        self._rank.setdefault(name, len(self._rank))

    def of(self, facts: Facts) -> list[str]:
        """Return the other tasks whose runs can have met this one, in the order of `add`."""
        if facts.globs:
            near = set(self._facts)
        else:
            near = set(self._globbing)
            for path in facts.written:
                near |= self._users.get(path, _NONE)
            for path in facts.used:
                near |= self._writers.get(path, _NONE)
            for path in facts.renamed:
                near |= self._listers.get(_folder(path), _NONE)
            for folder in facts.folders:
                near |= self._movers.get(folder, _NONE)
            if facts.record.undeclared:
                near |= self._making
            if facts.task.artefacts:
                near |= self._undeclared
        near.discard(facts.task.name)
        return sorted(near, key=self._rank.__getitem__)

    def _places(self, facts: Facts) -> Iterator[set[str]]:
        """Yield the sets that the task of `facts` belongs in."""
        yield from (self._writers[path] for path in facts.written)
        yield from (self._movers[_folder(path)] for path in facts.renamed)
        yield from (self._users[path] for path in facts.used)
        yield from (self._listers[folder] for folder in facts.folders)
        if facts.globs:
            yield self._globbing
        if facts.task.artefacts:
            yield self._making
        if facts.record.undeclared:
            yield self._undeclared


_Names = defaultdict[str, set[str]]
_NONE: frozenset[str] = frozenset()


def _folder(path: str) -> str:
    return posixpath.dirname(path) or "."
