"""The store on disk, and a remote cache behind it: what is asked for and missing is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from nbbuild.model import Digest, Record
from nbbuild.store.disk import DiskStore
from nbbuild.store.remote.remote import Remote


class SharedStore(DiskStore):
    """A DiskStore in which blobs of `remote` are found, too. See protocol.Store.

    Its records are those on disk. The remote's are asked for apart (`elsewhere`), once those on
    disk have not helped: a network is slower than a disk.
    """

    shared = True

    def __init__(self, path: Path, remote: Remote) -> None:
        super().__init__(path)
        self.remote = remote
        self.on_published: Callable[[Record], None] = lambda record: None
        """Called with each record that is kept here."""

    def publish(self, record: Record) -> None:
        """Keep a record; its blobs must have been put before, or be the remote's.

        What cannot be fetched of these leaves the record where it is: here, it would count as
        damaged.
        """
        self.bring(record.blobs)
        if all(map(self.holds, record.blobs)):
            if record.cells in self.remote.fetched:
                self.publish_fetched(record)
            else:
                super().publish(record)
            self.on_published(record)

    def get(self, digest: Digest) -> bytes | None:
        """Return a blob, checked; None if it is missing here and there."""
        found = super().get(digest)
        if found is None and self.bring([digest]):
            found = super().get(digest)
        return found

    def has(self, digest: Digest) -> bool:
        """Whether a blob exists here, or the remote says that it has it; it is not checked."""
        return super().has(digest) or (self.writable and self.remote.has(digest))

    def restore(
        self,
        digest: Digest,
        target: Path,
        *,
        executable: bool = False,
        size: int | None = None,
    ) -> bool:
        """Check a blob and write it to `target` in one step; False if it is missing or damaged."""
        if super().restore(digest, target, executable=executable, size=size):
            return True
        fetched = bool(self.bring([digest]))
        return fetched and super().restore(digest, target, executable=executable, size=size)

    def holds(self, digest: Digest) -> bool:
        """Whether a blob exists here, without asking the remote."""
        return super().has(digest)

    def elsewhere(self, key: Digest) -> list[Record]:
        """Return the remote's records of a key that may be looked at, newest first."""
        return self.remote.records(key) if self.writable else []

    def origin(self, record: Record) -> str:
        """Return where a record's result came from in this session: LOCAL, or the remote's URL."""
        return self.remote.name if record.cells in self.remote.fetched else super().origin(record)

    def problems(self) -> list[str]:
        """Return what went wrong with the remote since this was asked last."""
        return self.remote.problems()

    def close(self) -> None:
        """End the connections to the remote."""
        self.remote.close()

    def missing_size(self, digests: Iterable[Digest]) -> int:
        """Return the bytes of those blobs that are missing here and can be fetched."""
        missing = self._missing(digests)
        return self.remote.size_of(missing) if missing else 0

    def bring(
        self, digests: Iterable[Digest], *, came: Callable[[int], None] = lambda size: None
    ) -> set[Digest]:
        """Fetch those blobs that are missing here; return what came. See Remote.fetch."""
        missing = self._missing(digests)
        if not missing:
            return set()

        def keep(digest: Digest, data: bytes) -> None:
            self.put_fetched(data)

        return self.remote.fetch(missing, keep, came=came)

    def _missing(self, digests: Iterable[Digest]) -> list[Digest]:
        if not self.writable:
            return []
        return [one for one in dict.fromkeys(digests) if not self.holds(one)]
