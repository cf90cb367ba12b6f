"""What every store can do; DiskStore and MemoryStore pass the same tests."""

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
    """Blobs by digest and records by key. Writing raises StoreError; what is damaged is a miss."""

    @property
    def name(self) -> str:
        """How a user is told where it is."""
        ...

    @property
    def writable(self) -> bool:
        """Whether anything can be kept; reading works all the same."""
        ...

    def put(self, data: bytes) -> Digest:
        """Keep `data`; return its digest."""
        ...

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's content; return the digest and the size of what was kept."""
        ...

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob, checked; None if it is missing or damaged."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there, unchecked."""
        ...

    def restore(self, digest: Digest, target: Path, *, executable: bool = False) -> bool:
        """Write a blob, checked, to `target` in one step, and make the folders above it.

        False, with nothing written, if it is missing or damaged. A symbolic link at `target` is
        replaced; whether the folders above lead somewhere safe is the caller's to know.
        """
        ...

    def records(self, key: Digest) -> list[Record]:
        """Return the sound records of a key, newest first."""
        ...

    def publish(self, record: Record) -> None:
        """Keep a record; all its blobs must have been put before."""
        ...

    def used(self, record: Record) -> None:
        """Note that a record was a hit, so that pruning takes others first."""
        ...

    def in_use(self) -> AbstractContextManager[None]:
        """Keep what is put, published, read or noted as used in the block from being pruned.

        Whoever publishes does it in such a block, from the first blob to the record.
        """
        ...

    def remove(self, record: Record) -> None:
        """Remove a record, if it is there."""
        ...

    def all_records(self) -> Iterator[Record]:
        """Yield every sound record, in no order."""
        ...

    def kept(self) -> Iterator[Kept]:
        """Yield every sound record with its size and its last use, in no order."""
        ...

    def prune(self, limits: Limits, *, dry_run: bool = False, wait: bool = True) -> Pruned:
        """Forget what is past `limits`, least recently used first, and what nothing names.

        What is in use stays. With `dry_run`, only say what would go. Raises locks.Held if somebody
        else prunes and `wait` is false.
        """
        ...

    def exceeds(self, size: int) -> bool:
        """Whether the store is larger than `size` bytes; cheap to ask after each build."""
        ...

    def check(self) -> Checked:
        """Read everything; say what is damaged and, where the store can be written, remove it."""
        ...

    def size(self) -> tuple[int, int, int]:
        """Return how many blobs and records there are, and the bytes of both together."""
        ...

    def lock(
        self,
        key: Digest,
        *,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> AbstractContextManager[None]:
        """Hold a key, so that it is executed once at a time; see locks.lock."""
        ...
