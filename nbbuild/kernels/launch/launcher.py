"""Parent the kernels of one build, so that none of them, and nothing they start, outlives it.

A kernel that holds the GIL cannot notice that its build is gone, and what a notebook starts with
`setsid` or a double fork escapes every process group. So kernels are not children of nbbuild: one
small helper process, this file run as a script, starts them all and buries them all.

The promises, and what each rests on:

* nbbuild ends, even by SIGKILL → its end of the *lifeline*, a socket, closes; the helper kills
  every family and exits. If a process that nbbuild forked holds the lifeline open, the helper
  still sees its parent end through a pidfd.
* the helper itself is killed → each kernel has PR_SET_PDEATHSIG. That signal comes when the
  *thread* that forked ends, so the helper has only one thread, and nbbuild's threads never fork.
* the helper is stopped (SIGSTOP) → nbbuild makes it go on before it waits for it, and
  PR_SET_PDEATHSIG does so when nbbuild is gone.
* Ctrl-C ends nothing here: the helper has a session of its own and ignores SIGINT.
* a family is a kernel's whole process group and session, all its descendants, every process with
  its marker in the environment, and every orphan that the helper received as a *subreaper*. An
  orphan without marker and session may belong to any kernel that ran when it was first seen: it
  dies when all of those have ended.
* a kernel stays a zombie until its family is dead, so that no other process can get its process
  id.
* the tokens that a build has from make's jobserver are held here (keeper.py), and go back once the
  kernels that run on them are dead.

The protocol. The lifeline carries one byte "k" per kernel, with a socket for that kernel alone; a
byte "t" comes with a socket to the keeper of tokens. On a kernel's socket nbbuild writes the
request: 4 bytes of length, then JSON (id, argv, env, cwd, folder, filter, seen, way, serves); the
first bytes carry the descriptors for stdin, stdout and stderr. With a filter the kernel is watched
(watching/syscalls.py), and the file `seen` holds what was seen once the family is dead. Afterwards
"i" interrupts the kernel; end of file asks to kill the family. The helper answers in lines of JSON:

    {"pid": 123, "cold": ""}   once the program runs, or {"error": "…"} when it cannot
    {"status": 0}     at once when the kernel ended; negative is a signal, as in subprocess
    {"gone": [], "peak": 7, "cpu": 0.5}   the family is dead, else the process ids that did not
                      die; the most memory that the kernel, or a child of it that it waited for,
                      had, in bytes; the seconds of CPU that they took

There are two ways to start a process. "cold" is fork and exec. For "warm", a fourth descriptor is a
channel to a process that a zygote (zygote.py) forks in the meantime, and that has become the
helper's own child by the time it speaks. If that fails, the helper starts the process cold, and
`cold` says why. A process that `serves` is itself a zygote: it lives as long as the build, so no
orphan is attributed to it.

Linux provides all of this. On other systems this file starts nothing; see ways.py.

The file runs under `python -I -S`: it imports only the standard library, and files of nbbuild by
their paths.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

MARKER = "NBBUILD_KERNEL"
"""The variable that names a process's kernels: "id", or "outer:inner" when nested."""

LENGTH = struct.Struct("!I")

PATIENCE = 5.0
"""Seconds after which the helper stops waiting for a family to die and reports it."""

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_REFUSED = "the filter was refused ({})"
_CLOEXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_AGAIN = 0.005  # seconds between two attempts to kill a family
_ALL_GIVEN_UP = 1  # exit status: something did not die


# -- the process table -------------------------------------------------------------------------


@dataclass(frozen=True)
class TableLine:
    """One line of the process table: the fields that show kinship."""

    pid: int
    parent: int
    group: int
    session: int
    born: int  # clock ticks since boot: with the pid, it names a process for good
    kernels: frozenset[str]  # the ids in its marker


