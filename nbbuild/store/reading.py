"""Read records, of which thousands may have used the same files: each equal item is made once.

Nearly all of a large record are the items of its trace. They are set apart as text first. The text
of an item that another record has, too, is not read again, and both records hold the same object:
so ten thousand traces of five hundred items take the time and the memory of those that differ.

The text is cut at "},{". An item's own text can hold that only within a string, and a string that
was cut does not end, so the piece cannot be read: then the record is read in the plain way. The
same goes for records that another program has written with other blanks.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import msgspec

from nbbuild.disk.shapes import Misshapen, Shape
from nbbuild.model import Record, Trace, TraceItem

MOST = 1_000_000
"""Items that are kept for other records; beyond that, all are forgotten."""

_RECORD: Shape[Record] = Shape(Record)
_ITEM: Shape[TraceItem] = Shape(TraceItem)


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
_APART: Shape[Any] = Shape(_with(Record, trace=_TRACE, cell_seconds=msgspec.Raw))
_SECONDS: Shape[tuple[float, ...]] = Shape(tuple[float, ...])
_MOST_SECONDS = 1 << 14  # bytes of text: msgspec takes 20 µs to read a number such as 1e308


class RecordReader:
    """Reads records; safe to use from any thread."""

    def __init__(self) -> None:
        self._known: dict[bytes, TraceItem] = {}

    def read(self, body: bytes) -> Record | None:
        """Return the record that `body` is; None if it is none."""
        try:
            apart = _APART.from_json(body, surrogates=False)
            items = self._items(bytes(apart.trace.items))
            seconds = _seconds(apart.cell_seconds)
        except Misshapen:
            return plainly(body)
        trace = Trace(*_values(apart.trace, items=items))
        return Record(*_values(apart, trace=trace, cell_seconds=seconds))

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


def _all_there(found: tuple[TraceItem | None, ...]) -> TypeGuard[tuple[TraceItem, ...]]:
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


def _values(struct: msgspec.Struct, **others: Any) -> list[Any]:
    names = struct.__struct_fields__
    return [others[name] if name in others else getattr(struct, name) for name in names]
