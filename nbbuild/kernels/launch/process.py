"""Kernel processes as nbbuild sees them: started by the launcher, watched through a socket."""

from __future__ import annotations

import array
import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nbbuild.errors import KernelError
from nbbuild.kernels.launch import launcher
from nbbuild.kernels.warm.import_facts import ImportFacts
from nbbuild.kernels.warm.nursery import Nursery, Warm, Zygote
from nbbuild.kernels.ways import portable
from nbbuild.watching import seccomp
from nbbuild.watching.seen import Seen

START_PATIENCE = 60.0
"""Seconds that the launcher may take to run a program."""

_COLD = "its kernel was started in the ordinary way: {}"

LOSSES = 2
"""How often a kernel is started again because the helper ended in the meantime."""

WARM_PATIENCE = 5.0
"""Seconds that a zygote may take to fork a kernel."""


class KernelProcess:
    """One running kernel. One thread uses it, except for `fileno`, which any poller may watch."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        kernel_id: str,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`wake` makes a helper that was stopped (SIGSTOP) go on."""
        self._connection = connection
        self._wake = wake
        self._id = kernel_id
        self._heard = b""
        self._status: int | None = None
        self._left: tuple[int, ...] | None = None
        self._launcher_lost = False
        self.pid = 0
        """The kernel's process id, and that of its process group."""
        self.peak_memory = 0
        """Bytes that the kernel held at most; known after `kill`, 0 where it is not."""
        self.cpu_seconds = 0.0
        """Seconds of CPU that it took, with the children that it waited for; known as that is."""
        self.preloads: tuple[str, ...] = ()
        """The modules that were loaded when it was forked."""
        self.preload_seconds = 0.0
        """Seconds that their imports took."""
        self.shortfall = ""
        """What a warm start lacked, and why: a sentence, or ""."""
        self.seen: Seen | None = None
        """What it and its descendants asked for; known after `kill`; None if it was not watched."""
        self._seen_file: Path | None = None

    @property
    def orphaned(self) -> bool:
        """Whether it was killed, through no fault of its own, because the launcher ended."""
        return self._launcher_lost

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when there is news: the kernel has ended."""
        return self._connection.fileno()

    def poll(self) -> int | None:
        """Return how the kernel ended (negative: the signal), or None while it runs."""
        while self._status is None and self._listen(0):
            pass
        return self._status

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds for the kernel to end; return what `poll` returns."""
        deadline = time.monotonic() + timeout
        while self._status is None and self._listen(max(0.0, deadline - time.monotonic())):
            pass
        return self._status

    def interrupt(self) -> None:
        """Send SIGINT to the kernel's process group, as Ctrl-C would."""
        with contextlib.suppress(OSError):  # it has just ended
            self._connection.send(b"i")

    def kill(self) -> tuple[int, ...]:
        """Kill the kernel and all its descendants, and wait until they are dead.

        Returns the process ids that did not die within `launcher.PATIENCE`: normally none, unless
        the system holds a process in the middle of a read. May be called again.
        """
        if self._left is not None:
            return self._left
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        self._wake()
        deadline = time.monotonic() + launcher.PATIENCE + 1
        while self._left is None and not self._launcher_lost:
            if not self._listen(max(0.0, deadline - time.monotonic())):
                break
        if self._left is None:
            self._left = self._kill_without_launcher()
        if self._status is None:
            self._status = -signal.SIGKILL
        self._connection.close()
        if self._seen_file is not None and self.seen is None:
            self.seen = Seen.read(self._seen_file)
        return self._left

    def _expect_start(self, zygote: Zygote | None = None) -> None:
        """Wait for the report that the program runs; end a `zygote` that takes too long.

        Raises:
            KernelError: it cannot be run; `what` says why.
            ConnectionError: the launcher is gone.
        """
        if zygote is not None and not self._listen(WARM_PATIENCE):
            zygote.end()  # now the launcher starts an ordinary process
        deadline = time.monotonic() + START_PATIENCE
        while not self.pid:
            if not self._listen(max(0.0, deadline - time.monotonic())):
                raise KernelError(f"the program was not run within {START_PATIENCE:g} s")
            if self._launcher_lost:
                raise ConnectionError("the launcher is gone")

    def _listen(self, timeout: float) -> bool:
        """Read what the launcher reports within `timeout` seconds; False if it reports nothing."""
        if self._launcher_lost or self._left is not None or not _readable(self, timeout):
            return False
        try:
            data = self._connection.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            # The launcher was killed, and the kernel with it by PR_SET_PDEATHSIG.
            self._launcher_lost = True
            if self._status is None:
                self._status = -signal.SIGKILL
            return True
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._understand(json.loads(line))
        return True

    def _understand(self, news: dict[str, Any]) -> None:
        if "error" in news:
            raise KernelError(news["error"])
        if "pid" in news:
            self.pid = news["pid"]
            if news["cold"]:
                self.preloads, self.preload_seconds = (), 0.0
                self.shortfall = _COLD.format(news["cold"])
        if "status" in news:
            self._status = news["status"]
        if "gone" in news:
            self._left = tuple(news["gone"])
            self.peak_memory, self.cpu_seconds = news["peak"], news["cpu"]

    def _kill_without_launcher(self) -> tuple[int, ...]:
        """Do what the launcher would have done; by now its orphans belong to init."""
        if not self.pid:
            return ()
        deadline = time.monotonic() + launcher.PATIENCE
        while True:
            table = launcher.process_table()
            members = launcher.family(table, pid=self.pid, kernel=self._id)
            launcher.strike(self.pid, members)
            if not members or time.monotonic() > deadline:
                return tuple(members)
            select.select([], [], [], 0.005)  # between two attempts to kill


