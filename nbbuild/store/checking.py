"""Check a store for damage, and remove whatever cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nbbuild.disk.durable import discard, writing
from nbbuild.disk.regular import is_refused
from nbbuild.model import Digest, Record
from nbbuild.store.blobs import Blobs
from nbbuild.store.records import Records
from nbbuild.store.uses import StoreUses

UNSOUND = "it is not the record that was written"
INCOMPLETE = "some of its blobs are gone or damaged"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a store that cannot be used."""

    kind: str  # blob | record
    name: str  # the digest, or the record's id
    reason: str
    task: str = ""  # whose result is lost, if known
    removed: bool = True  # False: the store can only be read


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking a store."""

    blobs: int  # that were read
    records: int
    faults: tuple[Fault, ...] = ()


def check(blobs: Blobs, records: Records, uses: StoreUses, *, removing: bool) -> Checked:
    """Read every blob and every record; return the bad ones and, if `removing`, remove them.

    A record that lacks a blob is bad, too, since its result cannot be put back. Raises StoreError.
    """
    faults: list[Fault] = []
    bad: set[Digest] = set()
    blobs_read = records_read = 0

    def found(kind: str, path: Path, look: os.stat_result, reason: str, task: str = "") -> None:
        if removing and not _remove(path, look, uses):
            return  # it was replaced or removed since it was read
        bad.add(path.name)
        faults.append(Fault(kind, path.stem, reason, task, removed=removing))

    def refused(kind: str, path: Path, error: OSError) -> None:
        """Note what this process may not read now: it may be sound, so it stays."""
        faults.append(Fault(kind, path.stem, f"it cannot be read: {error.strerror}", removed=False))

    for path, look in blobs.all():
        blobs_read += 1
        try:
            reason = blobs.fault(path)
        except OSError as error:
            refused("blob", path, error)
            continue
        if reason:
            found("blob", path, look, reason)
    for path, look in records.files():
        records_read += 1
        try:
            kept = records.sound(path, look)
        except OSError as error:
            if is_refused(error):
                refused("record", path, error)
                continue
            kept = None
        if kept is None:
            found("record", path, look, UNSOUND)
        elif any(one in bad or blobs.is_lost(one) for one in _named(kept.record)):
            found("record", path, look, INCOMPLETE, kept.record.task)
    return Checked(blobs_read, records_read, in_order(faults))


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Sort faults: blobs first, by name."""
    return tuple(sorted(faults, key=lambda one: (one.kind, one.name)))


def _named(record: Record) -> tuple[Digest, ...]:
    return (*record.blobs, *record.chunks)


def _remove(path: Path, look: os.stat_result, uses: StoreUses) -> bool:
    """Remove the file that was checked; return False if it is another one by now."""
    with uses.taking(), writing("a damaged file cannot be removed from the cache", path):
        try:
            now = path.lstat()
        except FileNotFoundError:
            return False
        if (now.st_ino, now.st_ctime_ns) != (look.st_ino, look.st_ctime_ns):
            return False
        discard(path)
    return True
