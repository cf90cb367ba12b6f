"""Locks between processes that end with their owner.

A lock is `flock(2)` on a file of its own: exclusive, or shared by many. The kernel drops it when
its owner ends, in whatever way, so there are no stale locks and nothing to break. The file's
content (who took it last) is only for messages.

- Two threads of one process exclude each other too, since each opens the file for itself. So a
  thread that asks again for a lock it holds waits for ever: locks do not nest.
- A file may vanish between opening and locking it (`sweep` removes those that nobody holds), and
  two processes could then hold "the same" lock on different files. So whoever gets a lock checks
  that the name still leads to the file, and starts again if not.
- Programs that we start do not inherit the descriptors. A process that merely forks shares the
  lock until it ends or executes a program.

Why not `filelock`: its ReadWriteLock (version 4) also ends with its process, but it is a
transaction on a SQLite file. Its waits end by time only, not by an event; it cannot tell who holds
it; and it takes 0.6 ms where flock takes 0.02 (measured), for each of a task's several locks.
"""

from __future__ import annotations

import errno
import os
import platform
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nbbuild.disk import flock
from nbbuild.disk.durable import own_folder, own_mode, set_aside, writing
from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.regular import is_taken, leads_nowhere
from nbbuild.errors import StoreError

FOLDER = "locks"
"""The name of folders that contain only lock files."""

PATIENCE = 0.5
"""Seconds of waiting after which `on_wait` is called."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1  # seconds between two attempts


class Cancelled(Exception):
    """The wait was cancelled."""


class Held(Exception):
    """Somebody else holds the lock."""


@contextmanager
def lock(
    path: Path,
    *,
    shared: bool = False,
    wait: bool = True,
    on_wait: Callable[[str], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Iterator[None]:
    """Hold the lock at `path`; make its file and the folders above it.

    `on_wait` is called once, with who holds the lock ("process 123"), if that takes longer than
    half a second. Raises Cancelled if `cancelled` is set before the lock is ours, Held if it would
    have to wait and must not, StoreError if the file cannot be made or its file system has no
    locks.
    """
    descriptor = _acquire(path, shared=shared, wait=wait, on_wait=on_wait, cancelled=cancelled)
    try:
        yield
    finally:
        flock.leave(descriptor)
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody now holds the lock at `path` exclusively; makes no file."""
    try:
        with _opened(path, os.O_RDONLY) as descriptor:
            # Shared: NFS grants an exclusive lock only on a file that is open for writing.
            flock.take(descriptor, shared=True)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def sweep(folder: Path) -> int:
    """Remove the lock files in `folder` that nobody holds; return how many."""
    removed = 0
    for path in folder.glob("*.lock"):
        with suppress(OSError), _opened(path, os.O_RDWR) as descriptor:
            flock.take(descriptor)
            if _leads_to(path, descriptor):
                path.unlink()
                removed += 1
    return removed


def _acquire(
    path: Path,
    *,
    shared: bool,
    wait: bool,
    on_wait: Callable[[str], None] | None,
    cancelled: threading.Event | None,
) -> int:
    """Return an open descriptor that holds the lock."""
    patience = time.monotonic() + PATIENCE
    pause = _FIRST_PAUSE
    descriptor = _open(path)
    try:
        while True:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled(f"waiting for {path.name} was called off")
            if _try(descriptor, path, shared=shared):
                if _leads_to(path, descriptor):
                    _sign(descriptor)
                    return descriptor
                os.close(descriptor)
                descriptor = -1
                descriptor = _open(path)
                continue
            if not wait:
                raise Held(f"{path.name} is held by {_holder(descriptor)}")
            if on_wait is not None and time.monotonic() >= patience:
                on_wait(_holder(descriptor))
                on_wait = None
            if cancelled is None:
                time.sleep(pause)
            else:
                cancelled.wait(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        raise


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | ONLY_HERE
    with writing("a lock file cannot be made", path):
        if is_taken(path) or path.is_symlink():
            _clear(path)
        try:
            descriptor = os.open(path, flags, own_mode(path))
        except OSError as error:
            folder = path.parent
            ours = folder.name == FOLDER  # else a user may have chosen the place
            if not leads_nowhere(error) or not (ours or error.errno == errno.ENOENT):
                raise
            own_folder(folder, below=folder.parent if ours else folder)
            descriptor = os.open(path, flags, own_mode(path))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError("a lock file is not a regular file", facts=[("path", str(path))])
    return descriptor


def _clear(path: Path) -> None:
    """Set aside what is not a lock file. Raises OSError."""
    with suppress(FileNotFoundError):
        aside = set_aside(path)
        if stat.S_ISREG(aside.lstat().st_mode):
            aside.rename(path)  # somebody else was quicker, and may hold it already


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | ONLY_HERE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try(descriptor: int, path: Path, *, shared: bool) -> bool:
    try:
        flock.take(descriptor, shared=shared)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            raise
        raise StoreError(
            "the file system has no locks",
            facts=[("path", str(path)), ("reason", error.strerror or str(error))],
            hint="keep the project and its cache on a file system that has flock(2)",
        ) from error
    return True


def _leads_to(path: Path, descriptor: int) -> bool:
    ours = os.fstat(descriptor)
    try:
        there = path.lstat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _sign(descriptor: int) -> None:
    """Write down who holds the lock; a full disk must not stop us."""
    with suppress(OSError):
        text = f"{os.getpid()} {platform.node()}\n".encode()
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)
        os.ftruncate(descriptor, len(text))


def _holder(descriptor: int) -> str:
    with suppress(OSError, ValueError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        pid, _, host = os.read(descriptor, 300).decode().strip().partition(" ")
        if pid.isdecimal():
            return f"process {pid}" + ("" if host == platform.node() else f" on {host}")
    return "another process"