class Launcher:
    """Starts kernels, all from one helper process; a context manager, thread-safe.

    On the portable way (ways.py) it has nothing to do.

    The helper starts with the first kernel, or earlier on request. Leaving the context kills every
    kernel that still runs and all its descendants. launcher.py tells what makes that certain.
    """

    def __init__(self, facts: ImportFacts | None = None) -> None:
        """`facts` says what is known of modules to load beforehand; what is learnt is added."""
        self._lock = threading.Lock()
        self._helper: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None
        self._nursery = Nursery(self._start_zygote, facts or ImportFacts())

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The helper's process id; 0 before it has started."""
        return self._helper.pid if self._helper is not None else 0

    def begin(self) -> None:
        """Start the helper early, before it has anything to start."""
        if not portable():
            with self._lock:
                if self._lifeline is None:
                    self._start_helper()

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        output: int,
        folder: Path | None = None,
        watched: bool = False,
        warm: Warm | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> KernelProcess:
        """Run `argv`, found on the PATH of `env`, in `cwd`, in a session of its own.

        stdin is empty; stdout and stderr go to the descriptor `output`. If nbbuild does not live
        to remove `folder`, the helper does. With `watched`, what the process and its descendants
        ask of paths is known after `kill`, as far as this system lets see; that needs a `folder`.

        With `warm`, a zygote forks it where possible; the process's `shortfall` says what is
        lacking. Until the zygote is ready `check` is called now and again; it may raise to give up.

        Raises:
            KernelError: it cannot be run; `what` is the system's reason.
        """
        zygote, lacks = None, ""
        if warm is not None:
            zygote, lacks = self._nursery.zygote(warm, check)
        request: dict[str, object] = {
            "argv": list(argv),
            "env": dict(env),
            "cwd": str(cwd),
            "folder": str(folder) if folder is not None else "",
        }
        if watched and folder is not None:
            request |= _filter(folder)
        process = self._start(request, output=output, zygote=zygote)
        if lacks and not process.shortfall:
            process.shortfall = lacks if zygote is not None else _COLD.format(lacks)
        return process

    def warm_up(self, warm: Warm, check: Callable[[], None]) -> None:
        """Start a zygote for later kernels; return when it is ready, or known to be unfit.

        `check` is called now and again, and may raise to give up.
        """
        if not portable():
            self._nursery.zygote(warm, check)

    def keeper(self, pipe: Sequence[int]) -> socket.socket:
        """Return a socket to what holds the tokens of a jobserver (keeper.py).

        `pipe` has the descriptors to read and to write it. The helper serves this also on the
        portable way. Raises OSError.
        """
        connection = self._connect(b"t")
        try:
            socket.send_fds(connection, [b"p"], list(pipe))
        except BaseException:
            connection.close()
            raise
        return connection

    def let_go(self, keep: Callable[[Warm], bool]) -> None:
        """End the zygotes of which `keep` is not true, but for those that are getting ready."""
        self._nursery.let_go(keep)

    def close(self) -> None:
        """Kill what still runs, and end the helper."""
        with self._lock:
            self._end_helper()
        self._nursery.close()

    def _start_zygote(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: int,
        output: int,
        stem: Zygote | None,
    ) -> KernelProcess:
        request = {
            "argv": list(argv),
            "env": dict(env),
            "cwd": str(cwd),
            "folder": str(cwd),
            "serves": True,
        }
        return self._start(request, stdin=stdin, output=output, zygote=stem)

    def _start(
        self,
        request: Mapping[str, object],
        *,
        stdin: int | None = None,
        output: int,
        zygote: Zygote | None = None,
    ) -> KernelProcess:
        """Make the helper start what `request` describes (launcher.py)."""
        kernel_id = secrets.token_hex(8)
        lost = 0
        while True:
            connection = self._connect()
            process = KernelProcess(connection, kernel_id=kernel_id, wake=self._wake)
            more: dict[str, object] = {
                "id": kernel_id,
                "way": "cold",
                "filter": None,
                "serves": False,
            }
            if request.get("filter"):
                process._seen_file = Path(str(request["seen"]))
            channel, fourth = None, None
            if zygote is not None:
                channel, fourth = socket.socketpair()
                more["way"] = "warm"
                process.preloads = zygote.warm.preloads
                process.preload_seconds = zygote.seconds
            try:
                with fourth or contextlib.nullcontext(), channel or contextlib.nullcontext():
                    self._request(
                        connection, more | dict(request), stdin=stdin, output=output, fourth=fourth
                    )
                    if zygote is not None and channel is not None:
                        zygote.fork(channel)
                process._expect_start(zygote)
            except (BrokenPipeError, ConnectionError) as error:
                # Replace a helper that somebody killed, but not for ever.
                process.kill()
                zygote, lost = None, lost + 1  # it has ended with the helper
                if lost > LOSSES:
                    raise KernelError("the process that starts kernels has ended") from error
            except BaseException:
                process.kill()
                raise
            else:
                return process

    def _request(
        self,
        connection: socket.socket,
        request: Mapping[str, object],
        *,
        stdin: int | None,
        output: int,
        fourth: socket.socket | None,
    ) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            stdio = array.array("i", [nothing if stdin is None else stdin, output, output])
            if fourth is not None:
                stdio.append(fourth.fileno())
            text = json.dumps(request).encode()
            message = launcher.LENGTH.pack(len(text)) + text
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, stdio)]
            sent = connection.sendmsg([message], rights)
            connection.sendall(message[sent:])
        finally:
            os.close(nothing)

    def _connect(self, what: bytes = b"k") -> socket.socket:
        """Return a socket that the helper serves, for a kernel or as `what` says (launcher.py).

        Starts the helper if there is none.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            if self._lifeline is not None:
                try:
                    socket.send_fds(self._lifeline, [what], [theirs.fileno()])
                except (BrokenPipeError, ConnectionError):
                    self._end_helper()
                else:
                    return ours
            lifeline = self._start_helper()
            socket.send_fds(lifeline, [what], [theirs.fileno()])
            return ours

    def _start_helper(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-S", launcher.__file__, str(theirs.fileno())]
            self._helper = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # only nbbuild answers Ctrl-C
            )
        self._lifeline = ours
        return ours

    def _wake(self) -> None:
        """Make the helper go on if somebody has stopped it."""
        if self._helper is not None:
            self._helper.send_signal(signal.SIGCONT)

    def _end_helper(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
        self._wake()
        if self._helper is not None:
            try:
                self._helper.wait(launcher.PATIENCE + 2)
            except subprocess.TimeoutExpired:
                self._helper.kill()
                self._helper.wait()
            self._helper = None


def _filter(folder: Path) -> dict[str, object]:
    """Return what a request says about watching a kernel; {} where it cannot be watched."""
    if seccomp.unavailable():
        return {}
    given = {"number": seccomp.number(), "program": seccomp.program().hex()}
    return {"filter": given, "seen": str(folder / "seen.json")}


def _readable(source: KernelProcess, timeout: float) -> bool:
    """Return whether there is something to read within `timeout` seconds."""
    # poll, not select: a large build often has descriptors above 1,023.
    poller = select.poll()
    poller.register(source.fileno(), select.POLLIN)
    return bool(poller.poll(timeout * 1000))
