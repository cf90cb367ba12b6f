"""Keep records on disk: one sealed JSON file each, in a folder per action key.

What the traces of many records have in common is kept once, in blobs (chunks.py). That concerns
this store only: `encode` returns a record whole, and so it travels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from nbbuild.disk.checksummed import seal, unseal
from nbbuild.disk.durable import sync_folder, writing
from nbbuild.disk.regular import NotRegular, leads_nowhere, read
from nbbuild.disk.shapes import as_json
from nbbuild.errors import OneTaskError
from nbbuild.model import Chunk, Digest, Record
from nbbuild.store.blobs import Blobs
from nbbuild.store.bounds import MOST_BODY, MOST_CHUNK, excess
from nbbuild.store.chunks import LEAST_ITEMS, cut
from nbbuild.store.layout import Layout, is_digest, is_record_id
from nbbuild.store.pruning import Kept
from nbbuild.store.reading import RecordReader, in_chunks, plainly
from nbbuild.store.uses import StoreUses

_TRIES = 100
_MOST = MOST_BODY + 100  # bytes of a record's file
_MOST_MET = 100_000


def encode(record: Record) -> bytes:
    """Return the content of the record's file. Raises StoreError if it would read back changed."""
    if not is_record_id(record.id) or not is_digest(record.key.digest):
        raise _unfit(record, "its id or its key cannot be a file's name")
    try:
        data = seal(as_json(record))
    except (TypeError, ValueError) as error:
        raise _unfit(record, f"it is not JSON: {error}") from error
    if len(data) > _MOST or excess(record):
        raise _unfit(record, excess(record) or "it names more than any run uses")
    if decode(data, key=record.key.digest, record_id=record.id) != record:
        raise _unfit(record, "it reads back differently")
    return data


def decode(
    data: bytes,
    *,
    key: Digest,
    record_id: str,
    read: Callable[[bytes], Record | None] = plainly,
) -> Record | None:
    """Return the record in a file under `key` and `record_id`; None if it is not that record.

    By `plainly`, only one that is whole can be read.
    """
    body = unseal(data)
    record = None if body is None else read(body)
    if record is None or (record.key.digest, record.id) != (key, record_id):
        return None
    return None if excess(record) else record


def newest_first(records: Iterator[Record]) -> list[Record]:
    """Sort records by their time of creation, newest first, and then by id."""
    return sorted(records, key=lambda record: (-record.created, record.id))


