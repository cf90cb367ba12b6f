"""Choose what a store removes: least recently used first, and nothing that a build needs now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nbbuild.model import Digest, Record


@dataclass(frozen=True, slots=True)
class Kept:
    """A record in a store, with its size and its last use."""

    record: Record
    size: int  # bytes of the record itself, without its blobs
    used: float  # seconds since the epoch: when made, or last a hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a store may keep; None means no limit."""

    max_size: int | None = None  # bytes, of records and blobs together
    max_age: float | None = None  # seconds since the last use
    max_records: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What pruning removed, or would remove."""

    records: tuple[Record, ...] = ()  # least recently used first
    blobs: int = 0
    freed: int = 0  # bytes
    left: int = 0  # bytes
    spared: int = 0  # records over a limit that stay, since a running build uses them


@dataclass(frozen=True, slots=True)
class Choice:
    """The records to remove, in order, and how many others over a limit are spared."""

    going: tuple[Kept, ...]
    spared: int


def choose(
    kept: Iterable[Kept],
    blobs: Mapping[Digest, int],
    limits: Limits,
    *,
    now: float,
    since: float,
    fixed: int = 0,
) -> Choice:
    """Choose the records to remove, so that the rest keeps to `limits`.

    `blobs` has the size of each blob that a record may name. Records used at `since` or later are
    spared. Another `fixed` bytes are there and stay.
    """
    queue = sorted(kept, key=lambda one: (one.used, one.record.created, one.record.id))
    holders = Counter(digest for one in queue for digest in _named(one.record))
    total = fixed + sum(one.size for one in queue) + sum(blobs.get(one, 0) for one in holders)
    going: list[Kept] = []
    spared = 0
    for number, one in enumerate(queue):
        too_old = limits.max_age is not None and now - one.used > limits.max_age
        too_many = limits.max_records is not None and len(queue) - number > limits.max_records
        too_big = limits.max_size is not None and total > limits.max_size
        if not (too_old or too_many or too_big):
            break
        if one.used >= since:
            # The rest was used even later, so it is spared, too; count as if this one went.
            spared += 1
        else:
            going.append(one)
        total -= one.size
        for digest in _named(one.record):
            holders[digest] -= 1
            if not holders[digest]:
                total -= blobs.get(digest, 0)
    return Choice(tuple(going), spared)


def _named(record: Record) -> frozenset[Digest]:
    return frozenset((*record.blobs, *record.chunks))
