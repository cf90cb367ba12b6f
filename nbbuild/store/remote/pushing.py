"""Push results to a remote: blobs first, then records, the head that names them last.

A push that ends in between leaves packs that nobody names: garbage, never a lie. Two pushes to one
head at once both count where the remote has conditional writes: whoever is slower reads the head
anew and adds its own. On plain HTTP the slower one may undo the faster one's entries; these results
are then pushed again by the next build that rests on them.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import as_json
from nbbuild.errors import ConfigError, RemoteError
from nbbuild.model import Digest, Record
from nbbuild.store.remote import heads, packs
from nbbuild.store.remote.heads import MOST_PACK, Head, HeadEntry, PackRef, Piece, Unbelieved
from nbbuild.store.remote.intake import MOST_BODY
from nbbuild.store.remote.packs import Packed, Packer
from nbbuild.store.remote.remote import Remote
from nbbuild.store.remote.signing import SECRET_VARIABLE, Signer

KEPT: Final = 8
"""How many records a head keeps for one task: branches and data versions go back and forth."""
GONE: Final = 30 * 86_400.0
"""Seconds for which a head keeps a task that no push names any more."""

_MOST_PACKS: Final = 6  # of blobs, before small ones are joined
_MOST_RECORD_PACKS: Final = 3
_JOINED: Final = 64 << 20  # bytes: a pack of this size is left as it is
_TRIES: Final = 12


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to."""

    records: int = 0
    blobs: int = 0
    size: int = 0  # bytes sent
    left: int = 0  # records that were not pushed: time was up, or their blobs are gone


@dataclass(frozen=True, slots=True)
class Resting:
    """A task, and the record that it rests on."""

    task: str
    record: Record


class Stopped(Exception):
    """The push was cancelled between two requests."""


