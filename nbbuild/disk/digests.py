"""The digests of files: made once, remembered, and trusted only where that is safe.

A remembered digest stands for a file whose size, mtime, ctime and inode have not changed. That is
not enough by itself: a file can change twice within one tick of its file system's clock, and then
looks the same. So a digest from an earlier build counts only if both times were at least two
seconds old when it was made (git's racy-clean rule, plus ctime, which no program can set back).

Within one build, that is within one `Digests`, the same stat means the same digest, so that each
file is hashed once however many tasks ask. That leaves a gap, which `fresh` closes when a run ends.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from nbbuild.disk.flags import QUIETLY
from nbbuild.disk.rows import FileRow
from nbbuild.disk.state import State
from nbbuild.errors import StoreError
from nbbuild.model import Digest

SETTLED_NS = 2_000_000_000
"""How old (ns) a file's times must be when its digest is made, so that later builds trust it."""

UNREADABLE: Digest = "0" * 64
"""Stands for a file that exists but may not be read: neither absent nor any content."""

_CHUNK = 1 << 20
_BIG = 64 << 20  # from this many bytes on, several threads hash one file
_BIG_CHUNK = 16 << 20
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_CLOCK_REALTIME_COARSE = 5  # Linux; has no name in `time`


def digest_bytes(data: bytes) -> Digest:
    """Return the BLAKE3 digest of `data`."""
    return blake3(data).hexdigest()


