"""Watch, from outside, what a kernel and all its descendants ask of paths, in any language.

How it works. When a kernel's process begins, it gets a seccomp filter, which all its descendants
inherit for good. A call of `seccomp._TABLE` then waits until the holder of the *listener*, the
launcher, has read what is being asked and told the call to go on. The call is then made as if
nobody had looked: nothing is refused or altered.

The promises, and what each rests on:

* *Nobody waits for ever.* The launcher has one thread and one loop, which does nothing slow while
  kernels run. A fault in here is recorded, and the call goes on all the same. If the launcher is
  killed, its listeners close, and the kernels die with it.
* *To the last descendant.* A listener reports when no process has its filter any more.
* *What it was then.* A path is looked at before the call goes on, so the stat is the one before the
  call. A file that is about to be overwritten is digested, if no larger than `looking.LARGEST`.
* *Allowed.* A process may read the memory of its descendants, even with Yama's usual setting. So
  the launcher serves, because all kernels descend from it.
* *Never the notebook's loss.* Without seccomp the kernel is not watched from here, and `blind` says
  why. What cannot be seen (a process that hides its memory, io_uring) is named in `missed`.
* *Cheap.* Calls that Python's own tracer answers and records do not come here: see seccomp.KNOWN.
  Nor does an fstat of a forked kernel, once it is known where its C library keeps the empty path
  that glibc passes: `empty` collects those places. Linux 6.6 and later keep a kernel on the core of
  the thread that answers it, so that an answer takes less than half the time.

It does not see what others open on request, such as a database server. Where the filter needs "no
new privileges", setuid programs gain no rights under it; `rights` names the first one.

The launcher loads this file by its path: it imports only the standard library. Records are those of
tracer.py, without a cell: [kind, time, path, stat or null], and more for some kinds. Times are
seconds of the monotonic clock.
"""

# Paths are strings here, and many: this is the most expensive loop of a watched run.
# ruff: noqa: PTH110, PTH115, PTH116, PTH123

from __future__ import annotations

import contextlib
import errno
import os
import select
import struct
import sys
import time

if sys.platform != "win32":
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

LIMIT: Final = 1_000_000
"""The most records of one kernel; beyond that, it is only partly seen."""

NAMES: Final = 50_000
"""In one folder that is listed."""

_LONGEST = 4096  # of a path, in bytes
_BYTECODE = (".pyc", ".pyo")
_NO_FILES = ("/proc/", "/sys/", "/dev/")
_SYSTEM = (
    *_NO_FILES,
    *(
        "/bin/",
        "/boot/",
        "/etc/",
        "/lib/",
        "/lib32/",
        "/lib64/",
        "/run/",
        "/sbin/",
        "/usr/",
        "/var/",
    ),
)
_INTERPRETER = "/lib/python3"
_BAD_ADDRESS = (errno.EIO, errno.EFAULT)  # the call itself will fail
_ENDED = (errno.ENOENT, errno.ESRCH)
_UNTAGGED = (1 << 56) - 1  # arm64 programs may keep a tag in the top byte of an address
_MEMORIES = 64  # how many are held open at once
_EMPTY = 16  # places of empty paths: two for each zygote
_RIGHTS = 0o6000  # setuid, setgid
_AGAIN = ("stat", "lstat", "lexists", "access")  # calls that change nothing and may be repeated