class Records:
    """The records of one store. Writing raises StoreError; readers skip bad records."""

    def __init__(self, layout: Layout, blobs: Blobs, uses: StoreUses) -> None:
        self._layout = layout
        self._blobs = blobs
        self._uses = uses
        self._folder = str(layout.records)
        self._ours = False
        self._reader = RecordReader(partial(blobs.peek, most=MOST_CHUNK))
        self._met: set[Digest] = set()  # stretches of traces that were published whole

    def of(self, key: Digest) -> list[Record]:
        """Return the key's records, newest first."""
        # Called for thousands of tasks, so check whether the store is ours only until it is.
        self._ours = self._ours or self._layout.is_ours()
        if not is_digest(key) or not self._ours:
            return []
        return newest_first(self._in(f"{self._folder}/{key[:2]}/{key}", key))

    def all(self) -> Iterator[Record]:
        """Yield every record, in no order."""
        if self._layout.is_ours():
            for folder in self._layout.records.glob("??/*"):
                if is_digest(folder.name):
                    yield from self._in(str(folder), folder.name)

    def publish(self, record: Record, *, sync: bool = True) -> None:
        """Keep a record; its blobs must have been put before.

        Without `sync` it is not flushed: for what can be fetched again after a power failure.
        """
        data = self._in_chunks(record, encode(record), sync=sync)
        place = self._layout.record(record.key.digest, record.id)
        with writing("the cache cannot be written", place), self._layout.draft() as draft:
            draft.write(data)
            for left in reversed(range(_TRIES)):
                try:
                    self._layout.make_folder(place.parent)
                    draft.commit(place, ours=True, sync=sync)
                    break
                except (FileNotFoundError, FileExistsError):
                    # Another process removes the folder whenever it is empty. (Path.mkdir says that
                    # it exists if it vanishes before mkdir has checked that it is a folder.)
                    if not left:
                        raise
            if sync:
                with suppress(FileNotFoundError):  # pruned already
                    sync_folder(place.parent)
        self._uses.grew(len(data))

    def _in_chunks(self, record: Record, whole: bytes, *, sync: bool) -> bytes:
        """Return the file of a record, in which chunks that others share are only named.

        A stretch becomes a chunk once it is met for the second time, or where one is lost.
        """
        if len(record.trace.items) < LEAST_ITEMS:
            return whole
        try:
            stretches = list(cut(record.trace.items))
        except UnicodeEncodeError:
            return whole
        chunks: list[Digest] = []
        places: list[int] = []
        rest: list[bytes] = []
        for stretch in stretches:
            if stretch.alike and self._is_shared(chunk := stretch.chunk()):
                # What was read here was sound; all else is put, which mends what is damaged.
                if not (self._reader.knows(chunk) and self._blobs.used(chunk.digest)):
                    self._blobs.put(stretch.body, sync=sync)
                    self._reader.learn(chunk)
                chunks.append(chunk.digest)
                places.append(len(rest))
            else:
                rest += stretch.texts
        if not chunks:
            return whole
        body = in_chunks(record, tuple(chunks), tuple(places), b"[%b]" % b",".join(rest))
        # What lies outside of the trace may be readable only in the plain way.
        return seal(body) if self._reader.read(body) == record else whole

    def _is_shared(self, chunk: Chunk) -> bool:
        digest = chunk.digest
        if self._reader.knows(chunk):
            return True
        shared = digest in self._met or digest in self._reader.lost or self._blobs.has(digest)
        if len(self._met) >= _MOST_MET:
            self._met = set()
        self._met.add(digest)
        return shared

    def used(self, record: Record) -> bool:
        """Note that the record was a hit, for pruning; return whether it exists."""
        return self._uses.note(self._layout.record(record.key.digest, record.id))

    def remove(self, record: Record) -> None:
        """Remove a record; its blobs stay."""
        place = self._layout.record(record.key.digest, record.id)
        with writing("a record cannot be removed from the cache", place):
            place.unlink(missing_ok=True)
        with suppress(OSError):
            place.parent.rmdir()

    def files(self, *, all_of_them: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the path and the stat of each record's file, sound or not, in no order.

        If `all_of_them` count, a folder that cannot be listed raises OSError.
        """
        if self._layout.is_ours():
            for path, look in self._layout.looks(
                self._layout.records, "??/*/*.json", all_of_it=all_of_them
            ):
                if is_digest(path.parent.name):
                    yield path, look

    def kept(self, path: Path, look: os.stat_result) -> Kept | None:
        """Return the record in the file at `path`, None if it is not sound or cannot be read.

        Where a chunk is lost, its items are missing, as blobs may be.
        """
        try:
            return self.sound(path, look)
        except OSError:
            return None

    def sound(self, path: Path, look: os.stat_result) -> Kept | None:
        """Do what `kept` does, but raise OSError for a file that cannot be read."""
        reader = partial(self._reader.read, without_lost=True)
        if not is_record_id(path.stem):
            return None
        try:
            data = read(path, most=_MOST)
        except OSError as error:
            if isinstance(error, NotRegular) or leads_nowhere(error):
                return None
            raise
        record = decode(data, key=path.parent.name, record_id=path.stem, read=reader)
        return Kept(record, look.st_size, look.st_mtime) if record else None

    def _in(self, folder: str, key: Digest) -> Iterator[Record]:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - for each of thousands of tasks
        except OSError:
            return
        for name in names:
            record_id, dot, suffix = name.rpartition(".")
            if not dot or suffix != "json":
                continue
            record = self._read(f"{folder}/{name}", key, record_id, self._reader.read)
            if record is not None:
                yield record

    def _read(
        self,
        path: str,
        key: Digest,
        record_id: str,
        reader: Callable[[bytes], Record | None],
    ) -> Record | None:
        """Return the record in the file at `path`, None if it is missing or not sound."""
        if not is_record_id(record_id):
            return None
        try:
            data = read(path, most=_MOST)
        except OSError:
            return None
        return decode(data, key=key, record_id=record_id, read=reader)


def _unfit(record: Record, reason: str) -> OneTaskError:
    return OneTaskError(
        f"the result of '{record.task}' cannot be kept in the cache",
        facts=[("record", record.id), ("reason", reason)],
    )