def process_table() -> dict[int, TableLine]:
    """Return this user's living processes by process id; {} without /proc."""
    table: dict[int, TableLine] = {}
    user = os.getuid()
    try:
        names = os.listdir(_PROC)  # noqa: PTH208, one call for thousands of names
    except FileNotFoundError:
        return table
    for name in names:
        if not name.isdigit():
            continue
        folder = _PROC / name
        with contextlib.suppress(OSError):  # it ended while we looked
            if folder.stat().st_uid != user:
                continue
            # The program's name, in brackets, may hold spaces and brackets.
            words = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if words[0] not in (b"Z", b"X"):
                parent, group, session, born = (int(words[index]) for index in (1, 2, 3, 19))
                kernels = _kernels_of(folder)
                table[int(name)] = TableLine(int(name), parent, group, session, born, kernels)
    return table


def _kernels_of(process: Path) -> frozenset[str]:
    """Return the ids in a process's marker, as far as we may read it."""
    try:
        environ = b"\0" + (process / "environ").read_bytes()
    except OSError:
        return frozenset()
    value = environ.partition(f"\0{MARKER}=".encode())[2].partition(b"\0")[0]
    return frozenset(value.decode(errors="replace").split(":")) if value else frozenset()


def family(
    table: Mapping[int, TableLine], *, pid: int, kernel: str, strays: Iterable[int] = ()
) -> list[int]:
    """Return the processes of `table` that belong to the kernel with this process id and id.

    `strays` are process ids already known to belong to it.
    """
    members = {pid, *strays}
    for process in table.values():
        if pid in (process.group, process.session) or kernel in process.kernels:
            members.add(process.pid)
    grown = True
    while grown:
        children = {p.pid for p in table.values() if p.parent in members} - members
        members |= children
        grown = bool(children)
    return [member for member in members if member in table]


def strike(pid: int, members: Iterable[int]) -> None:
    """Kill the process group `pid` and each of `members`."""
    # macOS refuses to signal a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for member in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member, signal.SIGKILL)


def remove_folder(folder: str) -> None:
    """Remove a kernel's private folder, which has no subfolders, as far as it exists.

    It lies in one of nbbuild's folders (temporary.py), which is removed once nothing else is in it.
    """
    if not folder:
        return
    with contextlib.suppress(OSError):
        for entry in Path(folder).iterdir():
            entry.unlink(missing_ok=True)
        Path(folder).rmdir()
        home = Path(folder).parent
        if os.listdir(home) == ["owner"]:  # noqa: PTH208
            (home / "owner").unlink()
            home.rmdir()


# -- the helper --------------------------------------------------------------------------------


@dataclass(eq=False)
class _Kernel:
    """What the helper knows of one kernel; `pid` is 0 until it is forked."""

    connection: socket.socket
    heard: bytearray = field(default_factory=bytearray)
    stdio: list[int] = field(default_factory=list)
    request: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    folder: str = ""
    pid: int = 0
    report: int = -1  # the end of a pipe that reports a failed exec
    channel: socket.socket | None = None  # to a warm kernel that is not running yet
    said: bytes = b""  # what came on the channel
    cold: str = ""  # why it could not be started warm
    listening: socket.socket | None = None  # its filter's listener arrives here
    watcher: Any = None  # a watching.syscalls.Watcher, once there is one
    blind: str = ""  # why it cannot be watched
    status: int | None = None
    told: bool = False  # whether the status was reported
    ending_since: float | None = None


