"""Run a command in a child of this process: with a failing disk, without powers, under limits."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOBODY = 65534
_KEEP_CAPABILITIES = 8  # PR_SET_KEEPCAPS
_CAPABILITY_VERSION = 0x20080522
_MAY_READ = 1 << 2  # CAP_DAC_READ_SEARCH
_NEW_MOUNTS = 0x00020000
_PRIVATE = 1 << 14 | 1 << 18  # MS_REC, MS_PRIVATE


def answered(story: Callable[[], Any], *, within: float = 120) -> Any:
    """Run `story` in a forked child, and return what it returns; a child that hangs is killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            answer = pickle.dumps(story())
            with os.fdopen(write, "wb") as pipe:
                pipe.write(answer)
        except BaseException:  # noqa: BLE001 - a child must never return into pytest
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    os.close(write)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, within)
    try:
        with os.fdopen(read, "rb") as pipe:
            data = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert status == 0, f"the child ended with {status}; see stderr"
    return pickle.loads(data)


def unprivileged() -> None:
    """Go on as a user without powers, for good: root may do anything, and tests nothing.

    On Linux the user may still read whatever there is, since Python itself often lies below a home
    that is closed to others.
    """
    if os.geteuid() == 0:
        keeps = sys.platform == "linux"
        libc = ctypes.CDLL(None, use_errno=True)
        if keeps and libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "capabilities cannot be kept")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        reads = struct.pack("6I", _MAY_READ, _MAY_READ, 0, 0, 0, 0)  # effective, permitted
        if keeps and libc.capset(struct.pack("Ii", _CAPABILITY_VERSION, 0), reads) != 0:
            raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


def given_away(folder: Path) -> None:
    """Make `folder` and all that is in it that user's."""
    if os.geteuid() != 0:
        return
    for place, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(os.path.join(place, name), NOBODY, NOBODY, follow_symlinks=False)


@contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Take away the right to write into all of `folders`, and give it back."""
    before: list[tuple[str, int]] = []
    for one in folders:
        for place, _, files in os.walk(one):
            for path in (place, *(os.path.join(place, name) for name in files)):
                if not os.path.islink(path):
                    before.append((path, os.stat(path).st_mode))
    for path, mode in before:
        os.chmod(path, mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in before:
            if os.path.exists(path):
                os.chmod(path, mode)


def small_disk(folder: Path, size: int) -> str:
    """Mount a disk of `size` bytes at `folder`, for this process alone; return why not, or ""."""
    libc = ctypes.CDLL(None, use_errno=True)

    def failed(what: str) -> str:
        return f"{what}: {os.strerror(ctypes.get_errno())}"

    if libc.unshare(_NEW_MOUNTS) != 0:
        return failed("no mounts of one's own")
    if libc.mount(b"none", b"/", None, _PRIVATE, None) != 0:
        return failed("the mounts cannot be made private")
    options = f"size={size},mode=0755".encode()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) != 0:
        return failed("no tmpfs")
    return ""
