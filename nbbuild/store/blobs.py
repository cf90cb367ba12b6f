"""Keep blobs on disk: bytes named by their digest, and checked whenever they are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import Draft, discard, in_folder, writing
from nbbuild.disk.regular import is_refused, leads_nowhere, opened, read
from nbbuild.model import Digest
from nbbuild.store.layout import EMPTY, Layout, is_digest
from nbbuild.store.uses import StoreUses

_CHUNK = 1 << 20  # bytes
_LARGE = 64 << 20  # bytes: digested before they are held in memory
_MOST_HELD = 1 << 32
_READ_ONLY = 0o444
OTHER_BYTES = "its bytes do not match its name"

_UNWRITTEN = "the cache cannot be written"


class Blobs:
    """The blobs of one store. Writing raises StoreError; to a reader, a bad blob is missing."""

    def __init__(self, layout: Layout, uses: StoreUses) -> None:
        self._layout = layout
        self._uses = uses

    def put(self, data: bytes, *, sync: bool = True) -> Digest:
        """Keep `data`; return its digest. A damaged blob of that name is replaced.

        Without `sync` it is not flushed: for what can be fetched again after a power failure.
        """
        digest = digest_bytes(data)
        place = self._layout.blob(digest)
        # Noted only if it still exists: it may have been pruned since it was compared.
        if self._layout.is_ours() and _holds(place, data) and self._uses.note(place):
            return digest
        with writing(_UNWRITTEN, place), self._layout.draft(mode=_READ_ONLY) as draft:
            draft.write(data)
            self._commit(draft, place, len(data), sync=sync)
        return digest

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep the content of the file at `path`; return its digest and its size in bytes.

        Both are of the bytes that were kept, whatever happened to the file meanwhile.
        """
        hasher, size = blake3(), 0
        what = f"'{path.name}' cannot be kept in the cache"
        # Always a new blob, even if the digest turns out to be known: by then the copy is made, and
        # it repairs a damaged one.
        with (
            writing(what, self._layout.folder),
            path.open("rb", 0) as file,
            self._layout.draft(mode=_READ_ONLY) as draft,
        ):
            for chunk in _chunks(file):
                hasher.update(chunk)
                draft.write(chunk)
                size += len(chunk)
            digest = hasher.hexdigest()
            self._commit(draft, self._layout.blob(digest), size)
        return digest, size

    def get(self, digest: Digest) -> bytes | None:
        """Return the blob's bytes; None if it is missing or damaged (then it is removed)."""
        data = self.peek(digest)
        if data is None:
            return None
        if digest_bytes(data) != digest:
            self._drop(digest)
            return None
        self._uses.note(self._layout.blob(digest))
        return data

    def peek(self, digest: Digest, *, most: int = _MOST_HELD) -> bytes | None:
        """Return the blob's bytes as they are, for who checks them; no use is noted.

        None if it is missing or cannot be read. One of more than `most` bytes is removed.
        """
        file = self._open(digest)
        if file is None:
            return None
        with file:
            try:
                size = os.fstat(file.fileno()).st_size
                # A file with holes takes no room on the disk, and all memory.
                if size > most or (size > _LARGE and self.fault(self._layout.blob(digest))):
                    self._drop(digest)
                    return None
                return file.read()
            except OSError:
                return None

    def used(self, digest: Digest) -> bool:
        """Note that a blob is in use; return whether it exists. Its bytes are not checked."""
        return self._uses.note(self._layout.blob(digest))

    def has(self, digest: Digest) -> bool:
        """Whether the blob exists; its bytes are not checked."""
        if not is_digest(digest) or not self._layout.is_ours():
            return False
        try:
            found = self._layout.blob(digest).lstat()
        except OSError:
            return False
        return _may_be_blob(found, digest)

    def is_lost(self, digest: Digest) -> bool:
        """Whether the blob is surely not there: not if that cannot be known now."""
        if not is_digest(digest):
            return True
        try:
            found = self._layout.blob(digest).lstat()
        except OSError as error:
            return leads_nowhere(error)
        return not _may_be_blob(found, digest)

    def restore(
        self,
        digest: Digest,
        target: Path,
        *,
        executable: bool = False,
        size: int | None = None,
    ) -> bool:
        """Write the blob to `target`; if it is missing or damaged, write nothing and return False.

        A file or a symbolic link at `target` is replaced in one step. Missing folders are made.
        A blob of more than `size` bytes, if that is given, is not read.
        """
        file = self._open(digest)
        if file is None:
            return False
        if size is not None and os.fstat(file.fileno()).st_size > size:
            file.close()  # and stays: perhaps the record is wrong
            return False
        hasher = blake3()
        mode = 0o777 if executable else 0o666
        with (
            file,
            writing("a file cannot be restored from the cache", target),
            in_folder(target, lambda: Draft(target.parent, mode=mode)) as draft,
        ):
            for chunk in _chunks(file):
                hasher.update(chunk)
                draft.write(chunk)
            if hasher.hexdigest() != digest:
                self._drop(digest)
                return False
            # No fsync: a file of the tree can be restored again, and nobody trusts it unread.
            draft.commit(target, sync=False)
        self._uses.note(self._layout.blob(digest))
        return True

    def all(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the path and the stat of each blob, in no order."""
        if self._layout.is_ours():
            for path, look in self._layout.looks(self._layout.blobs, "??/*"):
                if is_digest(path.name):
                    yield path, look

    def fault(self, place: Path) -> str:
        """Return what is wrong with the blob at `place`, "" if its bytes match its name.

        Raises OSError if this process may not read it now.
        """
        try:
            with os.fdopen(opened(place, links=False), "rb", buffering=0) as file:
                hasher = blake3()
                for chunk in _chunks(file):
                    hasher.update(chunk)
        except OSError as error:
            if is_refused(error):
                raise
            return f"it cannot be read: {error.strerror}"
        return "" if hasher.hexdigest() == place.name else OTHER_BYTES

    def _commit(self, draft: Draft, place: Path, size: int, *, sync: bool = True) -> None:
        known = os.path.lexists(place)
        # The folder is not synced: if a power failure loses the blob, its record is a miss.
        self._layout.make_folder(place.parent)
        with self._uses.keeping():
            draft.commit(place, ours=True, sync=sync)
        if not known:
            self._uses.grew(size)

    def _open(self, digest: Digest) -> BinaryIO | None:
        if not self.has(digest):
            return None
        try:
            descriptor = opened(self._layout.blob(digest), links=False)
        except OSError:  # removed since, not permitted, too many open files: a miss
            return None
        return os.fdopen(descriptor, "rb", buffering=0)

    def _drop(self, digest: Digest) -> None:
        """Remove a damaged blob, if the store can be written."""
        with suppress(OSError):
            discard(self._layout.blob(digest))


def _may_be_blob(found: os.stat_result, digest: Digest) -> bool:
    return stat.S_ISREG(found.st_mode) and (found.st_size > 0 or digest == EMPTY)


def _chunks(file: BinaryIO) -> Iterator[memoryview]:
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        yield view[:count]


def _holds(place: Path, data: bytes) -> bool:
    """Whether the file at `place` is a blob of exactly these bytes."""
    try:
        found = place.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != len(data):
            return False
        return read(place) == data
    except OSError:
        return False
