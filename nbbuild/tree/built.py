"""The built notebooks in the tree, and the partial ones of failures."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import discard, in_folder, own_folder, private_folder, write, writing
from nbbuild.disk.project_folder import DOT, FAILED
from nbbuild.model import Digest, Task
from nbbuild.tree.confined import Confined
from nbbuild.tree.ground import Ground, folders_above
from nbbuild.tree.ledger import Built, Ledger

FAILED_SUFFIX = ".failed"
"""The ending of partial notebooks' names: tools that build sites take `.ipynb` for a page."""


class BuiltNotebooks:
    """Writes and removes built notebooks, and knows which of them are unchanged.

    With `pages`, also the pages beside them that are rendered from them.
    """

    def __init__(self, ground: Ground, *, pages: bool = False) -> None:
        self._ground = ground
        self._pages = pages
        self._failed = ground.root / DOT / FAILED

    def write(self, task: Task, data: bytes, made_from: str) -> tuple[bool, tuple[str, ...]]:
        """Write the built notebook unless it has these bytes; return whether, and notes."""
        ground = self._ground
        ground.confined.place(task.built)  # raises Refused
        ledger = ground.ledgers.read(task.name)
        new = Built(task.built, digest_bytes(data), ground.ledgers.by)
        there = self._there(task.built)
        ours = _digests(ledger, task.built)
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
        self._take_away_page(task, ledger)
        # What the cache holds can be written again, and nobody trusts a file of the tree unread.
        notes = self._put(task, task.built, data, ours=there in ours, sync=not made_from)
        return True, (*notes, *self._leave_old_places(task, noted))

    def write_page(self, task: Task, data: bytes, made_from: str) -> tuple[str, ...]:
        """Write the page of the built notebook, rendered from `made_from`; return notes."""
        ground, path = self._ground, task.page
        ledger = ground.ledgers.read(task.name)
        by = ground.ledgers.by
        new = Built(path, digest_bytes(data), by, made_from)
        there = self._there(path)
        ours = _digests(ledger, path)
        # Both the old page and the new one are ours, as for notebooks.
        before = (Built(path, there, by),) if there and there in ours - {new.digest} else ()
        others = tuple(built for built in ledger.built if built.path != path)
        ground.ledgers.write(msgspec.structs.replace(ledger, built=(*others, new, *before)))
        return (
            ()
            if there == new.digest
            else self._put(task, path, data, ours=there in ours, sync=False)
        )

    def page_in_order(self, task: Task, made_from: str) -> bool:
        """Whether the page is there as it was rendered from `made_from`."""
        path = task.page
        ledger = self._ground.ledgers.read(task.name)
        written = {
            one.digest for one in ledger.built if (one.path, one.made_from) == (path, made_from)
        }
        return self._ground.digests.digest(f"{self._ground.root}/{path}") in written

    def remove_page(self, task: Task) -> None:
        """Remove the page, unless it was altered since it was written."""
        ledger = self._ground.ledgers.read(task.name)
        if self._take_away_page(task, ledger):
            rest = tuple(built for built in ledger.built if built.path != task.page)
            self._ground.ledgers.write(msgspec.structs.replace(ledger, built=rest))

    def _take_away_page(self, task: Task, ledger: Ledger) -> bool:
        """Remove the page if it is as it was written; return whether."""
        ours = _digests(ledger, task.page)
        if not ours or self._there(task.page) not in ours:
            return False
        take_away_built(self._ground, task.page, ours)
        return True

    def _put(
        self, task: Task, path: str, data: bytes, *, ours: bool, sync: bool
    ) -> tuple[str, ...]:
        """Write a file; put one that is not `ours` aside, and return notes on it."""
        ground = self._ground
        notes: tuple[str, ...] = ()
        place = ground.confined.place(path)
        with writing(f"'{path}' cannot be written", place):
            ground.make_folder(place.parent)
            if not ours and ground.exists(path) and not place.is_dir():
                notes = (ground.replaced.keep(place, path),)
            try:
                staging = ground.ledgers.staging(task.name)
                in_folder(place, lambda: write(place, data, folder=staging, sync=sync))
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                # The output folder is another file system.
                in_folder(place, lambda: write(place, data, sync=sync))
        ground.digests.forget(place)
        return notes

    def in_order(self, task: Task, made_from: str) -> bool:
        """Whether the built notebook is there as it was written from `made_from`."""
        ledger = self._ground.ledgers.read(task.name)
        if not made_from or ledger.made_from != made_from or not ledger.built:
            return False
        if any(self._ground.exists(built.path) for built in self._at_old_places(task, ledger)):
            return False
        present = ledger.built[0]
        place = f"{self._ground.root}/{task.built}"
        return present.path == task.built and present.digest == self._ground.digests.digest(place)

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
            notes += take_away_built(ground, path, _digests(ledger, path))
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
        stay = {task.built, task.page} if self._pages else {task.built}
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
                notes += take_away_built(ground, path, _digests(ledger, path))
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
            staging = self._ground.ledgers.staging(task.name)
            write(place, data, folder=staging, sync=False, ours=True)
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

    def _there(self, path: str) -> Digest | None:
        """Return the digest of the file at `path`, where we write; None for links too."""
        place: Path = self._ground.root / path
        return None if place.is_symlink() else self._ground.digests.fresh(place)


def take_away_built(ground: Ground, path: str, ours: Collection[Digest | None]) -> tuple[str, ...]:
    """Remove a built notebook whose digest is one of `ours`; put any other file there aside.

    Returns notes. Raises Refused, StoreError.
    """
    notes: tuple[str, ...] = ()
    place = ground.confined.place(path)
    with writing(f"'{path}' cannot be removed", place):
        if not place.is_symlink() and ground.digests.fresh(place) in {*ours} - {None}:
            place.unlink()
        elif ground.exists(path) and not place.is_dir():
            notes = (ground.replaced.keep(place, path),)
    ground.digests.forget(place)
    return notes


def _digests(ledger: Ledger, path: str) -> set[Digest | None]:
    """Return the digests that our file at `path` can have."""
    return {built.digest for built in ledger.built if built.path == path}


def _failed_path(task: Task) -> str:
    """Return where the task's partial notebook goes, below `failed`."""
    source = PurePosixPath(task.source)
    if task.name == task.source:
        return f"{source.with_suffix('.ipynb').as_posix()}{FAILED_SUFFIX}"
    name = f"{task.name.replace('/', '-')}.ipynb{FAILED_SUFFIX}"
    return source.with_name(name).as_posix()
