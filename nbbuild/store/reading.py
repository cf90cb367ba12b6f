"""Read records, of which thousands may have used the same files: each equal item is made once.

Nearly all of a large record are the items of its trace. They are set apart as text first. In a file
of the store, they have one of two forms:

    [item, …]
    {"chunks": [digest, …], "places": [number, …], "rest": [item, …]}

A chunk is a blob of items (chunks.py), and `places` says after how many of the rest it comes.
It is read once, however many records name it. Of the others, the text of an item that another
record has, too, is not read again, and both records hold the same object. So ten thousand traces of
five hundred items take the time and the memory of those that differ.

The text of items is cut at "},{". An item's own text can hold that only within a string, and a
string that was cut does not end, so the piece cannot be read: then the record is read in the plain
way. The same goes for records that another program has written with other blanks.

A version of nbbuild that does not know chunks cannot read the second form at all, so it never
takes the rest for everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeGuard, TypeVar

import msgspec

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import Misshapen, Shape, as_json
from nbbuild.model import Chunk, ChunkedItems, Digest, Record, Trace, TraceItem
from nbbuild.store.bounds import MOST_ITEMS
from nbbuild.store.chunks import SHORTEST

T = TypeVar("T", TraceItem, Chunk)

MOST = 1_000_000
"""Items that are kept for other records; beyond that, all are forgotten."""

_RECORD: Shape[Record] = Shape(Record)
_ITEM: Shape[TraceItem] = Shape(TraceItem)
_ITEMS: Shape[tuple[TraceItem, ...]] = Shape(tuple[TraceItem, ...])


def _with(kind: type[msgspec.Struct], **types: Any) -> type[msgspec.Struct]:
    """Return a type like `kind`, with other types for some of its fields."""
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(kind):
        value: Any = msgspec.field()
        if field.default is not msgspec.NODEFAULT:
            value = field.default
        fields.append((field.name, types.get(field.name, field.type), value))
    return msgspec.defstruct(f"{kind.__name__}Apart", fields, frozen=True, gc=False)


_TRACE = _with(Trace, items=msgspec.Raw)
_RECORD_APART = _with(Record, trace=_TRACE, cell_seconds=msgspec.Raw)
_APART: Shape[Any] = Shape(_RECORD_APART)
_SECONDS: Shape[tuple[float, ...]] = Shape(tuple[float, ...])
_MOST_SECONDS = 1 << 14  # bytes of text: msgspec takes 20 µs to read a number such as 1e308
_MOST_CHUNKS = MOST_ITEMS // SHORTEST


class _Values:
    """Lists the values of a struct's fields, with others for some of them."""

    def __init__(self, kind: type[msgspec.Struct], *others: str) -> None:
        names = kind.__struct_fields__
        self._get = attrgetter(*names)
        self._places = [names.index(other) for other in others]

    def of(self, struct: msgspec.Struct, *others: Any) -> list[Any]:
        """Return the values of `struct`, and `others` in their places."""
        values = [*self._get(struct)]
        for place, other in zip(self._places, others, strict=True):
            values[place] = other
        return values


_TRACE_VALUES = _Values(Trace, "items")
_RECORD_VALUES = _Values(Record, "trace", "cell_seconds")


