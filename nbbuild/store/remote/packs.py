"""Put many small blobs into one object, and read them back with few requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from nbbuild.model import Digest
from nbbuild.store.remote.heads import PackRef, Piece

FULL: Final = 16 << 20  # bytes after which a pack is sealed
_GAP: Final = 64 << 10  # bytes between two pieces that are cheaper read than asked for anew
MOST_AT_ONCE: Final = 32 << 20  # bytes of one request, unless one piece is larger


def pack_name(data: bytes) -> str:
    """Return the digest that names a pack: SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()


def object_name(pack: PackRef) -> str:
    """Return the name under which a pack is kept."""
    return f"cas/{pack.name}"


@dataclass(slots=True)
class Packer:
    """Collects pieces until they are a pack."""

    places: list[tuple[Digest, int, int]] = field(default_factory=list)  # digest, start, size
    size: int = 0  # bytes so far
    _parts: list[bytes] = field(default_factory=list)

    def add(self, digest: Digest, data: bytes) -> None:
        """Put `data`, whose digest is known, behind the others."""
        self.places.append((digest, self.size, len(data)))
        self._parts.append(data)
        self.size += len(data)

    def sealed(self) -> Packed:
        """Return the pack, and begin another one."""
        data, places = b"".join(self._parts), tuple(self.places)
        self._parts, self.places, self.size = [], [], 0
        return Packed(PackRef(pack_name(data), len(data)), data, places)


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack that is ready to be sent."""

    ref: PackRef
    data: bytes
    places: tuple[tuple[Digest, int, int], ...]  # digest, start, size


@dataclass(frozen=True, slots=True)
class Range:
    """One request: bytes of a pack, and the pieces in them."""

    start: int
    size: int
    pieces: tuple[Piece, ...]


def ranges(pieces: Iterable[Piece]) -> Iterator[Range]:
    """Yield the requests that bring `pieces`, which lie in one pack."""
    group: list[Piece] = []
    for piece in sorted(pieces, key=lambda one: (one.start, one.size)):
        if group:
            end = _end(group)
            far = piece.start - end > _GAP
            if far or piece.start + piece.size - group[0].start > MOST_AT_ONCE:
                yield _range(group)
                group = []
        group.append(piece)
    if group:
        yield _range(group)


def _range(group: Sequence[Piece]) -> Range:
    start = group[0].start
    return Range(start, _end(group) - start, tuple(group))


def _end(group: Sequence[Piece]) -> int:
    return max(one.start + one.size for one in group)
