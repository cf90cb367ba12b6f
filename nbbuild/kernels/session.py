"""One kernel from start to end: its private folder, its sockets, its process.

Everything is done by the thread that calls: no event loop, no channel threads, no heartbeat. The
sockets are Unix sockets in a folder that only this user can enter; so no two kernels can be given
one port, and no stranger can listen. What the kernel prints outside its messages goes to a log in
that folder, of which a failure shows the end.

A subscriber misses what was published before its subscription arrived. A kernel is therefore
ready when it answered on the shell channel *and* something came on iopub; until then it is asked
again.

After that nothing may be dropped, but ZeroMQ drops what does not fit into a queue, 1,000 messages
by default, and tells nobody. Ours has no limit (RCVHWM=0). The kernel's has one, and a cell that
publishes fast on a busy machine reaches it: of 100,000 small displays, 386 were missing. So an
IPython kernel is told, silently and before its first cell, to lift it. Of other kernels it is not
known how.

How an IPython kernel leaves is told in leaving.py.
"""

from __future__ import annotations

import contextlib
import enum
import json
import math
import os
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import zmq

from nbbuild.disk import temporary
from nbbuild.errors import KernelError
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.launch.process import LOSSES, KernelProcess, Launcher
from nbbuild.kernels.warm import leaving
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.kernels.wire import Message, Socket, Wire

Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"

TICK = 0.05
"""Seconds between two looks at what no descriptor tells, such as a cancellation."""

START_TIMEOUT = 60.0
"""Seconds in which a kernel must answer."""

SHUTDOWN_PATIENCE = 10.0
"""Seconds to leave by itself, more than stock Jupyter's 2.5: exit hooks and open files complete."""

# Option 23 is ZMQ_SNDHWM. A socket may be touched by its own thread only.
KEEP_ALL = """
(lambda thread: thread.schedule(lambda: thread.socket.setsockopt(23, 0)))(
    __import__("IPython").get_ipython().kernel.iopub_thread
)
"""
"""Code that lifts the limit of an IPython kernel's queue, past which it would drop outputs."""

_PATH_LIMIT = 107 if sys.platform == "linux" else 103  # of a Unix socket's path, in bytes
_LONGEST_NAME = temporary.LONGEST_NAME + len("/k-5")
_BATCH = 100  # messages taken from one socket before the other, and the clock, are looked at
_FIRST_PAUSE = 0.05  # seconds before a kernel whose iopub is silent is asked again
_LOG_LINES = 20
_LOG_BYTES = 8192
_CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


class Channel(enum.Enum):
    """Where a message came from."""

    SHELL = "shell"
    IOPUB = "iopub"


class NotStarted(Exception):
    """The kernel did not get ready: `reason`, and the end of what it printed."""

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log


class Garbled(Exception):
    """A message cannot be read, so it is not known what was lost."""