class Watcher:
    """Answers for one kernel's filter; `told` is the result.

    `seccomp` and `looking` are the modules of these names. Paths in the folder `private` are not
    recorded, nor those of the system or an interpreter, unless the kernel's working folder `cwd`
    lies there. `empty` collects the places where a kernel `forked` from a zygote has empty paths.
    """

    def __init__(
        self,
        listener: int,
        *,
        seccomp: Any,
        looking: Any,
        private: str,
        cwd: str,
        bound: bool,
        forked: int,
        empty: set[int],
    ) -> None:
        self.listener = listener
        self.closed = False
        self._nobody_asks = (
            private,
            *(folder for folder in _SYSTEM if not f"{cwd}/".startswith(folder)),
        )
        self._bound = bound  # whether "no new privileges" binds it
        self._forked = forked
        self._empty_paths = empty
        self._seccomp = seccomp
        self._looking = looking
        self._calls: Mapping[int, Mapping[int, Any]] = seccomp.calls()
        self._notice: struct.Struct = seccomp.NOTICE
        self._buffer = bytearray(self._notice.size)
        self._empty = bytes(self._notice.size)
        self._poller = select.poll()
        self._poller.register(listener, select.POLLIN)
        with contextlib.suppress(OSError):  # Linux before 6.6
            fcntl.ioctl(listener, seccomp.SET_FLAGS, seccomp.TOGETHER)
        self._first = True
        self._blind = ""  # why nothing can be seen; "" when it can
        self._missed: dict[str, None] = {}  # sentences on what was not seen
        self._rights = ""  # the first program denied the extra rights it would have had
        self._words = (seccomp.LOOKS, seccomp.LOOKED)
        self._own: set[int] = set()  # processes whose tracers look themselves
        self._traced: set[int] = set()  # processes that have a tracer
        self._records: list[tuple[int, list[Any]]] = []  # process id, record
        self._execs: list[tuple[int, float, str]] = []  # process id, when, program
        self._once: set[tuple[object, ...]] = set()
        self._told: set[tuple[object, ...]] = set()  # calls that bring nothing new when repeated
        self._opened: dict[tuple[str, int], int] = {}  # how often a process opened a folder
        self._absent: set[tuple[str, int]] = set()
        self._processes: dict[int, int] = {}  # thread → process
        self._memories: dict[int, int] = {}  # thread → descriptor of its memory

    @property
    def told(self) -> dict[str, Any]:
        """What was seen, as a JSON object."""
        return {
            "blind": self._blind,
            "missed": list(self._missed),
            "rights": self._rights,
            "records": self._records,
            "execs": self._execs,
            "opened": [[pid, path, count] for (path, pid), count in self._opened.items()],
        }

    def close(self) -> None:
        """Stop serving; calls of any process that still has the filter will fail."""
        self.closed = True
        os.close(self.listener)
        self._forget_memories()

    def serve(self) -> bool:
        """Answer what is waiting; return False when no process has the filter any more."""
        while True:
            ready = self._poller.poll(0)
            if not ready:
                return True
            event = ready[0][1]
            if event & select.POLLIN:
                self._answer()
            else:
                # POLLERR: a signal came, and Linux could not look.
                return not event & select.POLLHUP

    def _answer(self) -> None:
        """Take one notification, look at what it asks about, and let the call go on."""
        notice = self._buffer
        notice[:] = self._empty
        try:
            fcntl.ioctl(self.listener, self._seccomp.RECEIVE, notice)
        except OSError:
            return  # the thread was killed while it waited
        name, thread, _, number, architecture, _, *arguments = self._notice.unpack(notice)
        found: list[list[Any]] = []
        process = 0
        try:
            if len(self._records) < LIMIT:
                found = self._look(thread, architecture, number, arguments)
                # Before the call goes on: a thread that opens one file may be gone right after.
                process = self._process(thread) if found else 0
            else:
                self._miss(f"it asked for more than {LIMIT} files")
        except OSError as error:
            if error.errno not in (*_ENDED, *_BAD_ADDRESS):
                self._unreadable(thread, error)
        except Exception as error:  # noqa: BLE001, the waiting call must go on
            self._miss(f"a fault in nbbuild's watch over system calls: {error!r}")
        self._first = False
        answer = self._seccomp.ANSWER.pack(name, 0, 0, self._seccomp.GO_ON)
        try:
            fcntl.ioctl(self.listener, self._seccomp.SEND, answer)
        except OSError:
            return  # it has died: what was read may be another process's
        if found:
            self._records += [(process, record) for record in found]

    def _miss(self, sentence: str) -> None:
        self._missed.setdefault(sentence)

    def _unreadable(self, thread: int, error: OSError) -> None:
        if self._first:
            self._blind = f"the kernel cannot be looked into ({error.strerror})"
            return
        try:
            with open(f"/proc/{thread}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
        except OSError:
            name = "a program"
        self._miss(f"what '{name}' asked for could not be seen ({error.strerror})")

    # What a call asks about.

    def _look(
        self, thread: int, architecture: int, number: int, arguments: list[int]
    ) -> list[list[Any]]:
        call = self._calls[architecture][number]
        deed: str = call.deed
        if deed == "unseen":
            self._miss("a program opened files in a way that cannot be watched (io_uring)")
            return []
        now = round(time.monotonic(), 6)
        if deed == "list":
            record = self._listing(thread, arguments[0] & 0xFFFFFFFF)
            return [] if record is None else [[record[0], now, *record[1:]]]
        flags = arguments[call.flags] & 0xFFFFFFFF if call.flags >= 0 else 0
        told, paths = self._paths(call, thread, number, arguments, flags)
        if not paths or (told and told in self._told) or self._is_the_tracer(thread):
            return []
        if deed == "openat2":
            deed, flags = "open", self._number(thread, arguments[2])
        elif deed == "creat":
            deed, flags = "open", os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        if deed == "exec":
            process = self._process(thread)
            self._execs.append((process, now, os.path.basename(paths[0])))  # noqa: PTH119
            self._forget_memories()
            self._note_rights(paths[0])
        paths = ["" if self._is_nobody_s(path) else path for path in paths]
        if not any(paths):
            self._knows(told)
            return []
        found: list[list[Any]] = []
        for kind, path in self._looking.questions(deed, paths, flags):
            record = self._record(kind, path, thread) if path else None
            if record is not None:
                found.append([record[0], now, *record[1:]])
        if deed in _AGAIN and len(found) == 1 and _stays(found[0]):
            self._knows(told)
        return found

    def _knows(self, told: tuple[object, ...]) -> None:
        if told:  # () stands for all calls that cannot be told apart
            self._told.add(told)

    def _paths(
        self, call: Any, thread: int, number: int, arguments: list[int], flags: int
    ) -> tuple[tuple[object, ...], list[str]]:
        """Return what tells this call from others, or (), and its paths, absolute."""
        paths: list[str] = []
        told: tuple[object, ...] = ()
        for place, at in call.paths:
            raw = self._text(thread, arguments[at])
            if not raw:  # the descriptor itself, which was opened before
                self._learn(number, flags, thread, arguments[at])
                return told, []
            if raw[0] == "/":
                told = (thread, number, flags, raw)
                if raw in self._words:
                    self._hear(raw, self._process(thread))
                    return told, []
            paths.append(
                self._looking.absolute(raw, thread, arguments[place] if place >= 0 else -100)
            )
        return (told if len(paths) == 1 else ()), paths

    def _learn(self, number: int, flags: int, thread: int, address: int) -> None:
        """Remember where the empty path of an fstat lies, for the filters of later kernels."""
        if (
            (number, flags) == (self._seccomp.FSTATAT, self._seccomp.EMPTY_PATH)
            and address
            and len(self._empty_paths) < _EMPTY
            and address not in self._empty_paths
            and self._process(thread) == self._forked
        ):
            self._empty_paths.add(address)

    def _is_the_tracer(self, thread: int) -> bool:
        return bool(self._own) and self._process(thread) in self._own

    def _hear(self, word: str, process: int) -> None:
        """Note that a tracer begins to look for itself, or has finished."""
        if word == self._seccomp.LOOKS:
            self._own.add(process)
            return
        self._own.discard(process)
        if process not in self._traced:
            # The notebook may ask again what its interpreter asked when it started.
            self._traced.add(process)
            self._once.clear()
            self._told.clear()
            self._absent.clear()
            self._opened = {k: count for k, count in self._opened.items() if k[1] != process}

    def _is_nobody_s(self, path: str) -> bool:
        """Whether a path never counts (scope.py looks at the others more closely)."""
        return path.startswith(self._nobody_asks) or _INTERPRETER in path

    def _record(self, kind: str, path: str, thread: int) -> list[Any] | None:  # noqa: PLR0911
        """Return what is not recorded yet."""
        if path.endswith(_BYTECODE):
            return None
        process = self._process(thread)  # what counts depends on who did it
        key = (kind, path, process)
        if key in self._once:
            return None
        own = kind in ("lstat", "lexists")
        look = self._looking.stat(path, follow=not own)
        if look is None and kind not in ("write", "mkdir"):
            # A program may ask again and again until the path exists.
            if (path, process) in self._absent:
                return None
            self._absent.add((path, process))
            return [kind, path, None]
        self._absent.discard((path, process))
        if kind == "read" and look is not None and look[0] == "d":
            # The tracer records the folders that Python opens to list them, so count them.
            count = self._opened.get((path, process), 0)
            self._opened[path, process] = count + 1
            return None if count else ["enter", path, look]
        self._once.add(key)
        if kind in ("write", "append", "open"):
            return [kind, path, look, 0, self._looking.digest(path, look)]
        return [kind, path, look]

    def _listing(self, thread: int, descriptor: int) -> list[Any] | None:
        """Return the names in a folder that is being read; once for each process."""
        if self._is_the_tracer(thread):
            return None
        path = os.readlink(f"/proc/{thread}/fd/{descriptor}")
        key = ("list", path, self._process(thread))
        if key in self._once or self._is_nobody_s(f"{path}/"):
            return None
        look = self._looking.stat(path, follow=True)
        if look is None:
            return None
        self._once.add(key)
        names = self._looking.listed(path)
        if names is not None and len(names) > NAMES:
            self._miss(f"a folder of more than {NAMES} names was listed: {path}")
            names = None
        return ["list", path, look, names]

    def _note_rights(self, path: str) -> None:
        """Record a program that has more rights than its user, but does not get them here."""
        if not self._bound or self._rights or not path:
            return
        try:
            mode = os.stat(path).st_mode
            capable = "security.capability" in os.listxattr(path)
        except OSError:
            return
        if mode & _RIGHTS or capable:
            self._rights = os.path.basename(path)  # noqa: PTH119

    def _process(self, thread: int) -> int:
        """Return the process that a thread belongs to."""
        process = self._processes.get(thread)
        if process is not None and os.path.exists(f"/proc/{process}/task/{thread}"):
            return process
        try:
            with open(f"/proc/{thread}/status", "rb") as file:
                text = file.read()
        except OSError:
            return process or thread
        self._processes[thread] = process = int(text.partition(b"\nTgid:")[2].split(None, 1)[0])
        return process

    # The memory of the process that asks.

    def _text(self, thread: int, address: int) -> str:
        """Return the path at `address`; "" if there is none."""
        if not address:
            return ""
        data = self._read(thread, 256, address)
        if b"\0" not in data:
            data = self._read(thread, _LONGEST, address)
        return os.fsdecode(data.partition(b"\0")[0])

    def _number(self, thread: int, address: int) -> int:
        """Return the 64-bit number at `address`."""
        return int.from_bytes(self._read(thread, 8, address), sys.byteorder)

    def _read(self, thread: int, size: int, address: int) -> bytes:
        """Read another process's memory; an open descriptor of it is useless after an exec."""
        for fresh in (False, True):
            memory = self._memories.get(thread)
            if memory is None or fresh:
                if memory is not None:
                    os.close(self._memories.pop(thread))
                elif len(self._memories) >= _MEMORIES:
                    self._forget_memories()
                memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
                self._memories[thread] = memory
            try:
                data = os.pread(memory, size, address & _UNTAGGED)
            except OSError:
                if fresh:
                    raise
                continue
            if data:
                return data
        return b""

    def _forget_memories(self) -> None:
        for memory in self._memories.values():
            os.close(memory)
        self._memories.clear()


def _stays(record: list[Any]) -> bool:
    """Whether repeating the call would bring no other record, whoever makes it."""
    look = record[3]
    return look is not None and look[0] == "f" and not record[2].endswith(".py")
