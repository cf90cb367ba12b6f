"""Prune a store on disk while others build with it.

**What is removed.** Records over a limit, least recently used first; files of records that are not
sound; blobs that no record names; drafts that a crash left; locks that nobody holds. A file's mtime
is its last use: a record is used when it is made or is a hit, a blob when it is put or read
(`uses`).

**What a running build needs** is all that it has used or put: its hits, which it may restore only
an hour later, and the blobs of a run, which exist before the record that names them. So a build
takes a lease before it begins: a lock of its own, whose mtime is its beginning. While it has one,
each use is noted, however recent the last note. Nothing is removed that was used since the oldest
lease of a living holder began. A lease dies with its owner, like every lock here, so a killed build
protects nothing, and a build that runs for a day protects only what it has used in that day. All
these times come from the store's file system, not from the clocks of several machines.

That clock may have been wrong for a while. A time that is over a day ahead says nothing about a
use, so it protects nothing while no build is running, and the next use puts it right.

**Between checking and removing** a file, somebody may use it. So `going.lock` is held exclusively
while a file is checked for the last time and removed, and shared while a use is noted or a blob
takes its place. Both take microseconds. If the use is noted first, the file stays. If the file is
removed first, nothing is left to note: a put makes it anew, and a hit becomes a miss.

**The order:** the moment is noted; leases are read; records are listed, chosen and removed; then
blobs are listed, and those that no remaining record names are removed. A record that is published
meanwhile names blobs that were put under a lease, or after that moment. If pruning is killed, it
leaves blobs without records, which the next one removes, and never a record without its blobs.
Publishing without a lease loses only that promise: the record may lack blobs, and is then a miss.

**Two processes that prune** take turns by `gc.lock`; at the end of a build, the second skips it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from nbbuild.disk.durable import discard, writing
from nbbuild.disk.locks import lock, sweep
from nbbuild.errors import StoreError
from nbbuild.model import Record
from nbbuild.store import gauge
from nbbuild.store.blobs import Blobs
from nbbuild.store.layout import Layout
from nbbuild.store.pruning import Kept, Limits, Pruned, choose
from nbbuild.store.records import Records
from nbbuild.store.uses import AHEAD, StoreUses, at_work

_BATCH = 64  # files that are removed under one lock, so that nobody waits long
_DRAFTS = 3600.0  # seconds after which a draft counts as left behind


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it looked when it was listed."""

    path: Path
    size: int
    mtime: float

    @classmethod
    def of(cls, path: Path, look: os.stat_result) -> _File:
        return cls(path, look.st_size, look.st_mtime)

    def is_still(self) -> bool:
        """Whether it looks as it did, so that it was neither used nor made anew."""
        try:
            return self == _File.of(self.path, self.path.lstat())
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class _Moment:
    """When pruning began, and which builds were running then, by the store's clock."""

    now: float
    began: tuple[float, ...]

    @property
    def since(self) -> float:
        """What was used then or later may be needed."""
        return min((self.now, *self.began))

    def used(self, mtime: float) -> float:
        """Return when a file of this mtime was used; one from the future, just before `since`."""
        wrong = not self.began and mtime > self.now + AHEAD
        return self.since - 1 if wrong else mtime


