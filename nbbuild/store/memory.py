"""A store that lives as long as its object: for tests, and for runs that keep nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbbuild.digests import digest_bytes
from nbbuild.durable import write, writing
from nbbuild.locks import PATIENCE, Cancelled
from nbbuild.model import Digest, Record
from nbbuild.store.layout import EMPTY
from nbbuild.store.records import decode, encode, newest_first

_PAUSE = 0.01  # seconds between two looks at a lock


class MemoryStore:
    """Keeps the same bytes that DiskStore would, in dictionaries. See protocol.Store."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.files: dict[tuple[Digest, str], bytes] = {}  # (key, record id) → sealed record
        self._locks: dict[Digest, threading.Lock] = {}
        self._turn = threading.Lock()

    @property
    def writable(self) -> bool:
        """Always."""
        return True

    def put(self, data: bytes) -> Digest:
        """Keep `data`; return its digest."""
        digest = digest_bytes(data)
        self.blobs[digest] = bytes(data)
        return digest

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's content; return the digest and the size of what was kept."""
        with writing("the file cannot be kept in the cache", path):
            data = path.read_bytes()
        return self.put(data), len(data)

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob, checked; None if it is missing or damaged."""
        data = self.blobs.get(digest)
        if data is None or digest_bytes(data) == digest:
            return data
        self.blobs.pop(digest, None)
        return None

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there, unchecked."""
        return bool(self.blobs.get(digest)) or (digest == EMPTY and EMPTY in self.blobs)

    def restore(self, digest: Digest, target: Path, *, executable: bool = False) -> bool:
        """Write a blob, checked, to `target` in one step; False if it is missing or damaged."""
        data = self.get(digest)
        if data is None:
            return False
        with writing("a file cannot be restored from the cache", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, data, mode=0o777 if executable else 0o666, sync=False)
        return True

    def records(self, key: Digest) -> list[Record]:
        """Return the sound records of a key, newest first."""
        return newest_first(record for record in self.all_records() if record.key.digest == key)

    def publish(self, record: Record) -> None:
        """Keep a record; all its blobs must have been put before."""
        data = encode(record)
        with self._turn:
            self.files[record.key.digest, record.id] = data

    def used(self, record: Record) -> None:
        """Do nothing: nothing is pruned here."""

    def remove(self, record: Record) -> None:
        """Remove a record, if it is there."""
        with self._turn:
            self.files.pop((record.key.digest, record.id), None)

    def all_records(self) -> Iterator[Record]:
        """Yield every sound record, in no order."""
        with self._turn:
            files = list(self.files.items())
        for (key, record_id), data in files:
            record = decode(data, key=key, record_id=record_id)
            if record is not None:
                yield record

    def size(self) -> tuple[int, int, int]:
        """Return how many blobs and records there are, and the bytes of both together."""
        kept = [*self.blobs.values(), *self.files.values()]
        return len(self.blobs), len(self.files), sum(map(len, kept))

    @contextmanager
    def lock(
        self,
        key: Digest,
        *,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[None]:
        """Hold a key among the threads of this process."""
        with self._turn:
            ours = self._locks.setdefault(key, threading.Lock())
        patience = time.monotonic() + PATIENCE
        while not ours.acquire(timeout=_PAUSE):
            if cancelled is not None and cancelled.is_set():
                raise Cancelled(f"waiting for {key} was called off")
            if on_wait is not None and time.monotonic() >= patience:
                on_wait("this process")
                on_wait = None
        try:
            yield
        finally:
            ours.release()