def digest_lines(path: Path | str, digest: Digest) -> Digest:
    """Return the digest that a file would have if each of its lines ended with "\\n" alone.

    `digest` is its own; a file that no longer has it, or cannot be read, keeps it.
    """
    try:
        data = Path(path).read_bytes()
    except OSError:
        return digest
    if b"\r" not in data or digest_bytes(data) != digest:
        return digest
    return digest_bytes(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


def now_ns() -> int:
    """Return the time (ns since the epoch) that a file changed right now would get, or earlier.

    File times come from a clock that advances in ticks of some milliseconds, behind `time.time`.
    """
    if sys.platform == "linux":
        return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
    return time.time_ns() - 20_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """A regular file as it looked at one moment; symbolic links are followed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    executable: bool
    digest: Digest
    made_ns: int  # when hashing began
    ours: bool = True  # hashed by this object, not remembered from an earlier build

    def settled(self) -> bool:
        """Whether the file's times were two seconds old when it was hashed."""
        return max(self.mtime_ns, self.ctime_ns) + SETTLED_NS <= self.made_ns

    def same(self, now: os.stat_result) -> bool:
        """Whether the file still looks the same."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode) == _signature(now)


class Digests:
    """The digests of one build. Safe to use from any thread; `save` keeps them for the next."""

    def __init__(
        self, state: State | None = None, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._state = state
        self._clock = clock  # ns since the epoch
        self._turns: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._unsaved: set[str] = set()
        self._gone: set[str] = set()
        rows = [] if state is None else state.load_files()
        self._looks = {row.path: _look_from(row) for row in rows}
        self.asked: dict[str, Look | None] = {}
        """The files asked about so far, by absolute path, each with the last answer."""

    def digest(self, path: Path | str) -> Digest | None:
        """Return the file's digest; None if it does not exist or is not a regular file.

        A file that may not be read has the digest UNREADABLE. Raises StoreError if reading fails
        for a passing reason (too many open files, a failing disk).
        """
        look = self.look(path)
        return None if look is None else look.digest

    def nothing_at(self, path: str) -> bool:
        """Whether nothing at all is there; if so, `digest` would return None, and take longer."""
        try:
            os.lstat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                self.asked[_key(path)] = None
                return True
        except ValueError:  # a NUL in the name
            pass
        return False

    def look(self, path: Path | str) -> Look | None:
        """Like `digest`, with the stat that belongs to it."""
        return self._looked(path, lambda look: look.ours or look.settled())

    def fresh(self, path: Path | str) -> Digest | None:
        """Like `digest`, but hash again unless the file looks as at its first use and had settled.

        Used at the end of a run: it finds a change hidden within the tick of the first look.
        """
        look = self._looked(path, Look.settled)
        return None if look is None else look.digest

    def learn(self, path: Path, digest: Digest, was: os.stat_result, made_ns: int) -> None:
        """Accept a digest made elsewhere, of a file that looked like `was` before and after."""
        key = _key(path)
        with self._guard:
            self._looks[key] = _look_at(was, digest, made_ns)
            self._unsaved.add(key)

    def forget(self, path: Path) -> None:
        """Forget the file, in later builds too; the next question hashes it again."""
        key = _key(path)
        with self._guard:
            self._looks.pop(key, None)
            self._unsaved.discard(key)
            self._gone.add(key)

    def changed_since(self, path: Path, ns: int) -> bool:
        """Whether the file, or a link that its last name is, changed at `ns` (see now_ns) or later.

        A file that no longer exists has changed.
        """
        try:
            return max(os.stat(path).st_ctime_ns, os.lstat(path).st_ctime_ns) >= ns  # noqa: PTH116
        except (OSError, ValueError):
            return True

    def save(self) -> None:
        """Keep what later builds may trust."""
        if self._state is None:
            return
        with self._guard:
            looks = [(key, self._looks[key]) for key in sorted(self._unsaved)]
            gone = self._gone - self._unsaved
            self._unsaved, self._gone = set(), set()
        self._state.save_files((_row(k, look) for k, look in looks if look.settled()), gone=gone)

    def _looked(self, path: Path | str, trusted: Callable[[Look], bool]) -> Look | None:
        key = _key(path)
        look = self.asked[key] = self._look_at(key, trusted)
        return look

    def _look_at(self, key: str, trusted: Callable[[Look], bool]) -> Look | None:
        look = self._remembered(key, trusted)
        if not isinstance(look, _Unknown):
            return look
        with self._guard:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            # Another thread may have hashed it while this one waited for its turn.
            look = self._remembered(key, trusted)
            if not isinstance(look, _Unknown):
                return look
            return self._hashed(key)

    def _remembered(self, key: str, trusted: Callable[[Look], bool]) -> Look | _Unknown | None:
        try:
            now = os.stat(key)  # noqa: PTH116
        except (OSError, ValueError) as error:
            return _answer_to(error, key)
        if not stat.S_ISREG(now.st_mode):
            return None
        look = self._looks.get(key)
        if look is None or not look.same(now) or not trusted(look):
            return _UNKNOWN
        return look

    def _hashed(self, key: str) -> Look | None:
        look, steady = None, False
        for _ in range(3):  # a file that is being written is read again, but not for ever
            made_ns = self._clock()
            try:
                # Quietly: a pipe that took the file's place must not make us wait for a writer.
                descriptor = os.open(key, os.O_RDONLY | QUIETLY)
                with os.fdopen(descriptor, "rb", buffering=0) as file:
                    before = os.fstat(descriptor)
                    if not stat.S_ISREG(before.st_mode):
                        return None
                    digest = _digest_file(file, before.st_size)
                    after = os.fstat(descriptor)
            except (OSError, ValueError) as error:
                return _answer_to(error, key)
            look = _look_at(after, digest, made_ns)
            steady = look.same(before)
            if steady:
                break
        if look is not None and steady:
            with self._guard:
                self._looks[key] = look
                self._unsaved.add(key)
        return look


class _Unknown:
    """The answer if there is none yet: the file must be hashed."""


_UNKNOWN = _Unknown()


def _signature(was: os.stat_result) -> tuple[int, int, int, int]:
    return (was.st_size, was.st_mtime_ns, was.st_ctime_ns, was.st_ino)


def _look_at(was: os.stat_result, digest: Digest, made_ns: int) -> Look:
    executable = bool(was.st_mode & stat.S_IXUSR)
    return Look(*_signature(was), executable, digest, made_ns)


def _look_from(row: FileRow) -> Look:
    return Look(*row[1:5], row.executable, row.digest, row.made_ns, ours=False)


def _row(key: str, look: Look) -> FileRow:
    stat4 = (look.size, look.mtime_ns, look.ctime_ns, look.inode)
    return FileRow(key, *stat4, look.digest, look.made_ns, look.executable)


def _key(path: Path | str) -> str:
    text = os.fspath(path)
    # Nearly all are normal already, and there are many: to see that takes a tenth of the time.
    if text[:1] == os.sep == "/" != text[-1:] and "//" not in text and "/." not in text:
        return text
    return os.path.abspath(text)  # noqa: PTH100  (`resolve` would follow links)


def _answer_to(error: OSError | ValueError, key: str) -> Look | None:
    if isinstance(error, ValueError) or error.errno in _ABSENT:  # ValueError: NUL in the name
        return None
    if error.errno in (errno.EACCES, errno.EPERM):
        return Look(0, 0, 0, 0, False, UNREADABLE, 0)
    # Never "absent": the record of an absence would outlast a passing trouble.
    reason = error.strerror or str(error)
    raise StoreError("a file cannot be read", facts=[("path", key), ("reason", reason)]) from error


def _digest_file(file: BinaryIO, size: int) -> Digest:
    # Read, not mapped: if a file is cut short while it is mapped, the process is killed (SIGBUS).
    big = size > _BIG
    hasher = blake3(max_threads=blake3.AUTO) if big else blake3()
    buffer = bytearray(_BIG_CHUNK if big else min(_CHUNK, size + 1))
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        hasher.update(view[:count])
    return hasher.hexdigest()