@dataclass(frozen=True, slots=True)
class Collector:
    """Removes what a store on disk need not keep."""

    layout: Layout
    blobs: Blobs
    records: Records
    uses: StoreUses

    def prune(self, limits: Limits, *, dry_run: bool, wait: bool) -> Pruned:
        """Keep the store to `limits`. Raises StoreError, and Held if it must not wait."""
        if not self.layout.is_ours():
            return Pruned()
        if dry_run:
            return self._prune(limits, self._moment(time.time()), dry=True)
        with lock(self.layout.pruning, wait=wait):
            # Locking wrote that file, so its mtime is now, by the store's clock.
            moment = self._moment(self.layout.pruning.stat().st_mtime)
            pruned = self._prune(limits, moment, dry=False)
            sweep(self.layout.locks)
            drafts = _listed(self.layout.looks(self.layout.folder / "tmp", "*.tmp"))
            left_behind = moment.now - _DRAFTS
            self._remove((one for one in drafts if one.mtime < left_behind), dry=False)
            gauge.set_to(self.layout, pruned.left)
        return pruned

    def _moment(self, now: float) -> _Moment:
        return _Moment(now, tuple(at_work(self.layout)))

    def _prune(self, limits: Limits, moment: _Moment, *, dry: bool) -> Pruned:
        def unused(files: Iterable[_File]) -> Iterator[_File]:
            return (file for file in files if moment.used(file.mtime) < moment.since)

        kept, unsound = self._records(moment)
        blobs = _listed(self.blobs.all())
        choice = choose(
            [one for one, _ in kept],
            {file.path.name: file.size for file in blobs},
            limits,
            now=time.time(),
            since=moment.since,
            fixed=sum(
                file.size
                for file in [*_unnamed(blobs, (one.record for one, _ in kept)), *unsound]
                if moment.used(file.mtime) >= moment.since
            ),
        )
        file_of = {id(one): file for one, file in kept}
        going = [(one.record, file_of[id(one)]) for one in choice.going]
        gone = self._remove(unused([*(file for _, file in going), *unsound]), dry=dry)
        left = [one.record for one, file in kept if file not in gone]
        # Only now: a record that was used meanwhile has stayed, and so must its blobs.
        freed = self._remove(unused(_unnamed(blobs, left)), dry=dry)
        removed = gone | freed
        listed = [*(file for _, file in kept), *unsound, *blobs]
        return Pruned(
            records=tuple(record for record, file in going if file in gone),
            blobs=len(freed),
            freed=sum(file.size for file in removed),
            left=sum(file.size for file in listed if file not in removed),
            spared=choice.spared,
        )

    def _records(self, moment: _Moment) -> tuple[list[tuple[Kept, _File]], list[_File]]:
        """Return the sound records, and the files of others. Raises StoreError if any is unseen."""
        kept: list[tuple[Kept, _File]] = []
        unsound: list[_File] = []
        try:
            for path, look in self.records.files(all_of_them=True):
                one, file = self.records.sound(path, look), _File.of(path, look)
                if one is None:
                    unsound.append(file)
                else:
                    kept.append((replace(one, used=moment.used(one.used)), file))
        except OSError as error:
            # Its blobs would be removed as if nobody needed them.
            place = self.layout.records if error.filename is None else error.filename
            raise StoreError(
                "the cache is not pruned, since a record cannot be read",
                facts=[("path", str(place)), ("reason", error.strerror or str(error))],
                hint="make it readable; `nbbuild cache verify` removes what is damaged",
            ) from error
        return kept, unsound

    def _remove(self, files: Iterable[_File], *, dry: bool) -> frozenset[_File]:
        """Remove and return those of `files` that still look as they did when they were listed."""
        listed = list(files)
        if dry:
            return frozenset(listed)
        gone: set[_File] = set()
        for start in range(0, len(listed), _BATCH):
            with self.uses.taking():
                for file in listed[start : start + _BATCH]:
                    if file.is_still():
                        with writing("the cache cannot be pruned", file.path):
                            discard(file.path)
                        gone.add(file)
        for folder in {file.path.parent for file in gone if file.path.suffix == ".json"}:
            with suppress(OSError):  # the key has other records, or a new one
                folder.rmdir()
        return frozenset(gone)


def _listed(found: Iterable[tuple[Path, os.stat_result]]) -> list[_File]:
    return [_File.of(path, look) for path, look in found]


def _unnamed(blobs: Iterable[_File], records: Iterable[Record]) -> list[_File]:
    """Return the blobs that no record names, as a part of its result or of its trace."""
    named = {digest for record in records for digest in (*record.blobs, *record.chunks)}
    return [file for file in blobs if file.path.name not in named]
