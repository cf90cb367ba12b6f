"""Lock an open file until it is closed or its process ends: flock(2), and a form for Windows.

`msvcrt` has no shared locks, only locks on ranges of bytes. So on Windows a shared lock takes any
one of `_SLOTS` bytes, and an exclusive lock takes them all. The bytes lie far behind the end of the
file, because nobody else can read a locked byte. We have not run this form.
"""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    _FIRST, _SLOTS = 1 << 30, 32
    _taken: dict[int, tuple[int, int]] = {}  # descriptor → first byte, how many

    def take(descriptor: int, *, shared: bool = False) -> None:  # noqa: D103 - see below
        slots = range(_SLOTS) if shared else range(1)
        length = 1 if shared else _SLOTS
        for slot in slots:
            os.lseek(descriptor, _FIRST + slot, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, length)
            except OSError:
                continue
            _taken[descriptor] = (_FIRST + slot, length)
            return
        raise BlockingIOError("somebody else holds the lock")

    def leave(descriptor: int) -> None:  # noqa: D103
        first, length = _taken.pop(descriptor)
        os.lseek(descriptor, first, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, length)

else:
    import fcntl

    def take(descriptor: int, *, shared: bool = False) -> None:
        """Lock an open file, or raise BlockingIOError at once if somebody else holds it.

        Raises OSError if its file system has no locks.
        """
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def leave(descriptor: int) -> None:
        """Release the lock before the file is closed: a forked child may share the descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
