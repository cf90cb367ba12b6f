"""The interface of every store; DiskStore and MemoryStore pass the same tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from nbbuild.model import Digest, Record
from nbbuild.store.checking import Checked
from nbbuild.store.pruning import Kept, Limits, Pruned


class Store(Protocol):
    """Blobs by digest and records by key. Writing raises StoreError; a damaged file is a miss."""

    @property
    def name(self) -> str:
        """The name that messages give it, such as its folder."""
        ...

    @property
    def writable(self) -> bool:
        """Whether anything can be kept; reading works either way."""
        ...

    def put(self, data: bytes) -> Digest:
        """Keep `data`; return its digest."""
        ...

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's content; return its digest and its size, as kept."""
        ...

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob, checked; None if it is missing or damaged."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether a blob exists; it is not checked."""
        ...

    def restore(self, digest: Digest, target: Path, *, executable: bool = False) -> bool:
        """Check a blob and write it to `target` in one step; make the folders above it.

        If it is missing or damaged, write nothing and return False. A symbolic link at `target` is
        replaced; the caller must know whether the folders above lead somewhere safe.
        """
        ...

    def records(self, key: Digest) -> list[Record]:
        """Return the sound records of a key, newest first."""
        ...

    def publish(self, record: Record) -> None:
        """Keep a record; its blobs must have been put before."""
        ...

    def used(self, record: Record) -> bool:
        """Note that a record was a hit, so that pruning takes others first; return if it exists."""
        ...

    def in_use(self) -> AbstractContextManager[None]:
        """Protect everything that is put, published, read or noted in the block from pruning.

        Publish only in such a block, from the first blob to the record.
        """
        ...

    def remove(self, record: Record) -> None:
        """Remove a record if it exists."""
        ...

    def all_records(self) -> Iterator[Record]:
        """Yield every sound record, in no order."""
        ...

    def kept(self) -> Iterator[Kept]:
        """Yield every sound record with its size and its last use, in no order."""
        ...

    def prune(self, limits: Limits, *, dry_run: bool = False, wait: bool = True) -> Pruned:
        """Remove what is over `limits`, least recently used first, and what nothing names.

        What is in use stays. With `dry_run`, only return what would be removed. Raises locks.Held
        if another process is pruning and `wait` is false.
        """
        ...

    def exceeds(self, size: int) -> bool:
        """Whether the store is larger than `size` bytes; cheap to ask after each build."""
        ...

    def check(self) -> Checked:
        """Read everything; return what is damaged and, if the store can be written, remove it."""
        ...

    def size(self) -> tuple[int, int, int]:
        """Return the number of blobs, the number of records, and the bytes of both together."""
        ...

    def lock(
        self,
        key: Digest,
        *,
        wait: bool = True,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> AbstractContextManager[None]:
        """Hold a key, so that it is executed once at a time; see locks.lock."""
        ...
