"""Carry records from one store to another in one file, which may come from anywhere.

The file is a tar archive, compressed by gzip. It holds regular files with these names only, blobs
first, each kind in order:

    v2/blobs/<digest>             the bytes
    v2/records/<key>/<id>.json    a sealed Record, as in the store (layout.py)

The same records give the same bytes: times, owners and modes are always the same.

**Reading** trusts nothing. Headers are read one by one, without the extensions of tar, which have
no bound. Links, devices and other names are refused, and so is more than the store may hold,
before it is unpacked. Each blob must have the digest that is its name. Records wait until the
whole file was read and its checksum was right: what is cut off or damaged leaves at most blobs
without records, which are garbage. A record of the store is never replaced.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from nbbuild.disk import temporary
from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import Draft, writing
from nbbuild.disk.regular import opened
from nbbuild.errors import StoreError, UsageError
from nbbuild.model import Digest, Record
from nbbuild.store.layout import FORMAT
from nbbuild.store.protocol import Store
from nbbuild.store.records import decode, encode
from nbbuild.text.quantities import amount

Tell = Callable[[float], None]
"""Called again and again with how much is done, from 0 to 1."""

MOST_MEMBERS = 1_000_000
LARGEST_RECORD = 64_000_000  # bytes
_UNSUSPICIOUS = 500_000_000  # bytes that a file of any size may hold
_MOST_PER_BYTE = 200  # bytes that each byte of the file may hold beyond that

_LEVEL = 1  # images do not get smaller, and records do at any level
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20  # bytes of a blob that need no file of their own
_PADDING = 1 << 20  # bytes that may follow the end of the archive, all of them zero
_LARGE = 8**11  # bytes from which the plain form of tar has no digits for a size
_LONGEST_ID = 95  # characters: then the file's name fits into a plain header of tar
_MAGIC = b"\x1f\x8b"

_NAME = re.compile(
    r"v(?P<format>[0-9]{1,9})/"
    r"(blobs/(?P<digest>[0-9a-f]{64})"
    r"|records/(?P<key>[0-9a-f]{64})/(?P<id>[A-Za-z0-9_][A-Za-z0-9._-]{0,94})\.json)"
)


@dataclass(frozen=True, slots=True)
class ArchiveWritten:
    """What was written to a file."""

    records: int
    blobs: int
    size: int  # bytes of the file
    incomplete: tuple[Record, ...]  # left out: some of their blobs are gone or damaged


@dataclass(frozen=True, slots=True)
class ArchiveRead:
    """What came of a file."""

    records: int  # new here
    known: int  # of the same name as one here, which stayed
    refused: int  # that are not acceptable, or lack some of their blobs
    blobs: int  # in the file


def may_travel(record: Record) -> bool:
    """Whether a result may be used elsewhere: nobody accepted it, and it rests on no own files."""
    return not (record.local or record.accepted)


# -- writing -----------------------------------------------------------------------------------


def write_archive(
    store: Store, records: Iterable[Record], target: Path, tell: Tell
) -> ArchiveWritten:
    """Write `records` with their blobs to the file `target`, in one step.

    Raises `UsageError` if another kind of file is there, and `StoreError`.
    """
    _check_replaceable(target)
    wanted = sorted(records, key=lambda one: (one.key.digest, one.id))
    digests = sorted({digest for one in wanted for digest in one.blobs})
    incomplete: list[Record] = []
    with (
        writing(f"'{target}' cannot be written", target),
        store.in_use() if wanted else nullcontext(),
        Draft(target.absolute().parent) as draft,
        temporary.folder() as folder,
    ):
        tar = _Writer(draft)
        missing: set[Digest] = set()
        for number, digest in enumerate(digests):
            tell(number / len(digests))
            if not _add_blob(tar, store, digest, folder / "blob"):
                missing.add(digest)
        for one in wanted:
            if missing.isdisjoint(one.blobs) and len(one.id) <= _LONGEST_ID:
                name = f"v{FORMAT}/records/{one.key.digest}/{one.id}.json"
                data = encode(one)
                tar.add(name, len(data), [data])
            else:
                incomplete.append(one)
        tar.end()
        draft.commit(target)
    tell(1.0)
    written = len(wanted) - len(incomplete)
    return ArchiveWritten(written, len(digests) - len(missing), tar.size, tuple(incomplete))


def _check_replaceable(target: Path) -> None:
    try:
        with target.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError:
        return  # nothing is there; anything else is told when it cannot be replaced
    if head not in (_MAGIC, b""):
        raise UsageError(
            f"'{target}' is no exported cache, so it is not replaced",
            hint="name another file, such as `nbbuild-cache.tar.gz`",
        )


def _add_blob(tar: _Writer, store: Store, digest: Digest, place: Path) -> bool:
    """Add a blob; return False if it is missing or damaged. `place` is for a checked copy."""
    if not store.restore(digest, place):
        return False
    with place.open("rb") as file:
        tar.add(f"v{FORMAT}/blobs/{digest}", place.stat().st_size, _chunks(file))
    return True


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


class _Writer:
    """Writes members of an archive to a draft. Raises OSError."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, wbits=31)
        self.size = 0

    def add(self, name: str, size: int, content: Iterable[bytes]) -> None:
        """Add a file of `size` bytes."""
        info = tarfile.TarInfo(name)
        info.size = size
        plain = size < _LARGE
        self._write(
            info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
            if plain
            else info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")
        )
        for chunk in content:
            self._write(chunk)
        self._write(bytes(-size % _BLOCK))

    def end(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * _BLOCK))
        self._put(self._gzip.flush())

    def _write(self, data: bytes) -> None:
        self._put(self._gzip.compress(data))

    def _put(self, data: bytes) -> None:
        self._draft.write(data)
        self.size += len(data)


