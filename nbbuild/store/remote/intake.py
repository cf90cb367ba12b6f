"""Decide whether a record from outside may be looked at; until then it counts as hostile.

Judging a record means asking the questions of its trace again. So one that was made to hurt can
have this machine walk, list or read without end, and nothing that it says of itself can be
believed. What is refused here is a miss, like a damaged file.
"""

from __future__ import annotations

import glob
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from blake3 import blake3

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.model import ArtefactFile, Digest, Record, Trace, TraceItem
from nbbuild.store.layout import is_digest

MOST_BODY: Final = 16 << 20  # bytes of a record
_MOST_ITEMS: Final = 200_000
_MOST_FILES: Final = 100_000
_MOST_GLOBS: Final = 1_000
_MOST_PARTS: Final = 12  # of one glob that have wildcards
_MOST_PARTS_OUTSIDE: Final = 2
_MOST_FOLDERS: Final = 2_000  # of all search paths together
_MOST_STEPS: Final = 4_000_000  # looks into folders of search paths
_MOST_SIZE: Final = 1 << 50  # bytes of a file
_OF_IMPORTS: Final = ("import", "missing-import", "installed")
_SKEW: Final = 86_400.0  # seconds by which another machine's clock may be ahead

_RECORD: Shape[Record] = Shape(Record)


def received(
    body: bytes, *, digest: Digest, key: Digest, record_id: str, now: float | None = None
) -> Record | None:
    """Return the record in `body` if it is the one that was announced, and may be looked at."""
    if len(body) > MOST_BODY or digest_bytes(body) != digest:
        return None
    try:
        record = _RECORD.from_json(body)
    except Misshapen:
        return None
    if (record.key.digest, record.id) != (key, record_id):
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
        (lambda: not _has_sane_numbers(record, now), "its numbers cannot be right"),
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
    items = record.trace.items
    globs = sum(item.kind == "glob" for item in items)
    return (
        len(items) > _MOST_ITEMS
        or globs > _MOST_GLOBS
        or _searches_too_much(record.trace)
        or len(record.artefacts) + len(record.undeclared) + len(record.folders) > _MOST_FILES
    )


def _searches_too_much(trace: Trace) -> bool:
    """Whether its imports look into more folders than any run has, or into these too often."""
    ways = Counter[str]()
    for item in trace.items:
        if item.kind in _OF_IMPORTS:
            ways[item.way] += len(item.name.split()) or 1
    folders: set[str] = set()
    steps = 0
    for way, names in ways.items():
        path = way.split("\0") if way else trace.path
        folders.update(path)
        steps += names * len(path)
        if len(folders) > _MOST_FOLDERS or steps > _MOST_STEPS:
            return True
    return len(trace.path) > _MOST_FOLDERS


def _has_sane_numbers(record: Record, now: float) -> bool:
    times = (record.created, record.seconds, *record.cell_seconds)
    return (
        all(math.isfinite(one) and one >= 0 for one in times)
        and record.created <= now + _SKEW
        and all(0 <= file.size <= _MOST_SIZE for file in _files(record))
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
