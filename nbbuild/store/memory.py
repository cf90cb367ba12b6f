"""A store in memory, gone with its object: for tests, and for runs that keep nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import write, writing
from nbbuild.disk.locks import PATIENCE, Cancelled, Held
from nbbuild.model import Digest, Record
from nbbuild.store.blobs import OTHER_BYTES
from nbbuild.store.checking import INCOMPLETE, UNSOUND, Checked, Fault, in_order
from nbbuild.store.layout import EMPTY
from nbbuild.store.pruning import Kept, Limits, Pruned, choose
from nbbuild.store.records import decode, encode, newest_first

_PAUSE = 0.01  # seconds between checks of a lock


class MemoryStore:
    """Keeps the same bytes as DiskStore, in dictionaries. See protocol.Store."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.files: dict[tuple[Digest, str], bytes] = {}  # (key, record id) → sealed record
        self.uses: dict[object, float] = {}  # digest, or (key, record id) → seconds of last use
        self._ids: dict[Digest, set[str]] = {}  # key → the ids under which records were published
        self._leases: list[float] = []
        self._locks: dict[Digest, threading.Lock] = {}
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """The name that messages give it."""
        return "a store in memory"

    @property
    def writable(self) -> bool:
        """Always."""
        return True

    def put(self, data: bytes) -> Digest:
        """Keep `data`; return its digest."""
        digest = digest_bytes(data)
        with self._turn:
            self.blobs[digest] = bytes(data)
            self.uses[digest] = time.time()
        return digest

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's content; return its digest and its size, as kept."""
        with writing("the file cannot be kept in the cache", path):
            data = path.read_bytes()
        return self.put(data), len(data)

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob, checked; None if it is missing or damaged."""
        with self._turn:
            data = self.blobs.get(digest)
            if data is None or digest_bytes(data) == digest:
                self.uses[digest] = time.time()
                return data
            self.blobs.pop(digest, None)
        return None

    def has(self, digest: Digest) -> bool:
        """Whether a blob exists; it is not checked."""
        return bool(self.blobs.get(digest)) or (digest == EMPTY and EMPTY in self.blobs)

    def restore(self, digest: Digest, target: Path, *, executable: bool = False) -> bool:
        """Check a blob and write it to `target` in one step; False if it is missing or damaged."""
        data = self.get(digest)
        if data is None:
            return False
        with writing("a file cannot be restored from the cache", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, data, mode=0o777 if executable else 0o666, sync=False)
        return True

    def records(self, key: Digest) -> list[Record]:
        """Return the sound records of a key, newest first."""
        with self._turn:
            ids = self._ids.get(key, ())
            found = [(one, self.files[key, one]) for one in ids if (key, one) in self.files]
        sound = (decode(data, key=key, record_id=one) for one, data in found)
        return newest_first(record for record in sound if record is not None)

    def publish(self, record: Record) -> None:
        """Keep a record; its blobs must have been put before."""
        data = encode(record)
        with self._turn:
            self.files[record.key.digest, record.id] = data
            self._ids.setdefault(record.key.digest, set()).add(record.id)
            self.uses[record.key.digest, record.id] = time.time()

    def used(self, record: Record) -> bool:
        """Note that a record was a hit; return whether it exists."""
        with self._turn:
            self.uses[record.key.digest, record.id] = time.time()
            return (record.key.digest, record.id) in self.files

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Protect everything used in the block from pruning."""
        began = time.time()
        with self._turn:
            self._leases.append(began)
        try:
            yield
        finally:
            with self._turn:
                self._leases.remove(began)

    def remove(self, record: Record) -> None:
        """Remove a record if it exists."""
        with self._turn:
            self.files.pop((record.key.digest, record.id), None)

    def all_records(self) -> Iterator[Record]:
        """Yield every sound record, in no order."""
        return (one.record for one in self.kept())

    def kept(self) -> Iterator[Kept]:
        """Yield every sound record with its size and its last use, in no order."""
        with self._turn:
            files = list(self.files.items())
        for (key, record_id), data in files:
            record = decode(data, key=key, record_id=record_id)
            if record is not None:
                yield Kept(record, len(data), self.uses.get((key, record_id), 0.0))

    def prune(self, limits: Limits, *, dry_run: bool = False, wait: bool = True) -> Pruned:
        """Remove what is over `limits`, and what nothing names."""
        now = time.time()
        kept = {(one.record.key.digest, one.record.id): one for one in self.kept()}
        with self._turn:
            since = min([now, *self._leases])
            sizes = {digest: len(data) for digest, data in self.blobs.items()}

            def unused(name: object) -> bool:
                return self.uses.get(name, 0.0) < since

            def loose(records: Iterable[Kept]) -> set[Digest]:
                return sizes.keys() - {blob for one in records for blob in one.record.blobs}

            fixed = sum(sizes[one] for one in loose(kept.values()) if not unused(one))
            choice = choose(kept.values(), sizes, limits, now=now, since=since, fixed=fixed)
            going = {(one.record.key.digest, one.record.id) for one in choice.going}
            gone = going | {name for name in self.files.keys() - kept.keys() if unused(name)}
            left = [one for name, one in kept.items() if name not in gone]
            blobs = {one for one in loose(left) if unused(one)}
            freed = sum(sizes[one] for one in blobs) + sum(len(self.files[one]) for one in gone)
            total = sum(sizes.values()) + sum(map(len, self.files.values()))
            if not dry_run:
                self.blobs = {one: self.blobs[one] for one in sizes.keys() - blobs}
                self.files = {one: self.files[one] for one in self.files.keys() - gone}
        records = tuple(one.record for one in choice.going)
        return Pruned(
            records=records,
            blobs=len(blobs),
            freed=freed,
            left=total - freed,
            spared=choice.spared,
        )

    def exceeds(self, size: int) -> bool:
        """Whether the store is larger than `size` bytes."""
        return self.size()[2] > size

    def check(self) -> Checked:
        """Read everything; return what is damaged, and remove it."""
        with self._turn:
            files, blobs = dict(self.files), dict(self.blobs)
        faults = [Fault("blob", one, OTHER_BYTES) for one in blobs if self.get(one) is None]
        for (key, record_id), data in files.items():
            record = decode(data, key=key, record_id=record_id)
            if record is None:
                faults.append(Fault("record", record_id, UNSOUND))
            elif not all(one in self.blobs for one in record.blobs):
                faults.append(Fault("record", record_id, INCOMPLETE, record.task))
            else:
                continue
            with self._turn:
                self.files.pop((key, record_id), None)
        return Checked(len(blobs), len(files), in_order(faults))

    def size(self) -> tuple[int, int, int]:
        """Return the number of blobs, the number of records, and the bytes of both together."""
        kept = [*self.blobs.values(), *self.files.values()]
        return len(self.blobs), len(self.files), sum(map(len, kept))

    @contextmanager
    def lock(
        self,
        key: Digest,
        *,
        wait: bool = True,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[None]:
        """Hold a key among the threads of this process."""
        with self._turn:
            ours = self._locks.setdefault(key, threading.Lock())
        patience = time.monotonic() + PATIENCE
        while not ours.acquire(timeout=_PAUSE if wait else 0):
            if not wait:
                raise Held(f"{key} is held by this process")
            if cancelled is not None and cancelled.is_set():
                raise Cancelled(f"waiting for {key} was called off")
            if on_wait is not None and time.monotonic() >= patience:
                on_wait("this process")
                on_wait = None
        try:
            yield
        finally:
            ours.release()
