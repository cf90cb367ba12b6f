"""The built notebooks in the tree, and the partial ones of failures."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import PurePosixPath

import msgspec

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import discard, own_folder, private_folder, write, writing
from nbbuild.disk.project_folder import DOT, FAILED
from nbbuild.model import Task
from nbbuild.tree.confined import Confined
from nbbuild.tree.ground import Ground, folders_above
from nbbuild.tree.ledger import Built, Ledger
from nbbuild.tree.own_files import digests_of, present, put, take_away_file
from nbbuild.tree.pages import BuiltPages

FAILED_SUFFIX = ".failed"
"""The ending of partial notebooks' names: tools that build sites take `.ipynb` for a page."""


class BuiltNotebooks:
    """Writes and removes built notebooks, and knows which of them are unchanged.

    Where one goes, its page goes, too. With `has_pages`, each is to have one.
    """

    def __init__(self, ground: Ground, pages: BuiltPages, *, has_pages: bool = False) -> None:
        self._ground = ground
        self._pages = pages
        self._has_pages = has_pages
        self._failed = ground.root / DOT / FAILED

    def write(self, task: Task, data: bytes, made_from: str) -> tuple[bool, tuple[str, ...]]:
        """Write the built notebook unless it has these bytes; return whether, and notes."""
        ground = self._ground
        ground.confined.place(task.built)  # raises Refused
        ledger = ground.ledgers.read(task.name)
        new = Built(task.built, digest_bytes(data), ground.ledgers.by)
        there = present(ground, task.built)
        ours = digests_of(ledger, task.built)
        elsewhere = tuple(m for m in ledger.built if m.path != task.built and ground.exists(m.path))
        # The ledger goes first and names both the old file and the new: whichever of them a crash
        # leaves is known to be ours.
        before = (Built(task.built, there),) if there and there in ours - {new.digest} else ()
        noted = msgspec.structs.replace(
            ledger,
            built=(new, *before, *elsewhere),
            made_from=made_from,
            folders=tuple(sorted({*ledger.folders, *ground.missing_folders([task.built])})),
        )
        if there == new.digest:
            if ledger.made_from != made_from or ledger.built[:1] != (new,):
                ground.ledgers.write(noted)
            return False, self._leave_old_places(task, noted)
        ground.ledgers.write(noted)
        # Nobody may come to render the new one: the build may stop before.
        self._pages.take_away(task, ledger)
        # What the cache holds can be written again, and nobody trusts a file of the tree unread.
        notes = put(ground, task.built, data, ours=there in ours, sync=not made_from)
        return True, (*notes, *self._leave_old_places(task, noted))

    def in_order(self, task: Task, made_from: str) -> bool:
        """Whether the built notebook is there as it was written from `made_from`."""
        ledger = self._ground.ledgers.read(task.name)
        if not made_from or ledger.made_from != made_from or not ledger.built:
            return False
        if any(self._ground.exists(built.path) for built in self._at_old_places(task, ledger)):
            return False
        last = ledger.built[0]
        place = f"{self._ground.root}/{task.built}"
        return last.path == task.built and last.digest == self._ground.digests.digest(place)

    def old_places(self, task: Task) -> set[str]:
        """Return where this configuration had built the task before; these files should go."""
        ledger = self._ground.ledgers.read(task.name)
        return {built.path for built in self._at_old_places(task, ledger)}

    def remove(self, task: Task) -> tuple[str, ...]:
        """Remove the built notebook and its page; return notes on altered ones, which are kept."""
        ground = self._ground
        ledger = ground.ledgers.read(task.name)
        pages = {built.path for built in ledger.built} & {task.page}
        notes: tuple[str, ...] = ()
        for path in (task.built, *pages):
            notes += take_away_file(ground, path, digests_of(ledger, path))
        rest = tuple(built for built in ledger.built if built.path not in {task.built, *pages})
        if rest != ledger.built or ledger.made_from:
            ledger = msgspec.structs.replace(ledger, built=rest, made_from="")
            ground.ledgers.write(ledger)
        return (*notes, *self._leave_old_places(task, ledger))

    def _at_old_places(self, task: Task, ledger: Ledger) -> list[Built]:
        """Return what this configuration had built elsewhere, before [project] output changed.

        Two configuration files of one folder may build one task to two places; both stay.
        """
        by = self._ground.ledgers.by
        stay = {task.built, task.page} if self._has_pages else {task.built}
        return [built for built in ledger.built if built.path not in stay and built.by == by]

    def _leave_old_places(self, task: Task, ledger: Ledger) -> tuple[str, ...]:
        """Remove what was built elsewhere, unless it now belongs to another task; return notes."""
        ground = self._ground
        old = self._at_old_places(task, ledger)
        if not old:
            return ()
        others = ground.ledgers.but([task.name])
        taken = {built.path for other in others for built in other.built}
        notes: list[str] = []
        for path in sorted({built.path for built in old} - taken):
            if ground.confined.allows(path):
                notes += take_away_file(ground, path, digests_of(ledger, path))
                ground.drop_folders({*folders_above(path)} & {*ledger.folders}, ignored=True)
        rest = tuple(built for built in ledger.built if built not in old)
        folders = tuple(folder for folder in ledger.folders if ground.exists(folder))
        ground.ledgers.write(msgspec.structs.replace(ledger, built=rest, folders=folders))
        return tuple(notes)

    def keep_failed(self, task: Task, data: bytes) -> str:
        """Write the partial notebook of a failure; return its root-relative path."""
        path = _failed_path(task)
        place = Confined(self._failed, ()).place(path)
        with writing("the partial notebook of a failure cannot be kept", place):
            private_folder(self._ground.root / DOT)
            own_folder(place.parent, below=self._ground.root / DOT)
            drafts = self._ground.ledgers.drafts()
            write(place, data, folder=drafts, sync=False, ours=True)
        return f"{DOT}/{FAILED}/{path}"

    def drop_failed(self, task: Task) -> None:
        """Remove the partial notebook of an earlier failure, if there is one."""
        path = _failed_path(task)
        if not os.path.lexists(self._failed / path):
            return
        place = Confined(self._failed, ()).place(path)
        with writing("the partial notebook of a failure cannot be removed", place):
            try:
                discard(place)
            except NotADirectoryError:
                return
        for folder in folders_above(path):
            with suppress(OSError):
                (self._failed / folder).rmdir()


def _failed_path(task: Task) -> str:
    """Return where the task's partial notebook goes, below `failed`."""
    source = PurePosixPath(task.source)
    if task.name == task.source:
        return f"{source.with_suffix('.ipynb').as_posix()}{FAILED_SUFFIX}"
    name = f"{task.name.replace('/', '-')}.ipynb{FAILED_SUFFIX}"
    return source.with_name(name).as_posix()