class KernelSession:
    """A running kernel and the sockets to it; made by `start`. Used by one thread."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        launcher: Launcher,
        cwd: Path,
        env: Mapping[str, str],
        watched: bool = False,
        warm: Warm | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Run the kernel's command, without waiting for an answer; `check` as `start` has it.

        Raises:
            KernelError: the command cannot be run, or there is no place for the sockets.
        """
        self._kernel = kernel
        self.info: Mapping[str, Any] = {}
        """The content of the kernel_info_reply; empty until the kernel is ready."""
        self.late: leaving.Late | None = None
        """What of the notebook still ran as the kernel left; known after `shut_down`."""
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(private_folder())
            key = secrets.token_hex(16)
            self._session = Wire(key.encode())
            context = zmq.Context()
            stack.callback(context.destroy, linger=0)
            self._shell = self._connect(context, zmq.DEALER, "shell")
            self._control = self._connect(context, zmq.DEALER, "control")
            self._iopub = self._connect(context, zmq.SUB, "iopub")
            argv = self._command(self._write_connection_file(key))
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self.process: KernelProcess = launcher.start(
                    argv,
                    env=kernel.environment(env),
                    cwd=cwd,
                    output=log,
                    folder=self._folder,
                    watched=watched,
                    warm=warm,
                    check=check,
                )
            finally:
                os.close(log)
            stack.callback(self.process.kill)
            self._poller = zmq.Poller()
            self._poller.register(self._shell, zmq.POLLIN)
            self._poller.register(self._iopub, zmq.POLLIN)
            self._poller.register(self.process.fileno(), zmq.POLLIN)
            self._watching = True
            self._stack = stack.pop_all()

    # Talking.

    def send(self, kind: str, content: Mapping[str, Any]) -> str:
        """Send a request on the shell channel; return the id that its replies will name."""
        message: Message = self._session.send(self._shell, kind, dict(content))
        return str(message["header"]["msg_id"])

    def send_message(self, message: Message) -> None:
        """Send a message that was made with `jupyter_session` on the shell channel."""
        self.jupyter_session.send(self._shell, message)

    @cached_property
    def jupyter_session(self) -> Any:
        """What makes messages for this connection as jupyter_client does, for widgets."""
        from jupyter_client.session import Session

        # A session of its own, or its messages would be called as ours are. No digest history: it
        # guards against replay, and nobody else can write here.
        made = Session(key=self._session.key, digest_history_size=0)
        made.adapt_version = self._session.adapt_version
        return made

    def receive(self, timeout: float) -> Iterator[tuple[Channel, Message]]:
        """Yield what has come, or comes within `timeout` seconds; at once when the kernel ends.

        It may stop before all is taken: call it again.

        Raises:
            Garbled: a message cannot be read.
        """
        ready = dict(self._poller.poll(math.ceil(max(0.0, timeout) * 1000)))
        if self._watching and self.process.poll() is not None:
            # Its end of file would wake every further poll.
            self._poller.unregister(self.process.fileno())
            self._watching = False
        for channel, source in ((Channel.SHELL, self._shell), (Channel.IOPUB, self._iopub)):
            if source in ready:
                yield from self._take(channel, source)

    def drain(
        self, *, quiet: float = 0.05, limit: float = 2.0
    ) -> Iterator[tuple[Channel, Message]]:
        """Yield what a dead kernel left in the sockets, until nothing comes for `quiet` seconds."""
        deadline = time.monotonic() + limit
        heard = True
        while heard and time.monotonic() < deadline:
            heard = False
            for item in self.receive(quiet):
                heard = True
                yield item

    def interrupt(self) -> None:
        """Interrupt what the kernel is doing, in the way its kernel.json asks for."""
        if self._kernel.interrupt_mode == "message":
            self._session.send(self._control, "interrupt_request", {})
        else:
            self.process.interrupt()

    def log_tail(self) -> str:
        """Return the last lines that the kernel printed outside its messages, without colours."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(plain(text).rstrip().splitlines()[-_LOG_LINES:])

    # Ending.

    @property
    def leave(self) -> str:
        """The code by which an IPython kernel leaves once it has answered."""
        return leaving.code(self._folder)

    def shut_down(self, *, cancelled: Callable[[], bool]) -> bool:
        """Give the kernel time to leave, then `close`; say whether it left by itself.

        An IPython kernel has been sent `leave` before; others are asked here.
        """
        status = self.process.poll()
        if status is None:
            if self._kernel.interpreter is None:
                self._session.send(self._control, "shutdown_request", {"restart": False})
            deadline = time.monotonic() + SHUTDOWN_PATIENCE
            while status is None and time.monotonic() < deadline and not cancelled():
                status = self.process.wait(TICK)
        self.late = leaving.late(self._folder)
        self.close()
        return status is not None

    def close(self) -> None:
        """Kill the kernel and all that descends from it; remove its folder. May be repeated."""
        self._stack.close()

    # Starting.

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Return when the kernel answers and can be heard.

        `check` is called every `TICK` and may raise to give up.

        Raises:
            NotStarted: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT
        pause, ask_again, heard = _FIRST_PAUSE, math.inf, False
        self.send("kernel_info_request", {})
        while not (self.info and heard):
            check()
            now = time.monotonic()
            if now > deadline:
                raise NotStarted(f"it did not answer within {START_TIMEOUT:g} s", self.log_tail())
            if now > ask_again:
                pause *= 2
                ask_again = now + pause
                self.send("kernel_info_request", {})
            for channel, message in self.receive(min(TICK, ask_again - now)):
                if channel is Channel.IOPUB:
                    heard = True
                elif message["msg_type"] == "kernel_info_reply" and not self.info:
                    self.info = message["content"]
                    ask_again = time.monotonic() + pause
            status = self.process.poll()
            if status is not None and not (self.info and heard):
                raise NotStarted(f"it ended with {ending(status)}", self.log_tail())
        self._adapt(str(self.info.get("protocol_version", "5.3")))

    def _adapt(self, protocol: str) -> None:
        """Speak the kernel's version of the protocol, as jupyter_client does."""
        major = protocol.partition(".")[0]
        if major.isdigit() and int(major) != 5:
            self._session.adapt_version = int(major)

    def _connect(self, context: Context, kind: int, channel: str) -> Socket:
        connection: Socket = context.socket(kind)
        connection.setsockopt(zmq.LINGER, 0)
        connection.setsockopt(zmq.RCVHWM, 0)
        connection.setsockopt(zmq.SNDHWM, 0)
        # The kernel is not there yet: try again after 3 ms, not after the usual 100.
        connection.setsockopt(zmq.RECONNECT_IVL, 3)
        if kind == zmq.SUB:
            connection.setsockopt(zmq.SUBSCRIBE, b"")
        else:
            connection.setsockopt(zmq.IDENTITY, self._session.bsession)
        connection.connect(f"ipc://{self._folder / 'k'}-{_CHANNELS[channel]}")
        return connection

    def _write_connection_file(self, key: str) -> Path:
        file = self._folder / "connection.json"
        connection = {
            "transport": "ipc",
            "ip": str(self._folder / "k"),
            "key": key,
            "signature_scheme": "hmac-sha256",
            "kernel_name": self._kernel.name,
            **{f"{channel}_port": number for channel, number in _CHANNELS.items()},
        }
        file.write_text(json.dumps(connection), encoding="utf-8")
        return file

    def _command(self, connection_file: Path) -> list[str]:
        words = {"{connection_file}": str(connection_file), "{resource_dir}": self._kernel.folder}
        argv = list(self._kernel.argv)
        for template, value in words.items():
            argv = [word.replace(template, value) for word in argv]
        if self._kernel.interpreter is not None:
            # Kernels that share one history database wait for each other, or fail.
            argv.append("--HistoryManager.hist_file=:memory:")
        return argv

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _take(self, channel: Channel, source: Socket) -> Iterator[tuple[Channel, Message]]:
        for _ in range(_BATCH):
            try:
                message = self._session.recv(source, zmq.NOBLOCK)
            except (ValueError, TypeError, KeyError, IndexError) as error:
                raise Garbled(str(error)) from error
            except RecursionError as error:
                raise Garbled("its JSON is nested too deeply") from error
            if message is None:
                return
            yield channel, message


