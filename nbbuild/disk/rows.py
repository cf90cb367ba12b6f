"""The rows of the state file: what each table holds, and whether a row is as it was written.

SQLite finds pages that make no sense, and believes every value. One flipped bit of a digest would
stand for another file. So the last column of each table is a sum of the row, its key included, and
a row that does not have its sum counts as missing: what is lost by that can be worked out again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from zlib import crc32

from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.model import LATEST, Digest, Outcome

FORMAT: Final = 2
"""Raise it whenever a table, or a value in one, changes its meaning."""

SCHEMA: Final = """
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
                    inode INTEGER, digest TEXT, made_ns INTEGER,
                    executable INTEGER, sum INTEGER) WITHOUT ROWID;
CREATE TABLE memo (kind TEXT, key BLOB, value BLOB, sum INTEGER,
                   PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE outcomes (task BLOB PRIMARY KEY, value BLOB, sum INTEGER);
CREATE TABLE durations (task BLOB PRIMARY KEY, seconds REAL, sum INTEGER);
"""
TABLES: Final = frozenset({"files", "memo", "outcomes", "durations"})

_OUTCOME: Final[Shape[Outcome]] = Shape(Outcome)

Row = tuple[Any, ...]
"""The values of one row; in one that was read, each may be anything."""


class FileRow(NamedTuple):
    """The digest of one file, the stat it had, and when (ns since the epoch) it was made."""

    path: str  # absolute
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    digest: Digest
    made_ns: int
    executable: bool = False


def of_file(file: FileRow) -> Row:
    """Return the row of `files` that holds this."""
    row = (pack(file.path), *file[1:4], _signed(file.inode), *file[5:7], int(file.executable))
    return (*row, row_sum(row))


def file_of(row: Row) -> FileRow | None:
    """Return what a row of `files` holds; None if it is damaged."""
    *values, kept = row
    if row_sum(tuple(values)) != kept:
        return None
    path, size, mtime, ctime, inode, digest, made, executable = values
    return FileRow(
        unpack(path), size, mtime, ctime, _unsigned(inode), digest, made, bool(executable)
    )


def of_memo(kind: str, key: str, value: bytes) -> Row:
    """Return the row of `memo` that holds `value`."""
    return (kind, pack(key), value, row_sum((kind, key), value))


def memo_of(kind: str, key: str, row: Row) -> bytes | None:
    """Return what is remembered under `kind` and `key`, from (value, sum); None if damaged."""
    value, kept = row
    return value if isinstance(value, bytes) and row_sum((kind, key), value) == kept else None


def of_outcome(outcome: Outcome) -> Row:
    """Return the row of `outcomes` that holds this."""
    task, value = pack(outcome.task), packed(outcome)
    return (task, value, row_sum((task,), value))


def outcome_of(row: Row) -> Outcome | None:
    """Return what a row of `outcomes` holds; None if it is damaged, or of another time."""
    task, value, kept = row
    if not isinstance(value, bytes) or row_sum((task,), value) != kept:
        return None
    try:
        outcome = _OUTCOME.unpack(value)
        return outcome if 0 <= outcome.when < LATEST else None
    except (Misshapen, TypeError):  # written by somebody who knows how sums are made
        return None


def of_duration(task: str, seconds: float) -> Row:
    """Return the row of `durations` that holds this."""
    row = (pack(task), float(seconds))
    return (*row, row_sum(row))


def duration_of(row: Row) -> tuple[str, float] | None:
    """Return the task and the seconds of a row of `durations`; None if it is damaged."""
    task, seconds, kept = row
    return (unpack(task), seconds) if row_sum((task, seconds)) == kept else None


def row_sum(values: Row, data: bytes = b"") -> int:
    """Return the CRC-32 of what `repr` says of the values, and of `data`."""
    return crc32(data, crc32(repr(values).encode("utf-8", "surrogatepass")))


# File names may hold bytes that are not UTF-8, which SQLite's TEXT refuses.


def pack(text: str) -> bytes:
    """Return a name as SQLite keeps it."""
    return text.encode("utf-8", "surrogatepass")


def unpack(data: bytes) -> str:
    """Return the name that `pack` was given."""
    return data.decode("utf-8", "surrogatepass")


# Inodes use all 64 bits on some file systems; SQLite's integers are signed.


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _unsigned(number: int) -> int:
    return number + (1 << 64) if number < 0 else number
