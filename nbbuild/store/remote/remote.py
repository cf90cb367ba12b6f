"""Read what a remote cache holds: its heads first, then only what is asked for.

A remote is believed as little as possible. A head counts if its signature does; what it leads to
counts if its digest does; a record that may be looked at is judged like any other one. Whatever is
wrong is a problem to be named once, and then a miss: no build fails because of its remote.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import private_folder, write
from nbbuild.disk.regular import read
from nbbuild.errors import NbbuildError, RemoteRefused, StoreError
from nbbuild.model import Digest, Record
from nbbuild.store.remote import heads, packs
from nbbuild.store.remote.heads import Head, HeadEntry, PackRef, Piece, Unbelieved
from nbbuild.store.remote.intake import received
from nbbuild.store.remote.objects import Objects
from nbbuild.store.remote.signing import PublicKey

MOST_RECORDS: Final = 256 << 20  # bytes of a pack of records as it travels
_MOST_RECORDS_WHOLE: Final = 1 << 30  # bytes of it inflated
_AT_ONCE: Final = 8  # requests
_TOLD: Final = 5  # problems of one kind of thing that are told one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a project deals with its remote; from [cache] and the environment."""

    heads: tuple[str, ...]  # that are read, the first of them first; pushes go to the first
    trusted: tuple[PublicKey, ...] = ()
    unsigned: bool = False  # whether heads without a signature are accepted


