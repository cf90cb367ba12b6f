"""What a remote says of one branch: which records its tasks rest on, and where their blobs lie.

A head is the only thing in a remote that changes. It is read before anything else of the remote is
believed, so it is signed, and it names every pack by the digest of its bytes: whoever may sign a
head answers for all that it leads to.

    nbbuild head 1\n
    <public key, or "unsigned">\n
    <signature in hex, or "-">\n
    <body: a deflated MessagePack of `Head`>

The signature is checked before the body is inflated, and the body never beyond `_MOST_WHOLE`.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.store.layout import is_digest, is_record_id
from nbbuild.store.remote.signing import SIGNATURE_SIZE, PublicKey, Signer, signed_by

MOST: Final = 64 << 20  # bytes of a head as it travels
_MOST_WHOLE: Final = 256 << 20  # bytes of its body
_MOST_ENTRIES: Final = 500_000
_MOST_PACKS: Final = 4_096
MOST_PACK: Final = 1 << 32  # bytes; a larger blob is not pushed
_FIRST_LINE: Final = b"nbbuild head 1"
_UNSIGNED: Final = "unsigned"


class Unbelieved(Exception):
    """A head, or what it leads to, cannot be believed; the text is the reason, for a user."""


class PackRef(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A pack: immutable bytes, named by their SHA-256, as Bazel's remote caches want it."""

    name: str  # SHA-256, in hex
    size: int  # bytes as it travels


