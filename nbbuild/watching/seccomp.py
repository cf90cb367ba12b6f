"""What nbbuild exchanges with Linux's seccomp: the filter, system calls by number, messages.

The filter sends the calls of `_TABLE`, made natively or by 32-bit programs, to the holder of the
listener, and lets all others pass untouched. The numbers are Linux's and never change.

The launcher loads this file by its path: it imports only the standard library.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final


@dataclass(frozen=True, slots=True)
class Call:
    """What a system call asks of paths, and which arguments hold them."""

    deed: str  # open, openat2, creat, stat, lstat, look, enter, list, mkdir, remove, rename, …
    paths: tuple[tuple[int, int], ...] = ()  # (the folder's descriptor or -1, the path)
    flags: int = -1  # the argument that holds flags, or a mode of access; -1: none


_ONE, _TWO, _AT, _ATS = ((-1, 0),), ((-1, 0), (-1, 1)), ((0, 1),), ((0, 1), (2, 3))

# By name: what the call does, then its numbers on x86-64, i386, arm64 and 32-bit ARM; "-" if none.
_TABLE: Final[tuple[tuple[str, Call, str], ...]] = (
    ("open", Call("open", _ONE, 1), "2 5 - 5"),
    ("openat", Call("open", _AT, 2), "257 295 56 322"),
    ("openat2", Call("openat2", _AT, 2), "437 437 437 437"),
    ("creat", Call("creat", _ONE), "85 8 - 8"),
    ("execve", Call("exec", _ONE), "59 11 221 11"),
    ("execveat", Call("exec", _AT), "322 358 281 387"),
    ("rename", Call("rename", _TWO), "82 38 - 38"),
    ("renameat", Call("rename", _ATS), "264 302 38 329"),
    ("renameat2", Call("rename", _ATS), "316 353 276 382"),
    ("link", Call("link", _TWO), "86 9 - 9"),
    ("linkat", Call("link", _ATS), "265 303 37 330"),
    ("symlink", Call("new", ((-1, 1),)), "88 83 - 83"),
    ("symlinkat", Call("new", ((1, 2),)), "266 304 36 331"),
    ("mknod", Call("new", _ONE), "133 14 - 14"),
    ("mknodat", Call("new", _AT), "259 297 33 324"),
    ("mkdir", Call("mkdir", _ONE), "83 39 - 39"),
    ("mkdirat", Call("mkdir", _AT), "258 296 34 323"),
    ("unlink", Call("remove", _ONE), "87 10 - 10"),
    ("rmdir", Call("remove", _ONE), "84 40 - 40"),
    ("unlinkat", Call("remove", _AT), "263 301 35 328"),
    ("truncate", Call("truncate", _ONE), "76 92 45 92"),
    ("truncate64", Call("truncate", _ONE), "- 193 - 193"),
    ("stat", Call("stat", _ONE), "4 106 - 106"),
    ("lstat", Call("lstat", _ONE), "6 107 - 107"),
    ("stat64", Call("stat", _ONE), "- 195 - 195"),
    ("lstat64", Call("lstat", _ONE), "- 196 - 196"),
    ("fstatat", Call("stat", _AT, 3), "262 300 79 327"),
    ("statx", Call("stat", _AT, 2), "332 383 291 397"),
    ("access", Call("access", _ONE, 1), "21 33 - 33"),
    ("faccessat", Call("access", _AT, 2), "269 307 48 334"),
    ("faccessat2", Call("access", _AT, 2), "439 439 439 439"),
    ("readlink", Call("lexists", _ONE), "89 85 - 85"),
    ("readlinkat", Call("lexists", _AT), "267 305 78 332"),
    ("chdir", Call("enter", _ONE), "80 12 49 12"),
    ("chroot", Call("enter", _ONE), "161 61 51 61"),
    ("chmod", Call("look", _ONE), "90 15 - 15"),
    ("fchmodat", Call("look", _AT), "268 306 53 333"),
    ("fchmodat2", Call("look", _AT), "452 452 452 452"),
    ("chown", Call("look", _ONE), "92 182 - 182"),
    ("lchown", Call("look", _ONE), "94 16 - 16"),
    ("fchownat", Call("look", _AT), "260 298 54 325"),
    ("chown32", Call("look", _ONE), "- 212 - 212"),
    ("lchown32", Call("look", _ONE), "- 198 - 198"),
    ("utime", Call("look", _ONE), "132 30 - 30"),
    ("utimes", Call("look", _ONE), "235 271 - 269"),
    ("futimesat", Call("look", _AT), "261 299 - 326"),
    ("utimensat", Call("look", _AT), "280 320 88 348"),
    ("statfs", Call("look", _ONE), "137 99 43 99"),
    ("statfs64", Call("look", _ONE), "- 268 - 266"),
    ("getxattr", Call("look", _ONE), "191 229 8 229"),
    ("lgetxattr", Call("look", _ONE), "192 230 9 230"),
    ("listxattr", Call("look", _ONE), "194 232 11 232"),
    ("llistxattr", Call("look", _ONE), "195 233 12 233"),
    ("getdents", Call("list"), "78 141 - 141"),
    ("getdents64", Call("list"), "217 220 61 217"),
    # These can open files past every filter.
    ("io_uring_setup", Call("unseen"), "425 425 425 425"),
    ("open_by_handle_at", Call("unseen"), "304 342 265 371"),
)

KNOWN: Final = -25186
"""The folder descriptor with which Python's tracer signals that it has recorded a call itself.

