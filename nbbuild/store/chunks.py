"""Cut the items of a trace into chunks, so that what many records have in common is kept once.

The notebooks of a project use mostly the same files and modules. So of two traces of five hundred
items, all but a few are often equal. A chunk is a stretch of them, and a blob of its own: a record
names it by its digest (reading.py).

Where a chunk ends depends only on its last item: on average each 32nd item ends one. So two traces
with an equal stretch are cut at the same places within it, whatever comes before and after. (Backup
programs cut files in the same way.)

Listings and globs are in no chunk: what counts in them depends on the run, so each is judged by
itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import as_unicode_json
from nbbuild.model import OF_ONE_RUN, Chunk, TraceItem

LEAST_ITEMS = 64
"""A shorter trace stays in its record whole."""

_MEAN = 32  # items of a chunk
_LONGEST = 256
SHORTEST = 4
"""Items of the shortest chunk: fewer are not worth a file."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Items that follow one another, and each one's JSON."""

    items: tuple[TraceItem, ...]
    texts: tuple[bytes, ...]
    alike: bool  # whether it may be a chunk

    @property
    def body(self) -> bytes:
        """The JSON of its items: the content of the chunk's blob."""
        return b"[%b]" % b",".join(self.texts)

    def chunk(self) -> Chunk:
        """Return it as a chunk."""
        return Chunk(digest_bytes(self.body), self.items)


def cut(items: Sequence[TraceItem]) -> Iterator[Stretch]:
    """Yield all `items` in order, in stretches.

    Raises UnicodeEncodeError if one holds half a surrogate pair: such a trace stays whole.
    """
    items = tuple(items)
    texts = tuple(map(as_unicode_json, items))
    start = 0
    for end, (item, text) in enumerate(zip(items, texts, strict=True), 1):
        alone = item.kind in OF_ONE_RUN
        if alone and end - 1 > start:
            yield _stretch(items, texts, start, end - 1)
            start = end - 1
        if alone:
            yield Stretch(items[start:end], texts[start:end], alike=False)
            start = end
        elif zlib.crc32(text) % _MEAN == 0 or end - start == _LONGEST:
            yield _stretch(items, texts, start, end)
            start = end
    if start < len(items):
        yield _stretch(items, texts, start, len(items))


def _stretch(
    items: tuple[TraceItem, ...], texts: tuple[bytes, ...], start: int, end: int
) -> Stretch:
    return Stretch(items[start:end], texts[start:end], alike=end - start >= SHORTEST)