def start(
    kernel: Kernel,
    *,
    launcher: Launcher,
    cwd: Path,
    env: Mapping[str, str],
    check: Callable[[], None],
    watched: bool = False,
    warm: Warm | None = None,
) -> KernelSession:
    """Start `kernel` in `cwd` and wait until it is ready; a failed start is tried once more, cold.

    One that failed because the launcher ended is none: it is tried again as it was.

    `env` is the whole environment, but for what kernel.json adds. If it is `watched`, its process
    knows after its end what it asked for (KernelProcess.seen). With `warm` it is forked from a
    zygote, where that can be. `check` is called every `TICK` and may raise to give up.

    Raises:
        NotStarted: it cannot be started.
    """
    second, lost = False, 0
    while True:
        try:
            session = KernelSession(
                kernel, launcher=launcher, cwd=cwd, env=env, watched=watched, warm=warm, check=check
            )
        except KernelError as error:
            # A second time would end the same way.
            reason = ": ".join([error.what, *(value for _, value in error.facts)])
            raise NotStarted(reason) from error
        try:
            session.wait_until_ready(check)
        except (NotStarted, Garbled) as error:
            session.close()
            if session.process.orphaned and lost < LOSSES:
                lost += 1
                continue
            if second:
                if isinstance(error, NotStarted):
                    raise
                raise NotStarted(str(error)) from error
            second, warm = True, None  # no cell has run: nothing is lost by starting afresh
        except BaseException:
            session.close()
            raise
        else:
            return session


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder that only this user can enter, its path short enough for Unix sockets.

    Raises:
        KernelError: it cannot be made.
    """
    folder = contextlib.ExitStack()
    try:
        parent = tempfile.gettempdir()
        if len(os.fsencode(parent)) + _LONGEST_NAME > _PATH_LIMIT:
            parent = temporary.FALLBACK
        made = folder.enter_context(temporary.folder(parent))
    except OSError as error:
        raise KernelError(
            "there is no place for a kernel's sockets",
            facts=[("reason", str(error))],
            hint="set TMPDIR to a folder that can be written",
        ) from error
    with folder:
        yield made


def ending(status: int) -> str:
    """Say how a process ended: "exit status 3", "SIGKILL (signal 9)"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"{signal.Signals(-status).name} (signal {-status})"
    except ValueError:  # a real-time signal has no name
        return f"signal {-status}"


def plain(text: str) -> str:
    """Return `text` without terminal colours and other escape sequences."""
    return _COLOURS.sub("", text)