No such descriptor exists, and with an absolute path it means nothing. So a call that names it does
what it always does, and need not be looked at twice.
"""


LOOKS, LOOKED = "/nbbuild looks itself", "/nbbuild has looked"
"""Two paths: calls that the tracer's process makes between asking for each are the tracer's own."""


def _numbers(column: int) -> dict[int, Call]:
    listed = ((numbers.split()[column], call) for _, call, numbers in _TABLE)
    return {int(number): call for number, call in listed if number != "-"}


# By machine: the number of seccomp(2), then its numbers by the architecture of a call.
_MACHINES: Final = {
    "x86_64": (317, {0xC000003E: _numbers(0), 0x40000003: _numbers(1)}),
    "aarch64": (277, {0xC00000B7: _numbers(2), 0x40000028: _numbers(3)}),
}

RECEIVE: Final = 0xC0502100
SEND: Final = 0xC0182101
SET_FLAGS: Final = 0x40082104
GO_ON: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
TOGETHER: Final = 1  # SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6
NOTICE: Final = struct.Struct("=QIIiIQ6Q")  # id, thread, flags, number, architecture, -, arguments
ANSWER: Final = struct.Struct("=QqiI")  # id, value, error, flags

EMPTY_PATH: Final = 0x1000
"""The flag that makes `fstatat` with an empty path ask about the descriptor itself."""

FSTATAT: Final = 262
"""Its number on x86-64, where glibc 2.33 to 2.38 use it for every `fstat`."""

_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # their offsets in struct seccomp_data


def calls() -> dict[int, dict[int, Call]]:
    """Return the calls that the filter reports, by architecture and number."""
    return _MACHINES[os.uname().machine][1]


def program() -> bytes:
    """Return the filter for this machine, as classic BPF."""
    parts: list[bytes] = []
    for architecture, numbers in calls().items():
        # The calls that take a folder's descriptor come last, next to the check of it.
        plain = [number for number, call in numbers.items() if call.paths[:1] != _AT]
        at = [number for number, call in numbers.items() if call.paths[:1] == _AT]
        ends = [
            _instruction(_RETURN, _ALLOW),  # none of them
            _instruction(_LOAD, _FIRST),
            _instruction(_EQUAL, KNOWN & 0xFFFFFFFF, otherwise=1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _ASK),
        ]
        one = [_instruction(_LOAD, _NUMBER)]
        listed = [*((number, 4) for number in plain), *((number, 1) for number in at)]
        for left, (number, end) in zip(range(len(listed) - 1, -1, -1), listed, strict=True):
            one.append(_instruction(_EQUAL, number, then=left + end))
        one += ends
        parts.append(_instruction(_EQUAL, architecture, otherwise=len(one)))
        parts += one
    return b"".join([_instruction(_LOAD, _ARCHITECTURE), *parts, _instruction(_RETURN, _ALLOW)])


def passing(addresses: Iterable[int]) -> bytes:
    """Return what goes before `program()` to let pass each fstat whose empty path lies there.

    A filter cannot read a path, only compare its address. A C library has one empty text for all of
    these calls, and all processes forked from one zygote have it at the same address.
    """
    listed = sorted(addresses)
    if not listed or 0xC000003E not in calls():
        return b""
    checks = [
        part
        for address in listed
        for part in (
            _instruction(_LOAD, _FIRST + 8),
            _instruction(_EQUAL, address & 0xFFFFFFFF, otherwise=3),
            _instruction(_LOAD, _FIRST + 12),
            _instruction(_EQUAL, address >> 32, otherwise=1),
            _instruction(_RETURN, _ALLOW),
        )
    ]
    begin = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, 0xC000003E, otherwise=len(checks) + 4),
        _instruction(_LOAD, _NUMBER),
        _instruction(_EQUAL, FSTATAT, otherwise=len(checks) + 2),
        _instruction(_LOAD, _FIRST + 24),
        _instruction(_EQUAL, EMPTY_PATH, otherwise=len(checks)),
    ]
    return b"".join([*begin, *checks])


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def number() -> int:
    """Return the number of seccomp(2) on this machine."""
    return _MACHINES[os.uname().machine][0]


def unavailable() -> str:
    """Return why system calls cannot be watched here; "" if nothing is known to prevent it."""
    if sys.platform != "linux":
        return "system calls can be watched on Linux only"
    if os.uname().machine not in _MACHINES or sys.maxsize < 1 << 32:
        return f"nbbuild does not know the system calls of {os.uname().machine}"
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
