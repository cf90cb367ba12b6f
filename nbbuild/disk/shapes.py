"""Types that data from outside is read into: JSON, MessagePack, plain dicts and lists.

Each `Shape` is a constant of its module, made while that is imported. If two threads make msgspec
meet a type for the first time at once, the process can crash. So no type is given to msgspec only
when it is needed; a test checks this.

Text may hold halves of surrogate pairs: file names that are not UTF-8 do, and JSON can. msgspec
refuses them. Data with such text is written and read as JSON by the standard library, which is many
times slower, but rarely needed.

A `Path` is written as its text.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from nbbuild.model import ChunkedItems

T = TypeVar("T")

_MEETING = threading.Lock()  # several threads import modules, and types contain others
_BAD = (ValueError, RecursionError)  # UnicodeDecodeError and all errors of msgspec are ValueErrors


class Misshapen(ValueError):
    """Data does not have the expected shape, or cannot be read at all."""


class Shape(Generic[T]):
    """One type, with everything needed to read it. Readers raise Misshapen, and nothing else."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        with _MEETING:
            self._json: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind, dec_hook=_made)
            self._msgpack: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(
                kind, dec_hook=_made
            )

    def from_json(self, data: bytes | str, *, surrogates: bool = True) -> T:
        """Return what JSON holds; with `surrogates`, it may escape halves of surrogate pairs."""
        try:
            return self._json.decode(data)
        except _BAD as error:
            if not surrogates or not _has_escapes(data):
                raise Misshapen(str(error)) from error
        try:
            # As text: given bytes, it would also accept surrogates that are not escaped.
            found = json.loads(data.decode() if isinstance(data, bytes) else data)
        except _BAD as error:
            raise Misshapen(str(error)) from error
        return self.from_plain(found)

    def from_plain(self, value: Any) -> T:
        """Return what dicts, lists and the like hold."""
        try:
            return msgspec.convert(value, self._kind, dec_hook=_made)  # type: ignore[no-any-return]
        except _BAD as error:
            raise Misshapen(str(error)) from error

    def unpack(self, data: bytes) -> T:
        """Return what was written by `packed`."""
        if data[:1] in (b"{", b"["):  # no MessagePack of a struct begins like this
            return self.from_json(data)
        try:
            return self._msgpack.decode(data)
        except (*_BAD, TypeError) as error:
            raise Misshapen(str(error)) from error


def packed(value: Any) -> bytes:
    """Return the MessagePack of a struct or sequence; JSON if it holds half a surrogate pair.

    No two values have the same encoding: every string is framed by its length, or escaped.
    """
    try:
        return msgspec.msgpack.encode(value, enc_hook=_plain)
    except UnicodeEncodeError:
        return _with_surrogates(value)


def as_json(value: Any) -> bytes:
    """Return the JSON of `value`. Raises TypeError or ValueError if it cannot be JSON."""
    try:
        return as_unicode_json(value)
    except UnicodeEncodeError:
        return _with_surrogates(value)


def as_unicode_json(value: Any) -> bytes:
    """Do what `as_json` does, but raise UnicodeEncodeError for half a surrogate pair."""
    return msgspec.json.encode(value, enc_hook=_plain)


def in_builtins(value: Any) -> Any:
    """Return `value` in dicts, lists and the like."""
    return msgspec.to_builtins(value, enc_hook=_plain)


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
    return json.dumps(in_builtins(value), separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, ChunkedItems):
        return tuple(value)
    raise TypeError(f"{type(value).__name__} cannot be written")


def _made(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"{kind.__name__} cannot be read")
