"""Watch, from outside, which files a kernel and all its descendants open, in any language.

How it works. Between fork and exec the launcher puts a seccomp filter on the kernel's process; all
that descends from it inherits that for good. A call of `seccomp.CALLS` then waits until the holder
of the *listener*, a thread of nbbuild, has read what is being opened and told the call to go on.
That call is then made as if nobody had looked: nothing is refused or altered.

The promises, and what each rests on:

* *Nobody waits for ever.* The thread serves before the process is started. The child passes the
  listener through a socket that the thread reads, by calls that the filter lets pass, and drops its
  own before it execs. A fault in here is kept, and the call goes on all the same. Should nbbuild be
  killed, the last listener closes: calls fail (ENOSYS), and the launcher ends the family anyway.
* *To the last descendant.* The listener tells when no process has the filter any more. `close`
  comes after the family's death, and does not wait for what would not die.
* *What it was then.* A path is looked at before the call goes on, so the stat is that of before.
* *Allowed.* A process may read the memory of its descendants, under Yama's usual scope too; that
  is why a thread of nbbuild does this, no helper beside the kernel.
* *Never the notebook's loss.* Without seccomp the kernel runs unwatched from here, and `Seen` says
  why. What cannot be looked into (a process that hides its memory, io_uring) is named in there.

What it does not see: existence tests (`stat` and its like, but the tracer in Python processes does)
and what others open on request, such as a database server. Setuid programs gain no rights under it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import select
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from nbbuild.kernels import seccomp

LIMIT: Final = 1_000_000
"""Records of one run; beyond, it is seen in part."""

NAMES: Final = 50_000
"""In one folder that is listed."""

CLOSE_PATIENCE = 5.0
"""Seconds that `close` waits for the last descendant."""

_LARGEST = 1 << 26  # bytes of a file that is looked into before it is written over
_LONGEST = 4096  # of a path, in bytes
_BYTECODE = (".pyc", ".pyo")
_NO_FILES = ("/proc/", "/sys/", "/dev/")
_BAD_ADDRESS = (errno.EIO, errno.EFAULT)  # the call itself will fail
_ENDED = (errno.ENOENT, errno.ESRCH)
_UNTAGGED = (1 << 56) - 1  # arm64 programs may keep a tag in the top byte of an address
_SIGNED = struct.Struct("=i")


@dataclass(slots=True)
class Seen:
    """What was seen from outside; times are seconds of the monotonic clock.

    Records are those of tracer.py, in order: [kind, time, path, stat or null, cell] for the kinds
    read, write, append, open, mkdir and remove, [kind, time, path, stat, names, cell] for list.
    """

    blind: str = ""  # why nothing could be seen; "" when it could
    missed: dict[str, None] = field(default_factory=dict)  # sentences on what was not
    records: list[tuple[int, list[Any]]] = field(default_factory=list)  # process id, record
    execs: list[tuple[int, float]] = field(default_factory=list)  # process id, when


class Watch:
    """Watches the kernels of one run; a context manager. `cell` is kept by whoever runs the cells.

    Cells count from 1 among those that run; 0 is before the first.
    """

    def __init__(self) -> None:
        self.seen = Seen(blind=seccomp.unavailable())
        self.cell = 0
        self._servers: list[_Server] = []

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def attach(self, *, private: str) -> socket.socket | None:
        """Begin to serve one more kernel, None when nothing can be seen here.

        The socket is the launcher's, which the caller closes when it has been passed on. What lies
        in the folder `private` is not told.
        """
        if self.seen.blind:
            return None
        server = _Server(self, private=f"{private}/")
        self._servers.append(server)
        return server.start()

    def close(self) -> None:
        """Stop, once the last descendant is gone. May be repeated."""
        for server in self._servers:
            server.stop()
        self._servers.clear()


class _Server:
    """Serves the notifications of one kernel, in a thread."""

    def __init__(self, watch: Watch, *, private: str) -> None:
        self._watch = watch
        self._seen = watch.seen
        self._private = private
        self._calls = seccomp.calls()
        self._first = True
        self._once: set[tuple[object, ...]] = set()
        self._absent: set[str] = set()
        self._processes: dict[int, int] = {}  # thread → process
        self._ours, self._theirs = socket.socketpair()
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="nbbuild-syscalls", daemon=True)

    def start(self) -> socket.socket:
        self._thread.start()
        return self._theirs

    def stop(self) -> None:
        # It ends by itself when the family is gone.
        self._theirs.close()
        self._thread.join(CLOSE_PATIENCE)
        os.close(self._stop)
        self._thread.join(CLOSE_PATIENCE)
        if not self._thread.is_alive():  # else a file system does not answer it
            os.close(self._stopped)

    def _run(self) -> None:
        with self._ours:
            listener = self._receive()
        if listener is None:
            return
        try:
            seccomp.wake_quickly(listener)
            self._serve(listener)
        finally:
            os.close(listener)

    def _receive(self) -> int | None:
        """Wait for the listener; None when there will be none."""
        poller = select.poll()
        poller.register(self._ours, select.POLLIN)
        poller.register(self._stopped, select.POLLIN)
        if not any(descriptor == self._ours.fileno() for descriptor, _ in poller.poll()):
            return None
        data, descriptors, _, _ = socket.recv_fds(
            self._ours, 4096, 1, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        )
        if descriptors:
            return descriptors[0]
        if data:
            self._seen.blind = f"the filter was refused ({data.decode(errors='replace')})"
        return None

    def _serve(self, listener: int) -> None:
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        poller.register(self._stopped, select.POLLIN)
        while True:
            for descriptor, event in poller.poll():
                if descriptor != listener or not event & select.POLLIN:
                    return
                self._answer(listener)

    def _answer(self, listener: int) -> None:
        """Take one notification, look at what it is about, and let the call go on."""
        notice = bytearray(seccomp.NOTICE.size)
        try:
            fcntl.ioctl(listener, seccomp.RECEIVE, notice)
        except OSError:
            return  # the thread was killed while it waited
        name, thread, _, number, architecture, _, *arguments = seccomp.NOTICE.unpack(notice)
        found: list[list[Any]] = []
        try:
            if len(self._seen.records) < LIMIT:
                found = self._look(thread, architecture, number, arguments)
            else:
                self._miss(f"more than {LIMIT} files were opened")
        except OSError as error:
            if error.errno not in (*_ENDED, *_BAD_ADDRESS):
                self._unreadable(thread, error)
        except Exception as error:  # noqa: BLE001, whoever waits must go on
            self._miss(f"a fault in nbbuild's watch over system calls: {error!r}")
        self._first = False
        # Before the call goes on: a thread that opens one file may be gone right after.
        process = self._process(thread) if found else 0
        answer = seccomp.ANSWER.pack(name, 0, 0, seccomp.GO_ON)
        try:
            fcntl.ioctl(listener, seccomp.SEND, answer)
        except OSError:
            return  # it died meanwhile: what was read may be somebody else's
        self._seen.records += ((process, record) for record in found)

    def _miss(self, sentence: str) -> None:
        self._seen.missed.setdefault(sentence)

    def _unreadable(self, thread: int, error: OSError) -> None:
        if self._first:
            self._seen.blind = f"the kernel cannot be looked into ({error.strerror})"
            return
        try:
            with open(f"/proc/{thread}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                name = file.read().strip()
        except OSError:
            name = "a program"
        self._miss(f"what '{name}' opened could not be seen ({error.strerror})")

    # What a call is about.

    def _look(
        self, thread: int, architecture: int, number: int, arguments: list[int]
    ) -> list[list[Any]]:
        call = self._calls[architecture][number]
        if call.deed == "unseen":
            self._miss("a program opened files in a way that cannot be watched (io_uring)")
            return []
        with _Memory(thread) as memory:
            raws = [memory.text(arguments[at]) for _, at in call.paths]
            flags = arguments[call.flags] & 0xFFFFFFFF
            if call.deed == "openat2":
                flags = memory.number(arguments[call.flags])
        now = time.monotonic()
        if call.deed == "exec":
            self._seen.execs.append((self._process(thread), now))
        paths = [
            _absolute(raw, thread, arguments[place] if place >= 0 else -1)
            for raw, (place, _) in zip(raws, call.paths, strict=True)
            if raw  # empty: the descriptor itself, which was opened before
        ]
        found: list[list[Any]] = []
        for path, deed in _deeds(call.deed, paths, flags):
            if path.startswith(_NO_FILES) or path.startswith(self._private):
                continue
            record = self._record(deed, path, thread, flags)
            if record is not None:
                more = [_content(path, record[2])] if deed in ("write", "append", "open") else []
                found.append([record[0], round(now, 6), *record[1:], self._watch.cell, *more])
        return found

    def _record(self, deed: str, path: str, thread: int, flags: int) -> list[Any] | None:
        """Return what has not been told of yet."""
        key: tuple[object, ...] = (deed, path)
        if path.endswith(".py") or (deed == "read" and flags & os.O_DIRECTORY):
            key = (*key, self._process(thread))  # what counts depends on who did it
        if key in self._once or path.endswith(_BYTECODE):
            return None
        look = _stat(path)
        if deed == "read":
            if look is None:
                if path in self._absent:
                    return None
                self._absent.add(path)
                return [deed, path, None]
            self._absent.discard(path)
            if look[0] == "d":
                self._once.add(key)
                return self._listing(path, look)
        self._once.add(key)
        return [deed, path, look]

    def _listing(self, path: str, look: list[Any]) -> list[Any] | None:
        try:
            names = sorted(os.listdir(path))  # noqa: PTH208, names are what is needed
        except OSError:
            return None
        if len(names) > NAMES:
            self._miss(f"a folder of more than {NAMES} names was listed: {path}")
            return None
        return ["list", path, look, names]

    def _process(self, thread: int) -> int:
        """Return the process of a thread."""
        process = self._processes.get(thread)
        if process is not None and os.path.exists(f"/proc/{process}/task/{thread}"):  # noqa: PTH110
            return process
        try:
            with open(f"/proc/{thread}/status", "rb") as file:  # noqa: PTH123
                text = file.read()
        except OSError:
            return process or thread
        self._processes[thread] = process = int(text.partition(b"\nTgid:")[2].split(None, 1)[0])
        return process


class _Memory:
    """Another process's memory."""

    def __init__(self, thread: int) -> None:
        self._descriptor = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> _Memory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def text(self, address: int) -> str:
        """Return the path at `address`; "" when there is none."""
        data = os.pread(self._descriptor, 256, address & _UNTAGGED)
        if b"\0" not in data:
            data = os.pread(self._descriptor, _LONGEST, address & _UNTAGGED)
        return os.fsdecode(data.partition(b"\0")[0])

    def number(self, address: int) -> int:
        """Return the 64-bit number at `address`."""
        return int.from_bytes(os.pread(self._descriptor, 8, address & _UNTAGGED), sys.byteorder)