@dataclass(slots=True)
class Pusher:
    """Pushes to the head `head` of `remote`; `get` returns the bytes of a blob.

    `add` sends the blobs of results in the background while a build is still running; `finish`
    sends the rest and the head. Thread-safe. With `checking`, `finish` looks whether the remote
    still has all packs that the head names, and sends again what is gone.
    """

    remote: Remote
    head: str
    signer: Signer | None
    get: Callable[[Digest], bytes | None]
    bring: Callable[[Iterable[Digest]], object] = lambda digests: None
    """Called with blobs of which `get` is about to be asked: few requests bring many."""
    checking: bool = False
    sent: Callable[[int], None] = lambda size: None  # called with the bytes of each request
    now: Callable[[], float] = time.time
    stopping: threading.Event = field(default_factory=threading.Event)
    pause: Callable[[int], None] = field(default=lambda attempt: time.sleep(_spread(attempt)))
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _packer: Packer = field(default_factory=Packer)
    _placed: dict[Digest, tuple[PackRef, int, int]] = field(default_factory=dict)
    _waiting: set[Digest] = field(default_factory=set)  # in `_packer`
    _sent: set[str] = field(default_factory=set)  # names of packs
    _gone: set[str] = field(default_factory=set)  # names of packs that the remote has lost
    _size: int = 0

    def add(self, record: Record) -> None:
        """Send the blobs of `record` that the remote lacks, a full pack at a time."""
        self._check_key()
        for digest in record.blobs:
            if not self.remote.has(digest):
                self._take(digest)

    def finish(self, resting: Sequence[Resting]) -> Pushed:
        """Send what is missing of `resting`, and the head that names all of it.

        Raises NbbuildError for what the remote refuses, Stopped once `stopping` is set.
        """
        self._check_key()
        for attempt in range(_TRIES):
            # All of it again if somebody was faster: their head may have let go of what ours had.
            base, tag = self._current()
            stale = _is_stale(base, resting, self.now())
            if self.checking or stale:
                self._look_for_packs(base)
            gone = self._gone | self.remote.unusable
            base = heads.without(base, packs=gone, blobs=self.remote.lost)
            missing = self._missing(base, resting)
            placed = {piece.digest for piece in base.pieces}
            new = [one for one in missing if self._has_blobs(one.record, placed)]
            left = len(missing) - len(new)
            if not new and not stale:
                return Pushed(left=left)
            data = heads.encode(self._merged(base, resting, new), self.signer)
            self._check()
            if self.remote.objects().replace(heads.object_name(self.head), data, tag=tag):
                self._count(len(data))
                return Pushed(len(new), len(self._placed), self._size, left)
            self.pause(attempt)
        raise RemoteError(
            f"the head '{self.head}' of the remote cache could not be written",
            facts=[("reason", f"others wrote it {_TRIES} times meanwhile")],
            hint="run `nbbuild cache push` again",
        )

    def _check_key(self) -> None:
        """Raise ConfigError if no reader would believe what is signed here.

        A fork's pull request may come from a branch that is called main, too: its key must not put
        a head that nobody believes in the place of main's.
        """
        if self.signer is None:
            return
        own = [key for key in self.remote.terms.trusted if key.text == self.signer.public]
        if not own:
            raise ConfigError(
                f"the key in {SECRET_VARIABLE} belongs to none of [cache] public_keys",
                hint=f'add "{self.signer.public}" there, or set another key',
            )
        if not any(key.covers(self.head) for key in own):
            raise ConfigError(
                f"the key in {SECRET_VARIABLE} may not sign the head '{self.head}'",
                hint="[cache] public_keys names the heads that it may sign; NBBUILD_BRANCH chooses "
                "another head",
            )

    def _missing(self, base: Head, resting: Iterable[Resting]) -> list[Resting]:
        """Return those whose record `base` does not have, nor another run's that says the same."""
        known: dict[tuple[str, str], list[HeadEntry]] = defaultdict(list)
        for entry in base.entries:
            known[entry.task, entry.key].append(entry)

        def is_known(one: Resting) -> bool:
            found = known.get((one.task, one.record.key.digest), [])
            if any(entry.id == one.record.id for entry in found):
                return True
            others = (self.remote.record(base, entry) for entry in found)
            return any(other is not None and _says_the_same(other, one.record) for other in others)

        return [one for one in resting if not is_known(one)]

    def _look_for_packs(self, base: Head) -> None:
        """Find out which packs are gone: a bucket may let them expire, though a head names them."""
        for pack in (*base.records, *base.packs):
            self._check()
            if pack.name not in self._sent and not self.remote.objects().exists(
                packs.object_name(pack)
            ):
                self._gone.add(pack.name)

    def _bodies(self, base: Head, new: Iterable[Resting]) -> _Bodies:
        """Return the records to send; with those of `base` if they lie in too many packs."""
        bodies = _Bodies()
        for one in new:
            bodies.add(one.task, one.record.key.digest, one.record, as_json(one.record))
        if bodies and len(base.records) >= _MOST_RECORD_PACKS:
            for entry in base.entries:
                body, record = self.remote.body(base, entry), self.remote.record(base, entry)
                if body is not None and record is not None:
                    bodies.add(entry.task, entry.key, record, body)
        return bodies

    # -- blobs ---------------------------------------------------------------------------------

    def _take(self, digest: Digest) -> bool:
        """Put a blob into the next pack; return whether it is there to be sent."""
        with self._turn:
            if digest in self._placed or digest in self._waiting:
                return True
        data = self.get(digest)
        if data is None or len(data) > MOST_PACK:
            return False
        with self._turn:
            if len(data) >= _JOINED:  # alone, or there would be a second copy of it in memory
                alone = Packer()
                alone.add(digest, data)
                self._seal(alone)
                return True
            self._packer.add(digest, data)
            self._waiting.add(digest)
            if self._packer.size >= packs.FULL:
                self._flush()
        return True

    def _flush(self) -> None:
        if self._packer.places:
            self._waiting.clear()
            self._seal(self._packer)

    def _seal(self, packer: Packer) -> None:
        pack = packer.sealed()
        self._send(pack)
        self._placed.update(
            (digest, (pack.ref, start, size)) for digest, start, size in pack.places
        )

    def _has_blobs(self, record: Record, placed: Collection[Digest]) -> bool:
        return all(digest in placed or self._take(digest) for digest in record.blobs)

    def _send(self, pack: Packed) -> None:
        if pack.ref.name in self._sent:
            return
        self._check()
        objects, name = self.remote.objects(), packs.object_name(pack.ref)
        if not self.remote.lost.isdisjoint(digest for digest, _, _ in pack.places):
            objects.replace(name, pack.data, tag="")  # what lies there may be damaged
        else:
            objects.put_new(name, pack.data)
        self._sent.add(pack.ref.name)
        self._gone.discard(pack.ref.name)
        self._count(pack.ref.size)

    def _count(self, size: int) -> None:
        self._size += size
        self.sent(size)

    def _check(self) -> None:
        if self.stopping.is_set():
            raise Stopped

    # -- the head ------------------------------------------------------------------------------

    def _current(self) -> tuple[Head, str | None]:
        """Return the head as it is now and its tag; of a new branch, one that begins as another's.

        Raises RemoteError if there is one that cannot be believed: it is not ours to replace.
        """
        found = self.remote.objects().get(heads.object_name(self.head), most=heads.MOST)
        if found is None:
            others = [one for one in self.remote.heads() if self._may_sign(one)]
            begun = others[0] if others else Head(self.head, 0)
            return Head(self.head, 0, begun.records, begun.packs, begun.pieces, begun.entries), None
        try:
            head = self.remote.believed(self.head, found.data)
            return head if self._may_sign(head) else Head(self.head, head.number), found.tag
        except Unbelieved as reason:
            raise RemoteError(
                f"nothing is pushed: the head '{self.head}' of the remote cache is not ours",
                facts=[("remote", self.remote.name), ("reason", str(reason))],
                hint="name the key that signed it in [cache] public_keys, or remove that head",
            ) from None

    def _may_sign(self, head: Head) -> bool:
        """Whether somebody answers for what a head leads to: our signature makes us do so."""
        return self.signer is None or head.name in self.remote.signed

    def _merged(self, base: Head, resting: Sequence[Resting], new: Sequence[Resting]) -> Head:
        """Send all but the head; return that: `base` and what is new, without what is too old."""
        with self._turn:
            self._flush()
        joined = self._joined(base)
        bodies = self._bodies(base, new)
        sealed = bodies.packed()
        for one in (*joined, *([sealed] if sealed else [])):
            self._send(one)
        draft = _Draft(now=self.now())
        draft.take(base)
        draft.moved(joined)
        for digest, (pack, start, size) in self._placed.items():
            draft.place(digest, pack, start, size)
        if sealed is not None:
            for body in bodies.placed:
                draft.add(body, sealed.ref)
        for rest in resting:
            draft.rests(rest)
        number = max(base.number + 1, int(self.now()))
        return draft.head(self.head, number)

    def _joined(self, base: Head) -> list[Packed]:
        """Return small packs of `base`, joined into one, if there are too many of them."""
        count = len(base.packs) + len({pack for pack, _, _ in self._placed.values()})
        small = sorted((p for p in base.packs if p.size < _JOINED), key=lambda one: one.size)
        if count <= _MOST_PACKS or len(small) < 2:
            return []
        chosen: list[PackRef] = []
        for pack in small:
            if sum(one.size for one in chosen) + pack.size > _JOINED:
                break
            chosen.append(pack)
        if len(chosen) < 2:
            return []
        numbers = {base.packs.index(pack) for pack in chosen}
        alive = {number for entry in base.entries for number in entry.blobs}
        digests = {
            base.pieces[number].digest for number in alive if base.pieces[number].pack in numbers
        }
        packer = Packer()
        self.bring(digests)
        for digest in sorted(digests):
            data = self.get(digest)
            if data is not None:
                packer.add(digest, data)
        return [packer.sealed()] if packer.places else []