class Helper:
    """The single-threaded loop: sockets, pipes and SIGCHLD in, signals and reports out."""

    def __init__(self, lifeline: socket.socket) -> None:
        self._lifeline = lifeline
        self._kernels: list[_Kernel] = []
        self._strays: dict[tuple[int, int], set[str]] = {}  # (pid, born) → kernels that ran then
        self._parent = -1
        self._closing = False
        self._given_up = False
        self._keepers: list[Any] = []  # keeper.Keeper
        self._selector = selectors.DefaultSelector()
        self._listeners: set[int] = set()
        self._empty: set[int] = set()  # where zygotes' kernels keep the empty path of an fstat
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        if self._libc is not None:
            self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            # For one that is stopped. It may come each time that a thread of nbbuild ends.
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: self._close())
        signal.signal(signal.SIGHUP, lambda number, frame: self._close())
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)

    def serve(self) -> int:
        """Serve until the lifeline ends and every family is dead; return the exit status."""
        self._on(self._lifeline, self._admit)
        self._on(self._wake, lambda: os.read(self._wake, 4096))
        with contextlib.suppress(AttributeError, OSError):  # missing on macOS and before Linux 5.3
            self._parent = os.pidfd_open(os.getppid())
            self._on(self._parent, self._lose_parent)
        try:
            while not (self._closing and not self._kernels):
                self._turn()
        finally:
            self._let_go(self._keepers)
        return _ALL_GIVEN_UP if self._given_up else 0

    def _turn(self) -> None:
        """Wait for news, and answer them."""
        ending = any(kernel.ending_since is not None for kernel in self._kernels)
        ready = self._selector.select(_AGAIN if ending else None)
        watchers = [key for key, _ in ready if key.fd in self._listeners]
        self._answer(watchers)
        if watchers and len(watchers) == len(ready) and not ending:
            return  # those waiting for an answer need nothing else
        self._answer(key for key, _ in ready if key not in watchers)
        self._notice_deaths()
        self._end_families()
        if not self._suspects:  # no kernel is left that a token stands for
            self._let_go([keeper for keeper in self._keepers if keeper.left])

    def _answer(self, ready: Iterable[selectors.SelectorKey]) -> None:
        registered = self._selector.get_map()
        for key in ready:
            # An answer may close what the next one is about, and its number may be used again.
            if registered.get(key.fd) is key:
                key.data()

    def _on(self, source: socket.socket | int, answer: Callable[[], object]) -> None:
        self._selector.register(source, selectors.EVENT_READ, answer)

    def _lose_parent(self) -> None:
        self._selector.unregister(self._parent)
        self._close()

    def _close(self) -> None:
        """End every family: nbbuild is gone, or wants the helper to stop."""
        self._closing = True
        for kernel in self._kernels:
            self._end(kernel)

    def _let_go(self, keepers: Iterable[Any]) -> None:
        """Return the tokens that these hold."""
        for keeper in list(keepers):
            keeper.close()
            self._keepers.remove(keeper)

    # The lifeline and the kernels' connections.

    def _admit(self) -> None:
        byte, descriptors, _, _ = socket.recv_fds(self._lifeline, 1, 1, _CLOEXEC)
        if not byte:
            self._selector.unregister(self._lifeline)
            self._close()
            return
        connection = socket.socket(fileno=descriptors[0])
        connection.set_inheritable(False)
        connection.setblocking(False)
        if byte == b"t":
            keeper = _part("kernels/launch/keeper").Keeper(
                connection,
                on=self._on,
                off=self._selector.unregister,
                closing_on_exec=_CLOEXEC,
            )
            self._keepers.append(keeper)
            return
        kernel = _Kernel(connection)
        self._kernels.append(kernel)
        self._on(connection, partial(self._hear, kernel))

    def _hear(self, kernel: _Kernel) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(kernel.connection, 65536, 4, _CLOEXEC)
        except BlockingIOError:
            return
        except ConnectionError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        kernel.stdio += descriptors
        if not data:
            self._selector.unregister(kernel.connection)
            self._end(kernel)
        elif not kernel.request:
            kernel.heard += data
            self._start_when_complete(kernel)
        elif kernel.pid and kernel.status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(kernel.pid, signal.SIGINT)

    def _tell(self, kernel: _Kernel, **news: object) -> None:
        with contextlib.suppress(OSError):  # nobody is listening any more
            kernel.connection.send(json.dumps(news).encode() + b"\n")

    # Birth.

    def _start_when_complete(self, kernel: _Kernel) -> None:
        if len(kernel.heard) < LENGTH.size:
            return
        (length,) = LENGTH.unpack_from(kernel.heard)
        if len(kernel.heard) < LENGTH.size + length:
            return
        kernel.request = request = json.loads(kernel.heard[LENGTH.size :])
        kernel.heard.clear()
        kernel.id, kernel.folder = request["id"], request["folder"]
        outer = request["env"].get(MARKER)
        request["env"][MARKER] = f"{outer}:{kernel.id}" if outer else kernel.id
        request["env"]["JPY_PARENT_PID"] = str(os.getpid())  # ipykernel watches this process
        if request["way"] == "warm":
            kernel.channel = socket.socket(fileno=kernel.stdio.pop())
            self._on(kernel.channel, partial(self._warm, kernel, kernel.channel))
        else:
            self._fork(kernel)

    def _fork(self, kernel: _Kernel) -> None:
        kernel.report, report = os.pipe()
        helper = os.getpid()
        listening = self._listen(kernel) if kernel.request["filter"] else None
        pid = os.fork()
        if pid == 0:
            self._become(kernel.request, kernel.stdio, report, listening, helper=helper)
        os.close(report)
        if listening is not None:
            listening.close()
        _close_all(kernel.stdio)
        kernel.pid = pid
        self._on(kernel.report, partial(self._started, kernel))

    def _warm(self, kernel: _Kernel, channel: socket.socket) -> None:
        """Read what a kernel forked by a zygote reports about itself."""
        try:
            data = channel.recv(4096)
        except ConnectionError:
            data = b""
        *lines, kernel.said = (kernel.said + data).split(b"\n")
        news = {key: value for line in lines for key, value in json.loads(line).items()}
        if "pid" in news:
            kernel.pid = news["pid"]
            self._instruct(kernel, channel)
        if "error" in news:
            self._leave_channel(kernel)
            self._tell(kernel, error=news["error"])
        elif "unfit" in news or (not data and not kernel.pid):
            self._leave_channel(kernel)
            kernel.cold = news.get("unfit", "the process that forks kernels has ended")
            kernel.pid = 0  # `_notice_deaths` treats it as an orphan
            if kernel.ending_since is None:
                self._fork(kernel)
        elif not data:
            self._leave_channel(kernel)
            _close_all(kernel.stdio)
            self._tell(kernel, pid=kernel.pid, cold="")

    def _instruct(self, kernel: _Kernel, channel: socket.socket) -> None:
        """Send the request on, the only thing the kernel still waits for."""
        passed = ("id", "argv", "env", "cwd", "filter", "serves")
        request = {key: kernel.request[key] for key in passed}
        if request["filter"]:
            begin = _watching("seccomp").passing(self._empty).hex()
            whole = begin + request["filter"]["program"]
            request["filter"] = {**request["filter"], "program": whole}
        text = json.dumps(request)
        message = LENGTH.pack(len(text)) + text.encode()
        listening = [self._listen(kernel)] if request["filter"] else []
        with contextlib.suppress(OSError):  # it has just been killed: the end of file comes next
            descriptors = [*kernel.stdio, *(one.fileno() for one in listening)]
            sent = socket.send_fds(channel, [message], descriptors)
            channel.sendall(message[sent:])
        for one in listening:
            one.close()

    # Watching.

    def _listen(self, kernel: _Kernel) -> socket.socket:
        """Return the socket on which the kernel will pass its filter's listener."""
        self._hear_no_more(kernel)
        kernel.listening, theirs = socket.socketpair()
        self._on(kernel.listening, partial(self._watch, kernel, kernel.listening))
        return theirs

    def _watch(self, kernel: _Kernel, source: socket.socket) -> None:
        """Take the listener and begin to serve, or record why there is none."""
        try:
            data, descriptors, _, _ = socket.recv_fds(source, 4096, 1, _CLOEXEC)
        except ConnectionError:
            data, descriptors = b"", []
        self._hear_no_more(kernel)
        if not descriptors:
            kernel.blind = _REFUSED.format(data.decode(errors="replace") or "it never came")
            return
        watcher = kernel.watcher = _watching("syscalls").Watcher(
            descriptors[0],
            seccomp=_watching("seccomp"),
            looking=_watching("looking"),
            private=f"{kernel.folder}/",
            cwd=kernel.request["cwd"],
            bound=data == b"bound",
            forked=0 if kernel.cold or kernel.request["way"] != "warm" else kernel.pid,
            empty=self._empty,
        )
        self._listeners.add(watcher.listener)
        self._on(watcher.listener, partial(self._serve, kernel))

    def _serve(self, kernel: _Kernel) -> None:
        if not kernel.watcher.serve():
            self._unwatch(kernel)

    def _unwatch(self, kernel: _Kernel) -> None:
        """Keep what was seen; there is nobody left to watch."""
        # Its number may already belong to another kernel's listener.
        if kernel.watcher is not None and not kernel.watcher.closed:
            self._listeners.discard(kernel.watcher.listener)
            self._selector.unregister(kernel.watcher.listener)
            kernel.watcher.close()

    def _hear_no_more(self, kernel: _Kernel) -> None:
        if kernel.listening is not None:
            self._selector.unregister(kernel.listening)
            kernel.listening.close()
            kernel.listening = None

    def _write_down(self, kernel: _Kernel) -> None:
        """Write what was seen to a file for nbbuild."""
        self._hear_no_more(kernel)
        self._unwatch(kernel)
        if not kernel.request.get("filter"):
            return
        told = {"blind": kernel.blind or "it did not begin"}
        if kernel.watcher is not None:
            told = kernel.watcher.told
        with contextlib.suppress(OSError):
            Path(kernel.request["seen"]).write_text(json.dumps(told), encoding="utf-8")

    def _leave_channel(self, kernel: _Kernel) -> None:
        if kernel.channel is not None:
            self._selector.unregister(kernel.channel)
            kernel.channel.close()
            kernel.channel = None

    def _become(
        self,
        request: Mapping[str, Any],
        stdio: list[int],
        report: int,
        listening: socket.socket | None,
        *,
        helper: int,
    ) -> None:
        """Turn the forked child into the kernel; never returns."""
        argv, cwd = request["argv"], request["cwd"]
        subject = str(cwd)
        try:
            signal.set_wakeup_fd(-1)
            # Ignored signals stay ignored across exec: without this no cell could be interrupted.
            for name in ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGCHLD", "SIGPIPE", "SIGXFSZ"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            os.setsid()
            if self._libc is not None:
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != helper:  # it died before the line above
                    os._exit(1)
            for target, descriptor in enumerate(stdio):
                os.dup2(descriptor, target)
            os.chdir(subject)
            subject = str(argv[0])
            if listening is not None:
                _watching("filtering").install(request["filter"], listening)
            os.execvpe(subject, argv, request["env"])
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            os.write(report, f"{reason}: '{subject}'".encode())
        finally:
            os._exit(127)

    def _started(self, kernel: _Kernel) -> None:
        """Note that exec closed the pipe, or read why the child could not exec."""
        reason = os.read(kernel.report, 4096)
        self._selector.unregister(kernel.report)
        os.close(kernel.report)
        kernel.report = -1
        if reason:
            self._tell(kernel, error=reason.decode(errors="replace"))
        else:
            self._tell(kernel, pid=kernel.pid, cold=kernel.cold)

    # Death.

    def _end(self, kernel: _Kernel) -> None:
        if kernel.ending_since is None:
            kernel.ending_since = time.monotonic()

    def _notice_deaths(self) -> None:
        for kernel in self._kernels:
            if kernel.channel is not None:
                continue  # a cold one may still replace it
            if kernel.pid and kernel.status is None:
                kernel.status = _ended(kernel.pid)
            if kernel.status is not None and kernel.report < 0 and not kernel.told:
                kernel.told = True
                self._tell(kernel, status=kernel.status)
        kernels = {kernel.pid for kernel in self._kernels}
        with contextlib.suppress(OSError):  # no such file on macOS
            children = _PROC / "self" / "task" / str(os.getpid()) / "children"
            for pid in children.read_bytes().split():
                if int(pid) not in kernels:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(int(pid), os.WNOHANG)

    def _end_families(self) -> None:
        ending = [kernel for kernel in self._kernels if kernel.ending_since is not None]
        if not ending:
            return
        table = process_table()
        self._look_for_strays(table)
        still_running = {kernel.id for kernel in self._suspects if kernel.ending_since is None}
        orphaned = {
            pid for (pid, _), suspects in self._strays.items() if not suspects & still_running
        }
        for kernel in ending:
            if not kernel.pid:
                self._bury(kernel, [])
                continue
            members = family(table, pid=kernel.pid, kernel=kernel.id, strays=orphaned)
            strike(kernel.pid, members)
            given_up = time.monotonic() - (kernel.ending_since or 0) > PATIENCE
            if given_up or (not members and kernel.status is not None):
                self._bury(kernel, members)

    def _look_for_strays(self, table: Mapping[int, TableLine]) -> None:
        """Record the orphans that came to us without any sign of where they belong."""
        ours, ids = os.getpid(), {kernel.id for kernel in self._kernels}
        suspects = {kernel.id for kernel in self._suspects}
        pids = {kernel.pid for kernel in self._kernels}
        seen: dict[tuple[int, int], set[str]] = {}
        for process in table.values():
            if process.parent != ours or process.pid in pids or process.session in pids:
                continue
            name = (process.pid, process.born)
            if name in self._strays:
                seen[name] = self._strays[name]
            elif not process.kernels & ids:
                seen[name] = set(suspects)
        self._strays = seen

    @property
    def _suspects(self) -> list[_Kernel]:
        """The kernels that an orphan may come from."""
        return [kernel for kernel in self._kernels if not kernel.request.get("serves")]

    def _bury(self, kernel: _Kernel, left: list[int]) -> None:
        self._given_up |= bool(left)
        if kernel.report >= 0:
            self._selector.unregister(kernel.report)
            os.close(kernel.report)
        self._leave_channel(kernel)
        peak, cpu = 0, 0.0
        if kernel.pid:
            with contextlib.suppress(ChildProcessError):
                usage = os.wait4(kernel.pid, os.WNOHANG)[2]
                peak, cpu = usage.ru_maxrss, usage.ru_utime + usage.ru_stime
        _close_all(kernel.stdio)
        self._write_down(kernel)
        peak *= 1024 if sys.platform == "linux" else 1
        self._tell(kernel, gone=left, peak=peak, cpu=cpu)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(kernel.connection)
        kernel.connection.close()
        self._kernels.remove(kernel)
        if self._closing:  # nobody else is left to do it
            remove_folder(kernel.folder)


def _watching(name: str) -> Any:
    """Return a module of nbbuild's that watches system calls."""
    return _part(f"watching/{name}")


@functools.cache
def _part(name: str) -> Any:
    """Load a module of nbbuild's by its path, without loading nbbuild itself."""
    path = Path(__file__).resolve().parents[2] / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"nbbuild_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _ended(pid: int) -> int | None:
    """Return how the child `pid` ended, or None; leave it a zombie where the system allows."""
    try:
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            done, code = os.waitpid(pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(code) if done else None
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return -signal.SIGKILL
    if result is None:
        return None
    exited = result.si_code == os.CLD_EXITED
    return result.si_status if exited else -result.si_status


if __name__ == "__main__":
    os.chdir("/")  # do not pin anybody's folder
    line = socket.socket(fileno=int(sys.argv[1]))
    line.set_inheritable(False)
    os._exit(Helper(line).serve())  # it has nothing left to write