def _deeds(deed: str, paths: list[str], flags: int) -> list[tuple[str, str]]:
    """Return (path, kind of record) for what a call does to each of its paths."""
    if deed in ("open", "openat2"):
        kind = _kind(flags)
        return [(path, kind) for path in paths] if kind else []
    if deed == "exec":
        return [(path, "read") for path in paths]
    if len(paths) == 2:
        source, target = paths
        moved = [(source, "remove")] if deed == "rename" else []
        return [(source, "read"), *moved, (target, "write")]
    return [(path, deed) for path in paths]


def _kind(flags: int) -> str:
    """Return what opening with `flags` comes to, "" when no content can be had."""
    access = flags & os.O_ACCMODE
    if flags & os.O_PATH or flags & os.O_TMPFILE == os.O_TMPFILE:
        return ""
    if access == os.O_RDONLY and not flags & os.O_TRUNC:
        return "read"
    if flags & os.O_TRUNC or flags & (os.O_CREAT | os.O_EXCL) == os.O_CREAT | os.O_EXCL:
        return "write"
    return "append" if access == os.O_WRONLY else "open"


def _absolute(raw: str, thread: int, folder: int) -> str:
    """Return an absolute path, symlinks left as they are but where `..` has to cross them."""
    if raw[:1] != "/":
        (descriptor,) = _SIGNED.unpack((folder & 0xFFFFFFFF).to_bytes(4, sys.byteorder))
        place = f"fd/{descriptor}" if descriptor >= 0 else "cwd"
        base = os.readlink(f"/proc/{thread}/{place}")  # noqa: PTH115
        raw = f"{base.rstrip('/')}/{raw}"
    if "/." not in raw and "//" not in raw and raw[-1] != "/":
        return raw
    done = ""
    for part in raw.split("/"):
        if part == "..":
            done = os.path.realpath(done or "/").rpartition("/")[0]
        elif part not in ("", "."):
            done += "/" + part
    return done or "/"


def _stat(path: str) -> list[Any] | None:
    """Return the stat of a record: [type, size, mtime_ns, ctime_ns, inode]."""
    with contextlib.suppress(OSError, ValueError):
        return _shape(os.stat(path))  # noqa: PTH116
    with contextlib.suppress(OSError, ValueError):
        return ["l", *_shape(os.lstat(path))[1:]]
    return None


def _content(path: str, look: list[Any] | None) -> str:
    """Return a digest of a file that is about to be written over; "" where it is not known."""
    if look is None or look[0] != "f" or look[1] > _LARGEST:
        return ""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return f"blake2b:{hashlib.blake2b(file.read()).hexdigest()}"
    except OSError:
        return ""


def _shape(found: os.stat_result) -> list[Any]:
    mode = found.st_mode & 0o170000
    kind = {0o100000: "f", 0o040000: "d"}.get(mode, "o")
    return [kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
