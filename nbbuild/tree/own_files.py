"""Write and remove files that a ledger knows as ours; put anything else in their place aside."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

from nbbuild.disk.durable import in_folder, write, writing
from nbbuild.model import Digest
from nbbuild.tree.ground import Ground
from nbbuild.tree.ledger import Ledger


def present(ground: Ground, path: str) -> Digest | None:
    """Return the digest of the file at `path`, where we write; None for links too."""
    place: Path = ground.root / path
    return None if place.is_symlink() else ground.digests.fresh(place)


def digests_of(ledger: Ledger, path: str) -> set[Digest | None]:
    """Return the digests that our built notebook or page at `path` can have."""
    return {built.digest for built in ledger.built if built.path == path}


def put(ground: Ground, path: str, data: bytes, *, ours: bool, sync: bool) -> tuple[str, ...]:
    """Write a file; put one that is not `ours` aside, and return notes on it.

    Raises Refused, StoreError.
    """
    notes: tuple[str, ...] = ()
    place = ground.confined.place(path)
    with writing(f"'{path}' cannot be written", place):
        ground.make_folder(place.parent)
        if not ours and ground.exists(path) and not place.is_dir():
            notes = (ground.replaced.keep(place, path),)
        try:
            drafts = ground.ledgers.drafts()
            in_folder(place, lambda: write(place, data, folder=drafts, sync=sync))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # The output folder is another file system.
            in_folder(place, lambda: write(place, data, sync=sync))
    ground.digests.forget(place)
    return notes


def take_away_file(ground: Ground, path: str, ours: Collection[Digest | None]) -> tuple[str, ...]:
    """Remove a file whose digest is one of `ours`; put any other file there aside.

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