@dataclass(frozen=True, slots=True)
class _Body:
    """A record in the pack that is sent."""

    task: str
    key: Digest
    id: str
    blobs: tuple[Digest, ...]
    place: Piece  # its pack has no number yet


class _Bodies:
    """The records of one push, deflated together: they have many words in common."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.placed: list[_Body] = []

    def __bool__(self) -> bool:
        return bool(self.placed)

    def add(self, task: str, key: Digest, record: Record, body: bytes) -> None:
        """Put the bytes of a record behind the others."""
        if len(body) > MOST_BODY:
            return
        place = Piece(digest_bytes(body), 0, len(self._data), len(body))
        self.placed.append(_Body(task, key, record.id, record.blobs, place))
        self._data += body

    def packed(self) -> Packed | None:
        """Return the pack to send, None if there is nothing to send."""
        if not self.placed:
            return None
        data = zlib.compress(bytes(self._data), 6)
        return Packed(PackRef(packs.pack_name(data), len(data)), data, ())


def _says_the_same(one: Record, other: Record) -> bool:
    """Whether two runs of one key used and made the same."""
    return (one.cells, one.artefacts, one.trace.items) == (
        other.cells,
        other.artefacts,
        other.trace.items,
    )


def _is_stale(base: Head, resting: Iterable[Resting], now: float) -> bool:
    """Whether `base` would soon let go of something that tasks still rest on."""
    pushed = {(entry.task, entry.id): entry.pushed for entry in base.entries}
    times = (pushed.get((one.task, one.record.id), now) for one in resting)
    return any(now - one > GONE / 4 for one in times)


class _Draft:
    """A head that is being put together; packs and pieces are numbered when it is done."""

    def __init__(self, *, now: float) -> None:
        self._now = now
        self._pieces: dict[Digest, tuple[PackRef, int, int]] = {}
        self._entries: dict[tuple[str, str], tuple[HeadEntry, PackRef, tuple[Digest, ...]]] = {}

    def take(self, head: Head) -> None:
        """Begin with what another head holds."""
        for piece in head.pieces:
            self.place(piece.digest, head.packs[piece.pack], piece.start, piece.size)
        for entry in head.entries:
            digests = tuple(head.pieces[number].digest for number in entry.blobs)
            self._entries[entry.task, entry.id] = (entry, head.records[entry.body.pack], digests)

    def place(self, digest: Digest, pack: PackRef, start: int, size: int) -> None:
        """Say where a blob lies, unless that is known."""
        self._pieces.setdefault(digest, (pack, start, size))

    def moved(self, joined: Iterable[Packed]) -> None:
        """Take over where the blobs of joined packs lie now."""
        for pack in joined:
            for digest, start, size in pack.places:
                self._pieces[digest] = (pack.ref, start, size)

    def add(self, one: _Body, pack: PackRef) -> None:
        """Add a record whose bytes lie in `pack`; one that is known lies there from now on."""
        if not all(digest in self._pieces for digest in one.blobs):
            return
        known = self._entries.get((one.task, one.id))
        pushed = known[0].pushed if known else self._now
        entry = HeadEntry(one.task, one.key, one.id, one.place, (), pushed)
        self._entries[one.task, one.id] = (entry, pack, one.blobs)

    def rests(self, one: Resting) -> None:
        """Note that a task rests on a record now, so that it outlasts others."""
        known = self._entries.get((one.task, one.record.id))
        if known is not None:
            entry, pack, digests = known
            renewed = HeadEntry(entry.task, entry.key, entry.id, entry.body, (), self._now)
            self._entries[one.task, one.record.id] = (renewed, pack, digests)

    def head(self, name: str, number: int) -> Head:
        """Return the head, with only what is kept and the packs that this takes."""
        kept = self._kept()
        records = _Numbered()
        blob_packs = _Numbered()
        pieces: dict[Digest, int] = {}
        placed: list[Piece] = []
        entries: list[HeadEntry] = []
        for entry, pack, digests in kept:
            for digest in digests:
                if digest not in pieces:
                    where, start, size = self._pieces[digest]
                    pieces[digest] = len(placed)
                    placed.append(Piece(digest, blob_packs(where), start, size))
            body = entry.body
            entries.append(
                HeadEntry(
                    entry.task,
                    entry.key,
                    entry.id,
                    Piece(body.digest, records(pack), body.start, body.size),
                    tuple(pieces[digest] for digest in digests),
                    entry.pushed,
                )
            )
        return Head(name, number, records.all(), blob_packs.all(), tuple(placed), tuple(entries))

    def _kept(self) -> list[tuple[HeadEntry, PackRef, tuple[Digest, ...]]]:
        by_task: dict[str, list[tuple[HeadEntry, PackRef, tuple[Digest, ...]]]] = defaultdict(list)
        for one in self._entries.values():
            by_task[one[0].task].append(one)
        kept = []
        for task in sorted(by_task):
            found = sorted(by_task[task], key=lambda one: (-one[0].pushed, one[0].id))
            kept += [one for one in found[:KEPT] if self._now - one[0].pushed <= GONE]
        return kept


class _Numbered:
    """Packs in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[PackRef, int] = {}

    def __call__(self, pack: PackRef) -> int:
        return self._numbers.setdefault(pack, len(self._numbers))

    def all(self) -> tuple[PackRef, ...]:
        return tuple(self._numbers)


def _spread(attempt: int) -> float:
    """Return for how long to wait, in seconds, so that those who write at once part."""
    return random.uniform(0, 0.05 * 2 ** min(attempt, 5))
