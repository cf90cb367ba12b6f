"""The store on disk, shared by any number of processes and projects."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from nbbuild.disk.durable import writing
from nbbuild.disk.locks import lock
from nbbuild.errors import StoreError
from nbbuild.model import LOCAL, Digest, Record
from nbbuild.store import checking, earlier, gauge
from nbbuild.store.blobs import Blobs
from nbbuild.store.checking import Checked
from nbbuild.store.earlier import Earlier
from nbbuild.store.gc import Collector
from nbbuild.store.layout import Layout, is_digest
from nbbuild.store.pruning import Kept, Limits, Pruned
from nbbuild.store.records import Records
from nbbuild.store.uses import StoreUses


class DiskStore:
    """The store in the folder `path`; the first write makes the folder. See protocol.Store."""

    def __init__(self, path: Path) -> None:
        self.layout = Layout(path.absolute())
        self._uses = StoreUses(self.layout)
        self._blobs = Blobs(self.layout, self._uses)
        self._records = Records(self.layout, self._blobs, self._uses)

    @property
    def name(self) -> str:
        """The store's folder."""
        return str(self.layout.folder)

    shared = False
    """Whether results of other machines may be had, too."""

    @property
    def writable(self) -> bool:
        """Whether this process may write here, or make the folder."""
        place = self.layout.folder
        if not place.is_dir():  # a file there is set aside
            place = place.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        effective = os.access in os.supports_effective_ids
        return place.is_dir() and os.access(place, os.W_OK | os.X_OK, effective_ids=effective)

    def put(self, data: bytes) -> Digest:
        """Keep `data`; return its digest."""
        return self._blobs.put(data)

    def put_fetched(self, data: bytes) -> Digest:
        """Keep a blob that can be fetched again, so that no power failure has to spare it."""
        return self._blobs.put(data, sync=False)

    def publish_fetched(self, record: Record) -> None:
        """Keep a record that can be fetched again; its blobs must have been put before."""
        self._records.publish(record, sync=False)

    def put_file(self, path: Path) -> tuple[Digest, int]:
        """Keep a file's content; return its digest and its size, as kept."""
        return self._blobs.put_file(path)

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob, checked; None if it is missing or damaged."""
        return self._blobs.get(digest)

    def has(self, digest: Digest) -> bool:
        """Whether a blob exists; it is not checked."""
        return self._blobs.has(digest)

    def restore(
        self,
        digest: Digest,
        target: Path,
        *,
        executable: bool = False,
        size: int | None = None,
    ) -> bool:
        """Check a blob and write it to `target` in one step; False if it is missing or damaged."""
        return self._blobs.restore(digest, target, executable=executable, size=size)

    def elsewhere(self, key: Digest) -> list[Record]:
        """Return further records of a key, from where asking takes longer: here, none."""
        return []

    def origin(self, record: Record) -> str:
        """Return where a record's result came from: here, LOCAL."""
        return LOCAL

    def problems(self) -> list[str]:
        """Return what went wrong with a remote since this was asked last: here, nothing."""
        return []

    def close(self) -> None:
        """Give up what is held open."""

    def records(self, key: Digest) -> list[Record]:
        """Return the sound records of a key, newest first."""
        return self._records.of(key)

    def publish(self, record: Record) -> None:
        """Keep a record; its blobs must have been put before."""
        self._records.publish(record)

    def used(self, record: Record) -> bool:
        """Note that a record was a hit; return whether it exists."""
        return self._records.used(record)

    def in_use(self) -> AbstractContextManager[None]:
        """Protect everything used in the block from pruning; see gc."""
        if not self.writable:
            return nullcontext()
        if self.layout.is_foreign():  # a file, for example, in which no lock can be made
            with writing("the cache cannot be written", self.layout.folder):
                self.layout.make()
        return self._uses.lease(on_end=partial(gauge.add, self.layout))

    def remove(self, record: Record) -> None:
        """Remove a record if it exists."""
        self._records.remove(record)

    def all_records(self) -> Iterator[Record]:
        """Yield every sound record, in no order."""
        return self._records.all()

    def kept(self) -> Iterator[Kept]:
        """Yield every sound record with its size and its last use, in no order."""
        found = (self._records.kept(path, look) for path, look in self._records.files())
        return (one for one in found if one is not None)

    def prune(self, limits: Limits, *, dry_run: bool = False, wait: bool = True) -> Pruned:
        """Remove what is over `limits`, and what nothing names; see gc."""
        if not dry_run:
            self._check_writable()
        collector = Collector(self.layout, self._blobs, self._records, self._uses)
        return collector.prune(limits, dry_run=dry_run, wait=wait)

    def earlier(self) -> list[Earlier]:
        """Return the folders of earlier formats, which this version cannot use."""
        return earlier.found(self.layout)

    def unsaid_earlier(self) -> int:
        """Return how many records have an earlier format; 0 if this was reported before."""
        return earlier.unsaid(self.layout) if self.writable else 0

    def unsaid_foreign(self) -> list[str]:
        """Return sentences on what other versions left here, unless they were said before."""
        return earlier.unsaid_foreign(self.layout) if self.writable else []

    def remove_earlier(self) -> list[Earlier]:
        """Remove the folders of earlier formats that are not in use; return all that were there."""
        self._check_writable()
        return earlier.remove(self.layout)

    def exceeds(self, size: int) -> bool:
        """Whether the store is larger than `size` bytes; walks through it only if it may be."""
        return gauge.exceeds(self.layout, size, walk=lambda: self.size()[2])

    def check(self) -> Checked:
        """Read everything; return what is damaged, and remove it if the store can be written."""
        return checking.check(self._blobs, self._records, self._uses, removing=self.writable)

    def size(self) -> tuple[int, int, int]:
        """Return the number of blobs, the number of records, and the bytes of both together."""
        blobs = [look.st_size for _, look in self._blobs.all()]
        records = [look.st_size for _, look in self._records.files()]
        return len(blobs), len(records), sum(blobs) + sum(records)

    def lock(
        self,
        key: Digest,
        *,
        wait: bool = True,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> AbstractContextManager[None]:
        """Hold a key across processes; do nothing if the store can only be read.

        Waiting for a result is useless where none can be published.
        """
        if not is_digest(key):
            raise ValueError(f"{key!r} is no key")
        if not self.writable:
            return nullcontext()
        return lock(self.layout.lock(key), wait=wait, on_wait=on_wait, cancelled=cancelled)

    def _check_writable(self) -> None:
        if not self.writable:
            raise StoreError(
                "the cache is read-only, so nothing is removed from it",
                facts=[("path", str(self.layout.folder))],
                hint="make it writable, or use --dry-run to see what would be removed",
            )
