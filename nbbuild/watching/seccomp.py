"""What Linux's seccomp needs to be told, and tells: the filter, its calls by number, its messages.

The filter sends the calls of `CALLS`, made natively or by 32-bit programs, to whoever holds the
listener, and lets all others pass untouched. The numbers are Linux's and never change.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Call:
    """What a system call does to files, and which of its arguments say to which."""

    deed: str  # open, openat2, exec, write, rename, link, remove, mkdir, unseen
    paths: tuple[tuple[int, int], ...] = ()  # (the folder's descriptor or -1, the path)
    flags: int = -1  # of an open


_ONE, _TWO, _AT = ((-1, 0),), ((-1, 0), (-1, 1)), ((0, 1),)

CALLS: Final = {
    "open": Call("open", _ONE, 1),
    "openat": Call("open", _AT, 2),
    "openat2": Call("openat2", _AT, 2),
    "creat": Call("write", _ONE),
    "execve": Call("exec", _ONE),
    "execveat": Call("exec", _AT),
    "rename": Call("rename", _TWO),
    "renameat": Call("rename", ((0, 1), (2, 3))),
    "renameat2": Call("rename", ((0, 1), (2, 3))),
    "link": Call("link", _TWO),
    "linkat": Call("link", ((0, 1), (2, 3))),
    "symlink": Call("write", ((-1, 1),)),
    "symlinkat": Call("write", ((1, 2),)),
    "unlink": Call("remove", _ONE),
    "rmdir": Call("remove", _ONE),
    "unlinkat": Call("remove", _AT),
    "mkdir": Call("mkdir", _ONE),
    "mkdirat": Call("mkdir", _AT),
    "truncate": Call("write", _ONE),
    "truncate64": Call("write", _ONE),
    # Files can be opened past every filter by these.
    "io_uring_setup": Call("unseen"),
    "open_by_handle_at": Call("unseen"),
}

_ORDER = (
    "open openat openat2 creat execve execveat rename renameat renameat2 link linkat symlink "
    "symlinkat unlink rmdir unlinkat mkdir mkdirat truncate truncate64 io_uring_setup "
    "open_by_handle_at"
)
_X86_64 = "2 257 437 85 59 322 82 264 316 86 265 88 266 87 84 263 83 258 76 - 425 304"
_I386 = "5 295 437 8 11 358 38 302 353 9 303 83 304 10 40 301 39 296 92 193 425 342"
_ARM64 = "- 56 437 - 221 281 - 38 276 - 37 - 36 - - 35 - 34 45 - 425 265"
_ARM = "5 322 437 8 11 387 38 329 382 9 330 83 331 10 40 328 39 323 92 193 425 371"


def _numbers(listed: str) -> dict[int, Call]:
    numbers = zip(listed.split(), _ORDER.split(), strict=True)
    return {int(number): CALLS[name] for number, name in numbers if number != "-"}


# By machine: the number of seccomp(2), then by the architecture of a call its numbers.
_MACHINES: Final = {
    "x86_64": (317, {0xC000003E: _numbers(_X86_64), 0x40000003: _numbers(_I386)}),
    "aarch64": (277, {0xC00000B7: _numbers(_ARM64), 0x40000028: _numbers(_ARM)}),
}

RECEIVE: Final = 0xC0502100
SEND: Final = 0xC0182101
SET_FLAGS: Final = 0x40082104
WAKE_ON_THIS_CORE: Final = 1
GO_ON: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
NOTICE: Final = struct.Struct("=QIIiIQ6Q")  # id, thread, flags, number, architecture, -, arguments
ANSWER: Final = struct.Struct("=QqiI")  # id, value, error, flags

_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # where they lie in struct seccomp_data


def calls() -> dict[int, dict[int, Call]]:
    """Return the calls that the filter tells of, by architecture and number."""
    return _MACHINES[platform.machine()][1]


def program() -> bytes:
    """Return the filter for this machine, as classic BPF."""
    parts: list[bytes] = []
    for architecture, numbers in calls().items():
        one = [_instruction(_LOAD, _NUMBER)]
        for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
            one.append(_instruction(_EQUAL, number, then=left))
        one += [_instruction(_RETURN, _ALLOW), _instruction(_RETURN, _ASK)]
        parts.append(_instruction(_EQUAL, architecture, otherwise=len(one)))
        parts += one
    return b"".join([_instruction(_LOAD, _ARCHITECTURE), *parts, _instruction(_RETURN, _ALLOW)])


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def number() -> int:
    """Return the number of seccomp(2) on this machine."""
    return _MACHINES[platform.machine()][0]


def unavailable() -> str:
    """Say why system calls cannot be watched here, "" when nothing is known to be in the way."""
    if sys.platform != "linux":
        return "only Linux tells of system calls"
    if platform.machine() not in _MACHINES or sys.maxsize < 1 << 32:
        return f"nbbuild does not know the system calls of {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    action = ctypes.c_uint32(_ASK)
    # 2: SECCOMP_GET_ACTION_AVAIL
    if libc.syscall(number(), 2, 0, ctypes.byref(action)) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"the system has no seccomp user notification ({reason})"
    try:
        scope = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text())
    except (OSError, ValueError):
        scope = 0
    if scope > 2 or (scope == 2 and os.geteuid() != 0):
        return f"no process may look into another (kernel.yama.ptrace_scope is {scope})"
    return ""


def wake_quickly(listener: int) -> None:
    """Have the watched thread and its watcher share a core, where the system (6.6) can do that."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, SET_FLAGS, WAKE_ON_THIS_CORE)