class _Chunked(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The items of a trace in their second form."""

    chunks: tuple[Digest, ...]
    places: tuple[int, ...]
    rest: msgspec.Raw


_CHUNKED: Shape[_Chunked] = Shape(_Chunked)


class ChunkLost(Exception):
    """A chunk is missing or damaged; the text is its digest."""


def no_chunks(digest: Digest) -> bytes | None:
    """Return None: where no chunks are kept, a record that names some cannot be read."""
    return None


class RecordReader:
    """Reads records; safe to use from any thread. `chunk` returns the bytes of a chunk, if any."""

    def __init__(self, chunk: Callable[[Digest], bytes | None] = no_chunks) -> None:
        self._chunk = chunk
        self._known: dict[bytes, TraceItem] = {}
        self._chunks: dict[Digest, Chunk] = {}
        self.lost: set[Digest] = set()
        """The chunks that records named and that could not be read."""

    def read(self, body: bytes, *, without_lost: bool = False) -> Record | None:
        """Return the record that `body` is; None if it is none, or a chunk of it is lost.

        `without_lost`, it lacks the items of such chunks: for those who only ask what it names.
        """
        try:
            apart = _APART.from_json(body, surrogates=False)
            text = bytes(apart.trace.items)
            items = (
                self._chunked(text, without_lost=without_lost)
                if text.startswith(b"{")
                else self._items(text)
            )
            seconds = _seconds(apart.cell_seconds)
        except Misshapen:
            return plainly(body)
        except ChunkLost:
            return None
        trace = Trace(*_TRACE_VALUES.of(apart.trace, items))
        return Record(*_RECORD_VALUES.of(apart, trace, seconds))

    def knows(self, chunk: Chunk) -> bool:
        """Whether a chunk was learned, or read and sound."""
        return chunk.digest in self._chunks

    def learn(self, chunk: Chunk) -> None:
        """Know a chunk without reading it."""
        if len(self._chunks) * 32 >= MOST:
            self._chunks = {}
        self._chunks[chunk.digest] = chunk

    def _chunked(self, text: bytes, *, without_lost: bool) -> ChunkedItems:
        """Return the items in the JSON of their second form. Raises Misshapen and ChunkLost."""
        found = _CHUNKED.from_json(text, surrogates=False)
        rest = self._items(bytes(found.rest))
        places = found.places
        if len(places) != len(found.chunks) or [*places] != sorted(places):
            raise Misshapen
        if places and not 0 <= places[0] <= places[-1] <= len(rest):
            raise Misshapen
        if len(places) > _MOST_CHUNKS:
            raise Misshapen
        known = tuple(map(self._chunks.get, found.chunks))
        if _all_there(known):
            return ChunkedItems(known, places, rest)
        each = zip(known, found.chunks, strict=True)
        chunks = [one or self._read_chunk(d, without_lost=without_lost) for one, d in each]
        return ChunkedItems(tuple(chunks), places, rest)

    def _read_chunk(self, digest: Digest, *, without_lost: bool) -> Chunk:
        data = self._chunk(digest)
        if data is not None and digest_bytes(data) == digest:
            try:
                chunk = Chunk(digest, self._items(data))
            except Misshapen:
                chunk = Chunk(digest, _ITEMS.from_json(data))
            self.learn(chunk)
            return chunk
        self.lost.add(digest)
        if not without_lost:
            raise ChunkLost(digest)
        return Chunk(digest, ())

    def _items(self, text: bytes) -> tuple[TraceItem, ...]:
        """Return the items in the JSON of a list. Raises Misshapen."""
        if text == b"[]":
            return ()
        if not (text.startswith(b"[{") and text.endswith(b"}]")):
            raise Misshapen
        pieces = text[2:-2].split(b"},{")
        found = tuple(map(self._known.get, pieces))
        if _all_there(found):
            return found
        each = zip(found, pieces, strict=True)
        return tuple([one or self._new(piece) for one, piece in each])

    def _new(self, piece: bytes) -> TraceItem:
        item = _ITEM.from_json(b"{%b}" % piece, surrogates=False)
        if len(self._known) >= MOST:
            self._known = {}
        self._known[piece] = item
        return item


def _all_there(found: tuple[T | None, ...]) -> TypeGuard[tuple[T, ...]]:
    return all(found)


def plainly(body: bytes) -> Record | None:
    """Return the record that `body` is, read by itself; None if it is none."""
    try:
        return _RECORD.from_plain(json.loads(body.decode()))
    except (Misshapen, ValueError, RecursionError):
        return None


def _seconds(text: msgspec.Raw | tuple[()]) -> tuple[float, ...]:
    if isinstance(text, tuple):  # there are none
        return ()
    data = bytes(text)
    if len(data) > _MOST_SECONDS:
        raise Misshapen
    return _SECONDS.from_json(data, surrogates=False)


def in_chunks(
    record: Record, chunks: tuple[Digest, ...], places: tuple[int, ...], rest: bytes
) -> bytes:
    """Return the body of a record whose items have their second form; `rest` is JSON.

    Raises TypeError or ValueError if it cannot be JSON.
    """
    items = as_json(_Chunked(chunks, places, msgspec.Raw(rest)))
    trace = _TRACE(*_TRACE_VALUES.of(record.trace, msgspec.Raw(items)))
    seconds = msgspec.Raw(as_json(record.cell_seconds))
    return as_json(_RECORD_APART(*_RECORD_VALUES.of(record, trace, seconds)))