class Piece(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where the bytes of one digest lie: in `Head.packs`, from `start` (of a blob pack)."""

    digest: str  # BLAKE3, in hex
    pack: int
    start: int
    size: int


class HeadEntry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One record: whose, under which key, and its bytes in a pack of records."""

    task: str
    key: str
    id: str
    body: Piece  # `pack` is one of `Head.records`; `start` is in the inflated pack
    blobs: tuple[int, ...]  # of `Head.pieces`
    pushed: float  # seconds since the epoch, when a task last rested on it


class Head(msgspec.Struct, frozen=True, gc=False):
    """All that a remote holds for one branch."""

    name: str
    number: int  # rises with each head of this name
    records: tuple[PackRef, ...] = ()  # each deflated as a whole
    packs: tuple[PackRef, ...] = ()  # of blobs, as they are
    pieces: tuple[Piece, ...] = ()
    entries: tuple[HeadEntry, ...] = ()


_HEAD: Shape[Head] = Shape(Head)


def object_name(head: str) -> str:
    """Return the name under which the head `head` is kept."""
    return f"ac/{hashlib.sha256(b'nbbuild head' + head.encode()).hexdigest()}"


def encode(head: Head, signer: Signer | None) -> bytes:
    """Return the bytes of `head`, signed if there is a `signer`."""
    body = zlib.compress(packed(head), 6)
    by, signature = _UNSIGNED, "-"
    if signer is not None:
        by, signature = signer.public, signer.sign(head.name, body).hex()
    return b"\n".join((_FIRST_LINE, by.encode(), signature.encode(), body))


def decode(name: str, data: bytes, *, trusted: Sequence[PublicKey], unsigned: bool) -> Head:
    """Return the head `name` whose bytes are `data`; raise Unbelieved if it cannot be believed.

    With `unsigned`, one without a signature is accepted, too. A wrong signature never is.
    """
    try:
        first, by, signature, body = data.split(b"\n", 3)
    except ValueError:
        raise Unbelieved("it is damaged, or something else") from None
    if first != _FIRST_LINE:
        raise Unbelieved("it is damaged, or of another version of nbbuild")
    _check_signature(name, by, signature, body, trusted=trusted, unsigned=unsigned)
    try:
        head = _HEAD.unpack(inflated(body, most=_MOST_WHOLE))
    except Misshapen:
        raise Unbelieved("it is damaged") from None
    if head.name != name:
        raise Unbelieved("it is the head of something else")
    _check(head)
    return head


def unverified(data: bytes) -> Head | None:
    """Return the head in `data` whoever signed it, None if it cannot be read.

    Only for what does no harm if it is forged: to see what must stay.
    """
    try:
        return _HEAD.unpack(inflated(data.split(b"\n", 3)[3], most=_MOST_WHOLE))
    except (IndexError, Misshapen, Unbelieved):
        return None


def is_signed(data: bytes) -> bool:
    """Whether the head in `data` names a key; `decode` checks the signature."""
    return not data.startswith(_FIRST_LINE + f"\n{_UNSIGNED}\n".encode())


def without(head: Head, *, packs: Collection[str], blobs: Collection[str]) -> Head:
    """Return `head` without results that need one of these packs (names) or blobs (digests)."""
    if not packs and not blobs:
        return head
    there = [one.name not in packs for one in head.packs]
    sound = (
        number
        for number, piece in enumerate(head.pieces)
        if there[piece.pack] and piece.digest not in blobs
    )
    numbers = {old: new for new, old in enumerate(sound)}
    entries = (
        msgspec.structs.replace(one, blobs=tuple(numbers[number] for number in one.blobs))
        for one in head.entries
        if head.records[one.body.pack].name not in packs
        and all(number in numbers for number in one.blobs)
    )
    pieces = tuple(head.pieces[number] for number in numbers)
    return msgspec.structs.replace(head, pieces=pieces, entries=tuple(entries))


def inflated(data: bytes, *, most: int) -> bytes:
    """Return what `data` was deflated from; raise Unbelieved beyond `most` bytes, or if damaged."""
    machine = zlib.decompressobj()
    try:
        whole = machine.decompress(data, most)
    except zlib.error:
        raise Unbelieved("it is damaged") from None
    if machine.unconsumed_tail:
        raise Unbelieved(f"it holds more than {most} bytes")
    if not machine.eof or machine.unused_data:
        raise Unbelieved("it is damaged")
    return whole


def _check_signature(
    name: str,
    by: bytes,
    signature: bytes,
    body: bytes,
    *,
    trusted: Sequence[PublicKey],
    unsigned: bool,
) -> None:
    if by == _UNSIGNED.encode() and signature == b"-":
        if not unsigned:
            raise Unbelieved("it is not signed")
        return
    if not trusted:
        raise Unbelieved("it is signed, and [cache] public_keys names no key")
    try:
        raw = bytes.fromhex(signature.decode("ascii"))
        key = by.decode("ascii")
    except ValueError:
        raise Unbelieved("its signature is damaged") from None
    if len(raw) != SIGNATURE_SIZE:
        raise Unbelieved("its signature is damaged")
    wrong = signed_by(name, body, raw, by=key, trusted=trusted)
    if wrong:
        raise Unbelieved(wrong)


def _check(head: Head) -> None:
    """Raise Unbelieved unless all places are in their packs, and all names can be names."""
    if len(head.entries) > _MOST_ENTRIES or len(head.pieces) > 4 * _MOST_ENTRIES:
        raise Unbelieved("it names too many results")
    if len(head.packs) > _MOST_PACKS or len(head.records) > _MOST_PACKS or head.number < 0:
        raise Unbelieved("it names too many packs")
    for pack in (*head.packs, *head.records):
        if not is_digest(pack.name) or not 0 <= pack.size <= MOST_PACK:
            raise Unbelieved("it names a pack that cannot be one")
    for piece in head.pieces:
        if not is_digest(piece.digest) or not 0 <= piece.pack < len(head.packs):
            raise Unbelieved("it names a blob that cannot be one")
        if not 0 <= piece.start <= piece.start + piece.size <= head.packs[piece.pack].size:
            raise Unbelieved("it has a blob end outside its pack")
    known = range(len(head.pieces))
    for entry in head.entries:
        body = entry.body
        named = is_digest(entry.key) and is_record_id(entry.id) and is_digest(body.digest)
        if not named or not 0 <= body.pack < len(head.records) or min(body.start, body.size) < 0:
            raise Unbelieved("it names a record that cannot be one")
        if not all(one in known for one in entry.blobs):
            raise Unbelieved("it names a blob that it does not place")
