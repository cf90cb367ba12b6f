"""Decide whether a record from outside may be looked at; until then it counts as hostile.

Judging a record means asking the questions of its trace again. So one that was made to hurt can
have this machine walk, list or read without end, and nothing that it says of itself can be
believed. What is refused here is a miss, like a damaged file.
"""

from __future__ import annotations

import glob
import math
import time
from collections.abc import Callable
from typing import Final

from blake3 import blake3

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import packed
from nbbuild.model import ArtefactFile, Digest, Record, TraceItem
from nbbuild.store.bounds import (
    MOST_ITEMS,
    MOST_SEARCHED,
    has_sane_numbers,
    names_too_much,
    searches_too_much,
)
from nbbuild.store.layout import is_digest
from nbbuild.store.reading import plainly

MOST_BODY: Final = 16 << 20  # bytes of a record
_MOST_GLOBS: Final = 1_000
_MOST_PARTS: Final = 12  # of one glob that have wildcards
_MOST_PARTS_OUTSIDE: Final = 2
_SKEW: Final = 86_400.0  # seconds by which another machine's clock may be ahead


def received(
    body: bytes, *, digest: Digest, key: Digest, record_id: str, now: float | None = None
) -> Record | None:
    """Return the record in `body` if it is the one that was announced, and may be looked at."""
    if len(body) > MOST_BODY or digest_bytes(body) != digest:
        return None
    record = plainly(body)
    if record is None or (record.key.digest, record.id) != (key, record_id):
        return None
    return None if refusal(record, now=time.time() if now is None else now) else record


def may_be_looked_at(record: Record) -> bool:
    """Whether nothing is wrong with a record that another machine has made."""
    return not refusal(record, now=time.time())


def refusal(record: Record, *, now: float) -> str:
    """Return why `record` is not to be looked at, "" if it may be."""
    reasons: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: record.local or record.accepted, "it was never to leave its machine"),
        (lambda: not _is_its_key(record), "its key is not that of its inputs"),
        (lambda: _is_too_much(record), "it names more than any run uses"),
        (lambda: not _has_right_numbers(record, now), "its numbers cannot be right"),
        (lambda: not all(map(_can_be_restored, _files(record))), "it names a file outside"),
        (lambda: not all(map(is_digest, record.blobs)), "it names a blob that cannot be one"),
        (lambda: not all(map(_is_bounded, record.trace.items)), "it has a glob without bounds"),
    )
    return next((text for is_so, text in reasons if is_so()), "")


def _is_its_key(record: Record) -> bool:
    # As judging.fingerprint makes it.
    return blake3(packed(record.key.fingerprints)).hexdigest() == record.key.digest


def _files(record: Record) -> tuple[ArtefactFile, ...]:
    return (*record.artefacts, *record.undeclared)


def _is_too_much(record: Record) -> bool:
    items, path = record.trace.items, record.trace.path
    return (
        len(items) > MOST_ITEMS
        or sum(item.kind == "glob" for item in items) > _MOST_GLOBS
        or len(path) > MOST_SEARCHED
        or searches_too_much(items, path)
        or names_too_much(record)
    )


def _has_right_numbers(record: Record, now: float) -> bool:
    times = (record.created, record.seconds, *record.cell_seconds)
    return (
        has_sane_numbers(record)
        and all(math.isfinite(one) and one >= 0 for one in times)
        and record.created <= now + _SKEW
    )


def _can_be_restored(file: ArtefactFile) -> bool:
    parts = file.path.split("/")
    inside = not file.path.startswith("/") and ".." not in parts and "" not in parts
    return inside and "\0" not in file.path and is_digest(file.digest)


def _is_bounded(item: TraceItem) -> bool:
    """Whether a glob stays in the project, or looks at a few folders beside it only."""
    if item.kind != "glob":
        return True
    base, _, pattern = item.name.partition(":")
    parts = pattern.split("/")
    outside = base.startswith("/") or ".." in base.split("/") or ".." in parts or parts[0] == ""
    wild = sum(glob.has_magic(part) for part in parts)
    if outside:
        return "**" not in pattern and wild <= _MOST_PARTS_OUTSIDE
    return wild <= _MOST_PARTS and pattern.count("**") <= 2