# -- reading -----------------------------------------------------------------------------------


def read_archive(
    store: Store,
    source: Path,
    tell: Tell,
    *,
    max_size: int,
    acceptable: Callable[[Record], bool] = may_travel,
) -> ArchiveRead:
    """Keep in `store` what the file `source` holds, unless that is more than `max_size` bytes.

    Records that are not `acceptable` are left out. Raises `UsageError` if there is no such file,
    and `StoreError` if it is damaged, is something else or is too large: then no record of it was
    kept.
    """
    if not store.writable:
        raise StoreError(
            "the cache is read-only, so nothing is imported",
            facts=[("path", store.name)],
            hint="make it writable, or choose another folder with [cache] path or NBBUILD_CACHE",
        )
    with (
        _open(source) as file,
        writing(f"'{source}' cannot be imported", source),
        store.in_use(),
        temporary.folder() as folder,
    ):
        return _Reader(store, source, file, folder, max_size).read(tell, acceptable)


def _open(source: Path) -> BinaryIO:
    try:
        return os.fdopen(opened(source), "rb")
    except OSError as error:
        raise UsageError(
            f"'{source}' cannot be read",
            facts=[("reason", error.strerror or str(error))],
            hint="name a file that `nbbuild cache export` wrote",
        ) from error


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A record that waits in a temporary file for the end of the archive."""

    key: Digest
    id: str
    start: int
    size: int


class _Reader:
    """Reads one archive into one store."""

    def __init__(
        self, store: Store, source: Path, file: BinaryIO, folder: Path, max_size: int
    ) -> None:
        self._store = store
        self._source = source
        self._raw = file
        self._tar = gzip.GzipFile(fileobj=file, mode="rb")
        self._folder = folder
        self._max_size = max_size
        self._length = os.fstat(file.fileno()).st_size
        self._total = 0  # bytes of all members so far
        self._blobs = 0
        self._waiting: list[_Waiting] = []

    def read(self, tell: Tell, acceptable: Callable[[Record], bool]) -> ArchiveRead:
        """Read it all, and publish its records in the end. Raises StoreError."""
        with (self._folder / "records").open("w+b") as records:
            try:
                while (info := self._header()) is not None:
                    tell(min(self._raw.tell() / self._length, 1.0))
                    self._member(info, records)
                self._check_end()
            except EOFError as error:
                self._refuse("it is cut off", error)
            except (zlib.error, gzip.BadGzipFile) as error:
                self._refuse("it is no file of gzip, or its bytes have changed", error)
            published = self._publish(records, acceptable)
        tell(1.0)
        return published

    def _member(self, info: tarfile.TarInfo, records: BinaryIO) -> None:
        """Keep one blob, or put one record where it waits."""
        found = _NAME.fullmatch(info.name)
        if found is None or info.type != tarfile.REGTYPE or info.size < 0:
            self._refuse(f"it holds '{info.name}', which is neither a blob nor a record")
        if int(found["format"]) != FORMAT:
            self._refuse_format(int(found["format"]))
        self._total += info.size
        if self._total > self._max_size:
            self._refuse_size(amount(self._max_size))
        if self._total > _UNSUSPICIOUS + _MOST_PER_BYTE * self._length:
            self._refuse(f"{amount(self._length)} cannot hold {amount(self._total)} of results")
        if found["digest"]:
            self._blobs += 1
            if not self._keep(found["digest"], info.size):
                self._refuse(f"the bytes of the blob {found['digest']} are others")
            return
        if info.size > LARGEST_RECORD:
            self._refuse(f"the record '{found['id']}' has more than {amount(LARGEST_RECORD)}")
        data = self._content(info.size)
        if decode(data, key=found["key"], record_id=found["id"]) is None:
            self._refuse(f"the record '{found['id']}' is not sound")
        self._waiting.append(_Waiting(found["key"], found["id"], records.tell(), len(data)))
        records.write(data)

    def _header(self) -> tarfile.TarInfo | None:
        """Return what the next header says, None at the end of the archive."""
        block = self._bytes(_BLOCK)
        if not any(block):
            return None
        if self._blobs + len(self._waiting) >= MOST_MEMBERS:
            self._refuse_size(f"{MOST_MEMBERS} files")
        try:
            return tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.TarError, ValueError) as error:
            self._refuse(f"a header cannot be read: {error}", error)

    def _check_end(self) -> None:
        """Read on to the checksum, which gzip compares; nothing but zeros may come before it."""
        rest = self._tar.read(_PADDING)
        if any(rest) or self._tar.read(1):
            self._refuse("something follows the end of the archive")

    def _keep(self, digest: Digest, size: int) -> bool:
        """Keep a blob; return False if its bytes do not have this digest."""
        if size <= _IN_MEMORY:
            data = self._content(size)
            return digest_bytes(data) == digest and self._store.put(data) == digest
        place = self._folder / "blob"
        with place.open("wb") as file:
            for start in range(0, size, _CHUNK):
                file.write(self._bytes(min(_CHUNK, size - start)))
        self._bytes(-size % _BLOCK)
        # If it is another blob, it is kept under its own name, and nobody asks for it.
        return self._store.put_file(place)[0] == digest

    def _content(self, size: int) -> bytes:
        data = self._bytes(size)
        self._bytes(-size % _BLOCK)
        return data

    def _bytes(self, size: int) -> bytes:
        data = self._tar.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _publish(self, records: BinaryIO, acceptable: Callable[[Record], bool]) -> ArchiveRead:
        new = known = refused = 0
        for one in self._waiting:
            records.seek(one.start)
            record = decode(records.read(one.size), key=one.key, record_id=one.id)
            if record is None or not acceptable(record):
                refused += 1
            elif any(mine.id == one.id for mine in self._store.records(one.key)):
                known += 1
                self._store.used(record)
            elif all(map(self._store.has, record.blobs)):
                self._store.publish(record)
                new += 1
            else:
                refused += 1
        return ArchiveRead(new, known, refused, self._blobs)

    def _refuse(self, reason: str, cause: Exception | None = None) -> NoReturn:
        raise StoreError(
            f"'{self._source}' is damaged, or no exported cache; none of its results is used",
            facts=[("reason", reason)],
            hint="make it again with `nbbuild cache export`, or copy it again",
        ) from cause

    def _refuse_format(self, number: int) -> NoReturn:
        raise StoreError(
            f"'{self._source}' was exported by another nbbuild; none of its results is used",
            facts=[("its format", str(number)), ("format here", str(FORMAT))],
            hint="make it again with this nbbuild",
        )

    def _refuse_size(self, limit: str) -> NoReturn:
        raise StoreError(
            f"'{self._source}' holds more than this cache may; none of its results is used",
            facts=[("limit", limit)],
            hint="raise max_size in [cache], or export less",
        )
