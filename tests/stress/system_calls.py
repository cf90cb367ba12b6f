"""Stand between a process and the disk: see each change that it asks for, and decide about it.

A forked child gets a seccomp filter. Each of its calls that changes a file below one folder then
waits until its parent has decided: it goes on, fails with an errno, or the child is killed before
it, or in the middle of a write. So everything is seen that reaches the disk, SQLite's part, too.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from nbbuild.watching import seccomp

# What a call does, and its number on x86-64 and arm64; 0: there is none.
_CALLS = {
    "write": (1, 64),
    "pwrite": (18, 68),
    "writev": (20, 66),
    "pwritev": (296, 70),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "copy_file_range": (326, 285),
    "sendfile": (40, 71),
    "fchmod": (91, 52),
    "rename": (82, 0),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "unlink": (87, 0),
    "rmdir": (84, 0),
    "unlinkat": (263, 35),
    "mkdir": (83, 0),
    "mkdirat": (258, 34),
    "link": (86, 0),
    "linkat": (265, 37),
    "symlink": (88, 0),
    "symlinkat": (266, 36),
    "chmod": (90, 0),
    "fchmodat": (268, 53),
    "utimensat": (280, 88),
    "open": (2, 0),
    "openat": (257, 56),
}
_BY_DESCRIPTOR = {
    "write",
    "pwrite",
    "writev",
    "pwritev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "fchmod",
}
# Where the paths are: (the argument with the folder's descriptor or -1, that with the path).
_PATHS = {
    "rename": ((-1, 0), (-1, 1)),
    "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)),
    "unlink": ((-1, 0),),
    "rmdir": ((-1, 0),),
    "unlinkat": ((0, 1),),
    "mkdir": ((-1, 0),),
    "mkdirat": ((0, 1),),
    "link": ((-1, 0), (-1, 1)),
    "linkat": ((0, 1), (2, 3)),
    "symlink": ((-1, 1),),
    "symlinkat": ((1, 2),),
    "chmod": ((-1, 0),),
    "fchmodat": ((0, 1),),
    "utimensat": ((0, 1),),
    "open": ((-1, 0),),
    "openat": ((0, 1),),
}
_OPENS = {"open": 1, "openat": 2}  # the argument that holds the flags
_CHANGES = os.O_CREAT | os.O_TRUNC

_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _HAS, _RETURN = 0x20, 0x15, 0x45, 0x06
_NEW_LISTENER = 8
_NO_NEW_PRIVILEGES = 38
_CWD = -100

OVER = 0
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Change:
    """One call that changes something, or opens it, before it happens."""

    deed: str
    paths: tuple[str, ...]
    flags: int = 0
    data: bytes = b""
    offset: int = 0


GO_ON, KILL, TEAR = "go on", "kill", "kill in the middle of the write"

Decide = Callable[[Change], "str | int"]
"""What becomes of a change: GO_ON, KILL, TEAR, or the errno with which it fails."""


def unavailable() -> str:
    """Return why nothing can be seen here, "" if it can."""
    return seccomp.unavailable()


def under(
    folder: object, story: Callable[[], object], decide: Decide, *, opens: bool = False
) -> int:
    """Run `story` in a forked process; `decide` about each of its changes below `folder`.

    With `opens`, also about each file that is opened, for whatever purpose. Returns how the process
    ended, as os.waitstatus_to_exitcode.
    """
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            ours.close()
            listener = _listen(opens=opens)
            theirs.sendmsg(
                [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))]
            )
            os.close(listener)
            theirs.close()
            story()
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never return into pytest
            traceback.print_exc()
        finally:
            os._exit(status)
    theirs.close()
    with ours:
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    listener = array.array("i", ancillary[0][2])[0]
    try:
        _Holder(listener, child, os.path.realpath(str(folder)), decide).serve()
    finally:
        os.close(listener)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _listen(*, opens: bool) -> int:
    column = 0 if os.uname().machine == "x86_64" else 1
    numbers = {name: both[column] for name, both in _CALLS.items() if both[column]}
    code = [_instruction(_LOAD, 0)]
    for name, at in _OPENS.items():
        if name in numbers and not opens:
            code += [
                _instruction(_EQUAL, numbers[name], otherwise=4),
                _instruction(_LOAD, 16 + 8 * at),
                _instruction(_HAS, _CHANGES, otherwise=1),
                _instruction(_RETURN, _ASK),
                _instruction(_RETURN, _ALLOW),
            ]
    plain = [number for name, number in numbers.items() if opens or name not in _OPENS]
    for left, number in zip(range(len(plain) - 1, -1, -1), plain, strict=True):
        code.append(_instruction(_EQUAL, number, then=left + 1))
    code += [_instruction(_RETURN, _ALLOW), _instruction(_RETURN, _ASK)]
    text = b"".join(code)
    buffer = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    listener: int = libc.syscall(
        seccomp.number(), 1, _NEW_LISTENER, ctypes.create_string_buffer(program, len(program))
    )
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


class _Holder:
    """Answers for one child."""

    def __init__(self, listener: int, child: int, folder: str, decide: Decide) -> None:
        self._listener = listener
        self._child = child
        self._folder = f"{folder}/"
        self._decide = decide
        column = 0 if os.uname().machine == "x86_64" else 1
        self._names = {both[column]: name for name, both in _CALLS.items() if both[column]}
        self._memory = os.open(f"/proc/{child}/mem", os.O_RDONLY)

    def serve(self) -> None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        try:
            while True:
                ((_, event),) = poller.poll()
                if not event & select.POLLIN:
                    return
                self._answer()
        finally:
            os.close(self._memory)

    def _answer(self) -> None:
        notice = bytearray(seccomp.NOTICE.size)
        try:
            fcntl.ioctl(self._listener, seccomp.RECEIVE, notice)
        except OSError:
            return  # the child was killed while it waited
        name, _, _, number, _, _, *arguments = seccomp.NOTICE.unpack(notice)
        change = self._change(self._names[number], arguments)
        answer = GO_ON if change is None else self._decide(change)
        if answer in (KILL, TEAR):
            if answer == TEAR and change is not None and change.data:
                self._half(arguments[0], change)
            os.kill(self._child, signal.SIGKILL)
            return
        failed = -answer if isinstance(answer, int) else 0
        flags = seccomp.GO_ON if answer == GO_ON else 0
        try:
            fcntl.ioctl(self._listener, seccomp.SEND, seccomp.ANSWER.pack(name, 0, failed, flags))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _change(self, deed: str, arguments: list[int]) -> Change | None:
        """Return what a call asks for; None if it does not concern the folder."""
        if deed in _BY_DESCRIPTOR:
            path = self._opened(arguments[0])
            if not path.startswith(self._folder):
                return None
            data, offset = self._written(deed, arguments)
            return Change(deed, (path,), data=data, offset=offset)
        if deed not in _PATHS:
            raise AssertionError(f"nbbuild now uses {deed}, which this bench cannot follow")
        paths = tuple(self._path(arguments, *where) for where in _PATHS[deed])
        if not any(path.startswith(self._folder) for path in paths):
            return None
        flags = arguments[_OPENS[deed]] if deed in _OPENS else 0
        if deed == "unlinkat" and arguments[2]:  # AT_REMOVEDIR
            deed = "rmdir"
        deed = {"openat": "open", "unlinkat": "unlink"}.get(deed, deed)
        return Change(deed.removesuffix("at2").removesuffix("at"), paths, flags=flags & 0xFFFFFFFF)

    def _written(self, deed: str, arguments: list[int]) -> tuple[bytes, int]:
        if deed == "ftruncate":
            return b"", arguments[1]
        if deed in ("write", "pwrite"):
            data = os.pread(self._memory, arguments[2], arguments[1]) if arguments[2] else b""
            return data, arguments[3] if deed == "pwrite" else self._position(arguments[0])
        if deed in ("writev", "pwritev"):
            raw = os.pread(self._memory, 16 * arguments[2], arguments[1])
            parts = struct.iter_unpack("=QQ", raw)
            data = b"".join(os.pread(self._memory, size, at) for at, size in parts if size)
            return data, arguments[3] if deed == "pwritev" else self._position(arguments[0])
        return b"", 0

    def _position(self, descriptor: int) -> int:
        with open(f"/proc/{self._child}/fdinfo/{descriptor}", encoding="ascii") as file:
            found = dict(line.split(":", 1) for line in file if ":" in line)
        if int(found["flags"], 8) & os.O_APPEND:
            return os.stat(f"/proc/{self._child}/fd/{descriptor}").st_size
        return int(found["pos"])

    def _half(self, descriptor: int, change: Change) -> None:
        with open(f"/proc/{self._child}/fd/{descriptor}", "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), change.data[: len(change.data) // 2], change.offset)

    def _opened(self, descriptor: int) -> str:
        try:
            return os.readlink(f"/proc/{self._child}/fd/{descriptor}")
        except OSError:
            return ""

    def _path(self, arguments: list[int], place: int, at: int) -> str:
        address, data = arguments[at], b""
        while b"\0" not in data and len(data) < 4096:
            size = 256 - (address + len(data)) % 256  # never past the end of a page
            data += os.pread(self._memory, size, address + len(data))
        path = os.fsdecode(data.partition(b"\0")[0])
        if path.startswith("/"):
            return os.path.normpath(path)
        folder = ctypes.c_int32(arguments[place] & 0xFFFFFFFF).value if place >= 0 else _CWD
        where = "cwd" if folder == _CWD else f"fd/{folder}"
        return os.path.normpath(os.path.join(os.readlink(f"/proc/{self._child}/{where}"), path))
