"""What nbbuild remembers between builds, in SQLite; it can be deleted at any time.

    files      a file's stat and digest           (digests.py decides when to trust a row)
    memo       (kind, key) → bytes                anything that can be worked out again
    outcomes   task → its last Outcome            for `show`, `status` and retries
    durations  task → seconds of its last run     for priorities and estimates

Each row has a sum (rows.py); a damaged one is as if it was not there.
A file that is corrupt or of another version is set aside (`state.sqlite.bad`) and made again. If
the folder cannot be written, the state lives in memory, for this process only, and begins with what
the file remembers. Rows of `files`, `memo` and `durations` are caches: if another process keeps the
file locked for too long, or the disk is full, a write to them is silently dropped. An outcome that
cannot be written is reported.

Whoever waits for another process for longer than a second says so (`hear`). A cache waits for five
seconds, and then no more until the file has been free; where nobody hears of it, for one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from nbbuild.disk import rows
from nbbuild.disk.durable import own_mode, private_folder, set_aside
from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import LOCKS, STATE
from nbbuild.disk.regular import is_taken
from nbbuild.disk.rows import FileRow
from nbbuild.errors import StoreError
from nbbuild.model import Outcome, OutcomeKind

BUSY_SECONDS = 30.0
"""How long an outcome waits for a file that another process has locked."""

_CACHE_SECONDS = 5.0  # how long anything else does
PATIENCE = 1.0
"""Seconds of waiting after which it is said."""

_APPLICATION_ID = 0x6E626264  # "nbbd"
# The log first: SQLite would replay a log that it finds beside a new file.
_SUFFIXES = ("-wal", "-shm", "-journal", "")

_ASIDE = (
    "'{}' was damaged or of another version of nbbuild, and is now '{}': "
    "what it remembered of earlier builds is lost, and no result"
)

_SYNCHRONOUS = "PRAGMA synchronous = NORMAL"  # a power loss may undo the last writes, no more

T = TypeVar("T")


class _Foreign(Exception):
    """The file is not a state file of this version."""


class State:
    """The state kept in `folder` (a project's `.nbbuild`), or in memory if that is None.

    Folder and file are made by the first write. Safe to use from any thread.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._in_memory = False
        self._given_up = False  # whether a write to a cache was dropped, since the file was locked
        self._tell: Callable[[str], None] | None = None
        self._untold: list[str] = []

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hear(self, tell: Callable[[str], None]) -> None:
        """Have `tell` get sentences for users from now on, and those that nobody has heard yet."""
        self._tell = tell
        while self._untold:
            tell(self._untold.pop(0))

    def close(self) -> None:
        """Close the file; the object cannot be used afterwards."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()

    @property
    def persistent(self) -> bool:
        """Whether the state outlives this object; makes the folder and the file to find out."""
        with self._turn:
            self._connected()
            return not self._in_memory

    # -- memo ----------------------------------------------------------------------------------

    def recall(self, kind: str, key: str) -> bytes | None:
        """Return what was remembered under `kind` and `key`, or None."""

        def read(connection: sqlite3.Connection) -> bytes | None:
            query = "SELECT value, sum FROM memo WHERE kind = ? AND key = ?"
            row = connection.execute(query, (kind, rows.pack(key))).fetchone()
            return None if row is None else rows.memo_of(kind, key, row)

        return self._read(read, None)

    def remember(self, kind: str, key: str, value: bytes) -> None:
        """Remember `value`; it may be lost, so it must be possible to compute it again."""
        self.remember_all({(kind, key): value})

    def remember_all(self, values: Mapping[tuple[str, str], bytes]) -> None:
        """Remember many values, by kind and key, in one transaction; they may be lost."""
        memos = [rows.of_memo(kind, key, value) for (kind, key), value in values.items()]
        query = "INSERT OR REPLACE INTO memo VALUES (?, ?, ?, ?)"
        if memos:
            self._write_cache(lambda c: c.executemany(query, memos))

    def forget(self, kind: str, key: str | None = None) -> None:
        """Forget everything remembered under `kind`, or only `key` if that is given."""
        if key is None:
            self._write_cache(lambda c: c.execute("DELETE FROM memo WHERE kind = ?", (kind,)))
        else:
            query = "DELETE FROM memo WHERE kind = ? AND key = ?"
            self._write_cache(lambda c: c.execute(query, (kind, rows.pack(key))))

    # -- outcomes and durations ----------------------------------------------------------------

    def outcome(self, task: str) -> Outcome | None:
        """Return the task's last outcome, if there is a readable one."""

        def read(connection: sqlite3.Connection) -> Outcome | None:
            query = "SELECT * FROM outcomes WHERE task = ?"
            row = connection.execute(query, (rows.pack(task),)).fetchone()
            outcome = None if row is None else rows.outcome_of(row)
            # A damaged index leads to another row.
            return outcome if outcome is not None and outcome.task == task else None

        return self._read(read, None)

    def outcomes(self) -> dict[str, Outcome]:
        """Return the last outcome of each task that has one."""

        def read(connection: sqlite3.Connection) -> dict[str, Outcome]:
            found = map(rows.outcome_of, connection.execute("SELECT * FROM outcomes").fetchall())
            return {outcome.task: outcome for outcome in found if outcome is not None}

        return self._read(read, {})

    def save_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Keep outcomes, and the seconds of tasks that executed. Raises StoreError."""
        kept = list(outcomes)
        last = [rows.of_outcome(one) for one in kept]
        ran = [one for one in kept if one.kind is OutcomeKind.EXECUTED]
        durations = [rows.of_duration(one.task, one.seconds) for one in ran]

        def save(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?)", last)
            connection.executemany("INSERT OR REPLACE INTO durations VALUES (?, ?, ?)", durations)

        try:
            self._write(save, patience=BUSY_SECONDS)
        except sqlite3.Error as error:
            raise StoreError(
                "the outcomes of this build cannot be kept",
                facts=[("path", str(self._path)), ("reason", str(error))],
                hint="`nbbuild show` will show an earlier build; no result is lost",
            ) from error

    def durations(self) -> dict[str, float]:
        """Return how many seconds each task's last run took."""

        def read(connection: sqlite3.Connection) -> dict[str, float]:
            found = map(rows.duration_of, connection.execute("SELECT * FROM durations").fetchall())
            return dict(filter(None, found))

        return self._read(read, {})

    # -- files ---------------------------------------------------------------------------------

    def load_files(self) -> list[FileRow]:
        """Return all rows about files."""

        def read(connection: sqlite3.Connection) -> list[FileRow]:
            found = map(rows.file_of, connection.execute("SELECT * FROM files").fetchall())
            return [row for row in found if row is not None]

        return self._read(read, [])

    def save_files(self, files: Iterable[FileRow], *, gone: Iterable[str] = ()) -> None:
        """Add or replace rows, and drop those of the paths in `gone`; this may be lost."""
        values = [rows.of_file(file) for file in files]
        dropped = [(rows.pack(path),) for path in gone]

        def save(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM files WHERE path = ?", dropped)
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values
            )

        self._write_cache(save)

    # -- the file itself -----------------------------------------------------------------------

    @property
    def _path(self) -> Path:
        return (self._folder or Path()) / STATE

    def _read(self, work: Callable[[sqlite3.Connection], T], default: T) -> T:
        with self._turn:
            if self._connection is None and (is_taken(self._path) or not self._path.exists()):
                return default
        try:
            return self._run(work)
        except (sqlite3.DatabaseError, TypeError, ValueError):
            # Locked for too long, a failing disk, damage: as if nothing was remembered.
            return default

    def _write_cache(self, work: Callable[[sqlite3.Connection], object]) -> None:
        patience = PATIENCE if self._tell is None else _CACHE_SECONDS
        try:
            self._write(work, patience=0 if self._given_up else patience)
            self._given_up = False
        except sqlite3.DatabaseError as error:
            self._given_up = _is_locked(error)

    def _write(self, work: Callable[[sqlite3.Connection], object], *, patience: float) -> None:
        """Do `work` in a transaction; wait `patience` seconds for other processes, and say so."""

        def whole(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                work(connection)

        end = time.monotonic() + patience
        told = False
        with self._turn:
            while True:
                left = max(0.0, min(PATIENCE, end - time.monotonic()))
                _wait_at_most(self._connected(), left)
                try:
                    return self._run(whole)
                except sqlite3.OperationalError as error:
                    if not _is_locked(error) or time.monotonic() >= end:
                        raise
                if not told and self._tell is not None:
                    self._tell(f"waits for '{self._path}', which another process has locked")
                told = True

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work`; if the file turns out to be corrupt, do it once more on a new one."""
        with self._turn:
            connection = self._connected()
            try:
                return work(connection)
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # a subclass: not corruption
                    raise
            connection.close()
            self._connection = self._connect(bad=True)
            return work(self._connection)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self, *, bad: bool = False) -> sqlite3.Connection:
        """Open the file, or a new one if it is missing, bad or foreign, or else one in memory."""
        if self._folder is not None:
            # Read-only, full or without locks: a build can do without the file.
            with suppress(OSError, sqlite3.Error, StoreError):
                private_folder(self._folder)
                connection = None if bad else self._existing()
                if connection is None:
                    # One process at a time, or two would set aside each other's new file.
                    with lock(self._folder / LOCKS / "state.lock", on_wait=self._waits):
                        connection = self._existing(thorough=bad) or self._new()
                return connection
        self._in_memory = True
        connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, uri=True
        )
        connection.executescript(rows.SCHEMA)
        if self._folder is not None and not bad and not self._is_blocked():
            _copy(self._path, connection)
        return connection

    def _say(self, sentence: str) -> None:
        if self._tell is None:
            self._untold.append(sentence)
        else:
            self._tell(sentence)

    def _waits(self, holder: str) -> None:
        if self._tell is not None:
            self._tell(f"waits for '{self._path}', which {holder} is making")

    def _existing(self, *, thorough: bool = False) -> sqlite3.Connection | None:
        """Return the file's connection, or None if it is missing, bad or foreign."""
        if self._is_blocked() or not self._path.exists():
            return None
        connection = _opened(self._path)
        try:
            _check(connection, thorough=thorough)
        except _Foreign:
            connection.close()
            return None
        except sqlite3.DatabaseError as error:
            connection.close()
            if type(error) is sqlite3.DatabaseError:
                return None
            raise
        return connection

    def _is_blocked(self) -> bool:
        """Whether a pipe, a folder or the like is where SQLite would open a file."""
        return any(is_taken(f"{self._path}{suffix}") for suffix in _SUFFIXES)

    def _new(self) -> sqlite3.Connection:
        for suffix in _SUFFIXES:
            path, bad = f"{self._path}{suffix}", Path(f"{self._path}.bad{suffix}")
            with suppress(FileNotFoundError):
                if os.path.lexists(bad) and (bad.is_dir() or is_taken(path)):
                    set_aside(bad)
                os.replace(path, bad)  # noqa: PTH105
                if not suffix:
                    self._say(_ASIDE.format(self._path, bad.name))
        # SQLite would choose the mode itself; its logs get that of the file.
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | ONLY_HERE, own_mode(self._path)))
        connection = _opened(self._path)
        connection.execute(_SYNCHRONOUS)
        with suppress(sqlite3.OperationalError):  # refused: the journal mode stays as it was
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        with _transaction(connection):
            for statement in rows.SCHEMA.strip().split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {rows.FORMAT}")
        return connection


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)


def _copy(path: Path, connection: sqlite3.Connection) -> None:
    """Copy what a file remembers that can only be read; nothing if it is not there, or not ours."""
    # Read as if nobody changed it, SQLite needs no other file beside it; then it sees no log.
    for way in ("mode=ro", "mode=ro&immutable=1"):
        try:
            connection.execute("ATTACH ? AS there", (f"{path.absolute().as_uri()}?{way}",))
        except sqlite3.Error:
            continue
        try:
            (application,) = connection.execute("PRAGMA there.application_id").fetchone()
            (version,) = connection.execute("PRAGMA there.user_version").fetchone()
            if (application, version) == (_APPLICATION_ID, rows.FORMAT):
                with _transaction(connection):
                    for table in sorted(rows.TABLES):
                        connection.execute(f"INSERT INTO {table} SELECT * FROM there.{table}")
            return
        except sqlite3.Error:
            continue
        finally:
            with suppress(sqlite3.Error):
                connection.execute("DETACH there")


def _wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")


def _is_locked(error: sqlite3.DatabaseError) -> bool:
    return "locked" in str(error)


def _check(connection: sqlite3.Connection, *, thorough: bool) -> None:
    """Raise _Foreign or sqlite3.Error unless this is a state file that can be written."""
    connection.execute(_SYNCHRONOUS)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    # A view or a trigger of somebody else's could compute without end.
    found = connection.execute("SELECT name, type FROM sqlite_master").fetchall()
    tables = {name for name, kind in found if kind == "table"}
    plain = all(kind in ("table", "index") for _, kind in found)
    ours = (application, version) == (_APPLICATION_ID, rows.FORMAT)
    if not ours or not tables >= rows.TABLES or not plain:
        raise _Foreign
    # Indices, too, which `quick_check` leaves out.
    if thorough and connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
        raise _Foreign
    _wait_at_most(connection, 0)
    try:
        with _transaction(connection):
            pass  # a read-only file refuses here
    except sqlite3.OperationalError as error:
        if not _is_locked(error):  # it can be read all the same, and written later
            raise
    _wait_at_most(connection, PATIENCE)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE waits for its turn; a read that turns into a write would fail at once instead.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