class Numbers:
    """The highest number of each head that this project has read, in a file of `.nbbuild`.

    An older head is one that somebody put back: what it says was true, but it is not believed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self, remote: str, head: str) -> int:
        """Return the highest number seen, 0 if there was none."""
        number = self._read().get(_line(remote, head), 0)
        return number if isinstance(number, int) else 0

    def note(self, remote: str, head: str, number: int) -> None:
        """Keep a number, if it is higher; what cannot be written is not kept."""
        known = self._read()
        if number <= self.last(remote, head) or not self._path.parent.is_dir():
            return
        known[_line(remote, head)] = number
        with suppress(OSError, StoreError):
            private_folder(self._path.parent)
            write(self._path, json.dumps(known).encode(), ours=True)

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(read(self._path))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


class Remote:
    """What the remote opened by `opens` holds, on `terms`. Thread-safe; asks only when asked."""

    def __init__(self, opens: Callable[[], Objects], terms: Terms, numbers: Numbers) -> None:
        self._opens = opens
        self._terms = terms
        self._numbers = numbers
        self._turn = threading.RLock()
        self._objects: Objects | None = None
        self._heads: list[Head] | None = None
        self._by_key: dict[Digest, list[tuple[Head, HeadEntry]]] = {}
        self._pieces: dict[Digest, tuple[PackRef, Piece]] = {}
        self._bodies: dict[str, bytes | None] = {}  # pack of records → inflated; None: unusable
        self._problems: list[str] = []
        self._lost: set[Digest] = set()
        self.fetched: set[Digest] = set()
        """The blobs that came from the remote."""
        self.signed: set[str] = set()
        """The names of the heads that were read and are signed."""

    @property
    def terms(self) -> Terms:
        """On which terms it is read."""
        return self._terms

    @property
    def name(self) -> str:
        """Its URL, without secrets."""
        return self._opened().name

    def problems(self) -> list[str]:
        """Return what went wrong since this was asked last, each once."""
        with self._turn:
            told, self._problems = list(dict.fromkeys(self._problems)), []
        if len(told) > _TOLD:
            told[_TOLD:] = [f"{len(told) - _TOLD} more problems with the remote cache"]
        return told

    def heads(self) -> Sequence[Head]:
        """Return the heads that can be read and believed."""
        with self._turn:
            if self._heads is None:
                self._heads = list(self._read_heads())
                for head in self._heads:
                    self._take_in(head)
            return self._heads

    def records(self, key: Digest) -> list[Record]:
        """Return the records of a key that may be looked at, newest first."""
        self.heads()
        found = {entry.id: self.record(head, entry) for head, entry in self._by_key.get(key, ())}
        sound = [one for one in found.values() if one is not None and self._has_all(one)]
        return sorted(sound, key=lambda one: (-one.created, one.id))

    def of_task(self, task: str) -> list[Record]:
        """Return the records that the task of this name rested on, the last pushed first."""
        found = [
            (entry.pushed, head, entry)
            for head in self.heads()
            for entry in head.entries
            if entry.task == task
        ]
        found.sort(key=lambda one: -one[0])
        return [one for _, head, entry in found if (one := self.record(head, entry)) is not None]

    def record(self, head: Head, entry: HeadEntry) -> Record | None:
        """Return the record that `entry` names, None if it cannot be had or believed."""
        place = entry.body
        bodies = self._records_in(head.records[place.pack])
        if bodies is None:
            return None
        body = bodies[place.start : place.start + place.size]
        found = received(body, digest=place.digest, key=entry.key, record_id=entry.id)
        if found is None:
            self.problem(f"a result of '{entry.task}' is not what its head says, and is not used")
        return found

    def body(self, head: Head, entry: HeadEntry) -> bytes | None:
        """Return the bytes of a record as they were pushed, None if they cannot be had."""
        bodies = self._records_in(head.records[entry.body.pack])
        start = entry.body.start
        return None if bodies is None else bodies[start : start + entry.body.size]

    def has(self, digest: Digest) -> bool:
        """Whether the remote says that it holds a blob."""
        self.heads()
        return digest in self._pieces and digest not in self._lost

    @property
    def lost(self) -> frozenset[Digest]:
        """The blobs that a head names, and that could not be fetched."""
        return frozenset(self._lost)

    @property
    def unusable(self) -> Set[str]:
        """The names of packs of records that a head names, and that could not be fetched."""
        with self._turn:
            return {name for name, whole in self._bodies.items() if whole is None}

    def size_of(self, digests: Iterable[Digest]) -> int:
        """Return the bytes of those blobs that the remote holds."""
        return sum(self._pieces[one][1].size for one in digests if self.has(one))

    def fetch(
        self,
        digests: Iterable[Digest],
        keep: Callable[[Digest, bytes], None],
        *,
        came: Callable[[int], None] = lambda size: None,
    ) -> set[Digest]:
        """Bring blobs, and call `keep` with each that is sound; return these.

        `keep` is called in several threads. `came` gets the number of bytes of each request.
        """
        wanted = {one for one in digests if self.has(one)}
        by_pack: dict[PackRef, list[Piece]] = defaultdict(list)
        for digest in wanted:
            pack, piece = self._pieces[digest]
            by_pack[pack].append(piece)
        requests = [
            (pack, request) for pack, pieces in by_pack.items() for request in packs.ranges(pieces)
        ]
        brought: set[Digest] = set()

        def bring(one: tuple[PackRef, packs.Range]) -> None:
            pack, request = one
            for piece, data in self._read_range(pack, request):
                keep(piece.digest, data)
                brought.add(piece.digest)
            came(request.size)

        small = [one for one in requests if one[1].size <= packs.MOST_AT_ONCE]
        if len(small) > 1:
            with ThreadPoolExecutor(min(_AT_ONCE, len(small))) as threads:
                list(threads.map(bring, small))
        for one in requests:  # large ones in turn: each is in memory whole
            if len(small) == 1 or one[1].size > packs.MOST_AT_ONCE:
                bring(one)
        self._lost.update(wanted - brought)
        self.fetched.update(brought)
        return brought

    def objects(self) -> Objects:
        """Return what its bytes are read from and written to. Raises NbbuildError."""
        return self._opened()

    def close(self) -> None:
        """End its connections."""
        with self._turn:
            if self._objects is not None:
                self._objects.close()
                self._objects = None

    # -- reading -------------------------------------------------------------------------------

    def _opened(self) -> Objects:
        with self._turn:
            if self._objects is None:
                self._objects = self._opens()
            return self._objects

    def _read_heads(self) -> Iterable[Head]:
        answered = False
        refused: RemoteRefused | None = None
        for name in self._terms.heads:
            try:
                found = self._opened().get(heads.object_name(name), most=heads.MOST)
                answered = True
            except RemoteRefused as error:
                # S3 refuses to say that an object does not exist to those who may not list.
                refused = error
                continue
            except NbbuildError as error:
                # One that does not answer is not asked again: offline means local only.
                self.problem(f"{told(error)}; only the local cache is used")
                return
            if found is None:
                continue
            try:
                yield self.believed(name, found.data)
            except Unbelieved as reason:
                self.problem(f"the head '{name}' of the remote cache is not used: {reason}")
        if refused is not None and not answered:
            self.problem(f"{told(refused)}; only the local cache is used")

    def believed(self, name: str, data: bytes) -> Head:
        """Return the head in `data`; raise Unbelieved if it cannot be believed."""
        terms = self._terms
        head = heads.decode(name, data, trusted=terms.trusted, unsigned=terms.unsigned)
        last = self._numbers.last(self._opened().name, name)
        if head.number < last:
            raise Unbelieved("it is older than one that was read before, so somebody put it back")
        self._numbers.note(self._opened().name, name, head.number)
        if heads.is_signed(data):
            self.signed.add(name)
        else:
            self.signed.discard(name)
        return head

    def _take_in(self, head: Head) -> None:
        for entry in head.entries:
            self._by_key.setdefault(entry.key, []).append((head, entry))
        for piece in head.pieces:
            self._pieces.setdefault(piece.digest, (head.packs[piece.pack], piece))

    def _has_all(self, record: Record) -> bool:
        return all(digest in self._pieces for digest in record.blobs)

    def _records_in(self, pack: PackRef) -> bytes | None:
        with self._turn:
            if pack.name not in self._bodies:
                self._bodies[pack.name] = self._inflated(pack)
            return self._bodies[pack.name]

    def _inflated(self, pack: PackRef) -> bytes | None:
        try:
            found = self._opened().get(packs.object_name(pack), most=MOST_RECORDS)
            if found is None:
                raise Unbelieved("it is not there")
            if packs.pack_name(found.data) != pack.name:
                raise Unbelieved("its bytes do not match its name")
            return heads.inflated(found.data, most=_MOST_RECORDS_WHOLE)
        except NbbuildError as error:
            self.problem(told(error))
        except Unbelieved as reason:
            self.problem(f"results in the remote cache cannot be used: {reason}")
        return None

    def _read_range(self, pack: PackRef, request: packs.Range) -> Iterable[tuple[Piece, bytes]]:
        name = packs.object_name(pack)
        try:
            data = self._opened().get_range(
                name, request.start, request.size, most_whole=heads.MOST_PACK
            )
        except NbbuildError as error:
            self.problem(told(error))
            return
        if data is None:
            self.problem("blobs in the remote cache are gone, though a head names them")
            return
        view = memoryview(data)
        for piece in request.pieces:
            start = piece.start - request.start
            whole = start == 0 and piece.size == len(data)
            part = data if whole else bytes(view[start : start + piece.size])
            if digest_bytes(part) == piece.digest:
                yield piece, part
            else:
                self.problem("a blob in the remote cache is damaged, and is not used")

    def problem(self, text: str) -> None:
        """Note what went wrong; the build goes on."""
        with self._turn:
            self._problems.append(text)


def told(error: NbbuildError) -> str:
    """Return an error in one line, for a note beside a build that goes on."""
    reasons = "".join(f": {value}" for label, value in error.facts if label == "reason")
    hint = f" ({error.hint})" if error.hint else ""
    return f"{error.what}{reasons}{hint}"


def _line(remote: str, head: str) -> str:
    return f"{remote} {head}"
