"""Types that data from outside is read into: JSON, MessagePack, plain dicts and lists.

Each `Shape` is a constant of its module, made while that is imported. Two threads that have msgspec
meet a type for the first time at once can crash the process, so no type is given to msgspec at the
moment of a call; a test looks.

Text may hold halves of surrogate pairs: names of files that are not UTF-8 do, and JSON can. msgspec
refuses them. What holds one is written, and read, as JSON by the standard library: many times
slower, and rare.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

_MEETING = threading.Lock()  # modules are imported in several threads, and types hold others
_BAD = (ValueError, RecursionError)  # UnicodeDecodeError and all errors of msgspec are ValueErrors


class Misshapen(ValueError):
    """Data is not of the shape that was expected, or cannot be read at all."""


class Shape(Generic[T]):
    """One type, with all that it takes to read it. Readers raise Misshapen, and nothing else."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        with _MEETING:
            self._json: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
            self._msgpack: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)

    def from_json(self, data: bytes | str, *, surrogates: bool = True) -> T:
        """Return what JSON holds; with `surrogates`, halves of pairs may be escaped in it."""
        try:
            return self._json.decode(data)
        except _BAD as error:
            if not surrogates or not _has_escapes(data):
                raise Misshapen(str(error)) from error
        try:
            # As text: given bytes, it would take surrogates that are not escaped as well.
            found = json.loads(data.decode() if isinstance(data, bytes) else data)
        except _BAD as error:
            raise Misshapen(str(error)) from error
        return self.from_plain(found)

    def from_plain(self, value: Any) -> T:
        """Return what dicts, lists and the like hold."""
        try:
            return msgspec.convert(value, self._kind)  # type: ignore[no-any-return]
        except _BAD as error:
            raise Misshapen(str(error)) from error

    def unpack(self, data: bytes) -> T:
        """Return what was written by `packed`."""
        if data[:1] in (b"{", b"["):  # no MessagePack of a struct begins so
            return self.from_json(data)
        try:
            return self._msgpack.decode(data)
        except (*_BAD, TypeError) as error:
            raise Misshapen(str(error)) from error


def packed(value: Any) -> bytes:
    """Return the MessagePack of a struct or a sequence; JSON where it holds half a surrogate pair.

    No two values have one encoding: every string is framed by its length, or escaped.
    """
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return _with_surrogates(value)


def as_json(value: Any) -> bytes:
    """Return the JSON of `value`. Raises TypeError, ValueError for what is not JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return _with_surrogates(value)


def is_unicode(text: str) -> bool:
    """Whether `text` can be written in UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_escapes(data: bytes | str) -> bool:
    return b"\\u" in data if isinstance(data, bytes) else "\\u" in data


def _with_surrogates(value: Any) -> bytes:
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()
