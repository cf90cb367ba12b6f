"""What tasks no longer in the project left in the tree: it is removed, or another task inherits it.

A task goes when its notebook is removed or renamed, or its `name` or `matrix` changes. Its ledger
stays, and says which files it had made. Files that a task of the project can make, by its artefact
patterns, now belong to that task: its next run or restore takes them over as if they were its own
leftovers, so that renaming a notebook costs no run. All others would still be read by notebooks.
The next build removes them; until then no verdict rests on them.

A task that has begun a run or been restored after the gone task's last entry has dealt with what it
inherited. From then on the files there are its own, or the user's.

Several configuration files may share a folder, each with its own tasks. A ledger names the one for
which it was last written, and only with that one can it be known that its task is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from nbbuild.model import Task
from nbbuild.paths.pattern_indexes import PatternIndex
from nbbuild.paths.patterns import Pattern
from nbbuild.tree.ground import Ground, folders_above
from nbbuild.tree.ledger import Built, Ledger
from nbbuild.tree.leftovers import folders_of, leftovers, take_away
from nbbuild.tree.own_files import take_away_file

Locked = Callable[[str], AbstractContextManager[None]]
"""Holds the outputs of the task with that name."""


@dataclass(frozen=True, slots=True)
class _Estate:
    """What one gone task left; files as path → whether an unfinished run left it."""

    ledger: Ledger
    goes: Mapping[str, bool]
    inherited: Mapping[str, Mapping[str, bool]]  # the task that can make them → files
    built: tuple[Built, ...]  # to be removed as well


class Gone:
    """Tasks that have a ledger on `ground` but are not `present`; None: no task is gone."""

    def __init__(self, ground: Ground, present: Iterable[Task] | None) -> None:
        self._ground = ground
        self._present = None if present is None else {task.name: task for task in present}
        self._makers: dict[Pattern, list[str]] = {}
        for task in (self._present or {}).values():
            for text in task.artefacts:
                self._makers.setdefault(Pattern.parse(text), []).append(task.name)
        self._index = PatternIndex(self._makers)
        self._known: tuple[_Estate, ...] | None = None

    def files(self) -> frozenset[str]:
        """Return the files that `put_away` would remove now."""
        return frozenset(
            path
            for estate in self._estates()
            for path in (*estate.goes, *(built.path for built in estate.built))
        )

    def inheritance(self, heir: Ledger) -> tuple[dict[str, bool], set[str]]:
        """Return the leftovers that the task of the ledger `heir` inherits, and their folders.

        The leftovers are in the form that `leftovers` returns.
        """
        paths: dict[str, bool] = {}
        folders: set[str] = set()
        for estate in self._estates():
            files = estate.inherited.get(heir.task, {})
            if files and heir.when_ns <= estate.ledger.when_ns:
                paths.update({p: half for p, half in files.items() if self._ground.exists(p)})
                folders |= folders_of(estate.ledger, files)
        return paths, folders

    def put_away(self, locked: Locked) -> tuple[tuple[str, str], ...]:
        """Remove what gone tasks left and nobody inherits; return notes, each with its task.

        Can be cut short anywhere and repeated. Raises StoreError.
        """
        told: list[tuple[str, str]] = []
        for name in [estate.ledger.task for estate in self._look()]:
            with locked(name):
                # Somebody may have built or cleaned it before we got the lock.
                for estate in self._look():
                    if estate.ledger.task == name:
                        told += [(name, note) for note in self._dissolve(estate)]
        self._known = None
        return tuple(told)

    def _dissolve(self, estate: _Estate) -> tuple[str, ...]:
        ground, ledger = self._ground, estate.ledger
        notes = take_away(ground, ledger, estate.goes)
        for path in sorted({built.path for built in estate.built}):
            ours = {built.digest for built in estate.built if built.path == path}
            notes += take_away_file(ground, path, ours)
            ground.drop_folders({*folders_above(path)} & {*ledger.folders}, ignored=True)
        waits = {
            path
            for heir, files in estate.inherited.items()
            if ground.ledgers.read(heir).when_ns <= ledger.when_ns
            for path in files
        }
        rest = msgspec.structs.replace(
            ledger,
            made=tuple(made for made in ledger.made if made.path in waits),
            folders=tuple(folder for folder in ledger.folders if ground.exists(folder)),
            built=tuple(built for built in ledger.built if built.by != ground.ledgers.by),
            made_from="",
        )
        if not waits and not rest.built:
            ground.ledgers.remove(ledger.task)
        elif rest != ledger:
            ground.ledgers.write(rest)
        return notes

    def _estates(self) -> tuple[_Estate, ...]:
        if self._known is None:
            self._known = self._look()
        return self._known

    def _look(self) -> tuple[_Estate, ...]:
        if self._present is None:
            return ()
        ledgers = self._ground.ledgers
        gone = [one for one in ledgers.but(self._present) if one.by == ledgers.by]
        if not gone:
            return ()
        theirs = {ledger.task for ledger in gone}
        present = [one for one in ledgers.all() if one.task not in theirs]
        taken = {built.path for ledger in present for built in ledger.built}
        return tuple(self._estate(ledger, taken) for ledger in gone)

    def _estate(self, ledger: Ledger, taken: set[str]) -> _Estate:
        """Return what the gone task left; `taken` are paths of other tasks' built notebooks."""
        goes: dict[str, bool] = {}
        inherited: dict[str, dict[str, bool]] = {}
        for path, half in leftovers(self._ground, ledger).items():
            heirs = [name for met in self._index.matching(path) for name in self._makers[met]]
            for heir in heirs:
                inherited.setdefault(heir, {})[path] = half
            if not heirs and path not in taken:
                goes[path] = half
        built = tuple(
            one
            for one in ledger.built
            if one.by == self._ground.ledgers.by
            and one.path not in taken
            and self._ground.exists(one.path)
            and self._ground.confined.allows(one.path)
        )
        return _Estate(ledger, goes, inherited, built)
