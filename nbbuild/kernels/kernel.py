"""The interface to a started kernel, the same for both ways of starting and talking to one.

There are two ways, see ways.py: our own (session.py), and the portable one with nbclient
(portable.py). Both use Unix sockets where the system has them, in a folder that only this user can
enter. What a kernel prints outside its messages goes to a log in that folder; a failure shows its
last lines.
"""

from __future__ import annotations

import contextlib
import enum
import os
import re
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from nbbuild.disk import temporary
from nbbuild.errors import KernelError
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.warm import leaving
from nbbuild.kernels.wire import Message
from nbbuild.watching.seen import Seen

TICK = 0.05
"""Seconds between checks of what no descriptor signals, such as a cancellation."""

START_TIMEOUT = 60.0
"""Seconds in which a kernel must answer."""

SHUTDOWN_PATIENCE = 10.0
"""Seconds to exit, more than stock Jupyter's 2.5, so that exit hooks and open files get done."""

# Option 23 is ZMQ_SNDHWM. Only its own thread may touch a socket.
KEEP_ALL = """
(lambda thread: thread.schedule(lambda: thread.socket.setsockopt(23, 0)))(
    __import__("IPython").get_ipython().kernel.iopub_thread
)
"""
"""Code that lifts the limit of an IPython kernel's queue, beyond which it drops outputs."""

IN_MEMORY = "--HistoryManager.hist_file=:memory:"
"""For IPython kernels: if they share one history database, they wait for each other or fail."""

_PATH_LIMIT = 107 if sys.platform == "linux" else 103  # of a Unix socket's path, in bytes
_LONGEST_NAME = temporary.LONGEST_NAME + len("/k-5")
_LOG_LINES = 20
_LOG_BYTES = 8192
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


class Channel(enum.Enum):
    """Where a message came from."""

    SHELL = "shell"
    IOPUB = "iopub"


class NotStarted(Exception):
    """The kernel did not get ready: `reason` says why, `log` is the end of what it printed."""

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log


class Garbled(Exception):
    """A message cannot be read, so nobody knows what was lost."""


class Process(Protocol):
    """The process of a kernel."""

    peak_memory: int
    """The most bytes that the kernel held; known after its end, 0 if unknown."""
    cpu_seconds: float
    """Seconds of CPU that it took; known after its end, 0 if unknown."""
    preloads: tuple[str, ...]
    """The modules that it had loaded as it was forked."""
    preload_seconds: float
    """How long their imports took."""
    shortfall: str
    """What was missing for a warm start, and why: a sentence, or ""."""
    seen: Seen | None
    """What it and its descendants asked for; known after its end. None: it was not watched."""

    @property
    def orphaned(self) -> bool:
        """Whether it was killed only because what it was started by had ended."""
        ...

    def poll(self) -> int | None:
        """Return how the kernel ended (negative: the signal), or None while it runs."""
        ...

    def wait(self, timeout: float) -> int | None:
        """Wait at most `timeout` seconds for the kernel to end; return what `poll` does."""
        ...


class RunningKernel(ABC):
    """A kernel, from its start to its end. Used by one thread."""

    process: Process

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        """`folder` is a private one, which exists as long as the kernel."""
        self._kernel = kernel
        self._folder = folder
        self.info: Mapping[str, Any] = {}
        """The content of the kernel_info_reply; empty until the kernel is ready."""
        self.late: leaving.Late | None = None
        """What the notebook still had running when the kernel exited; known after `shut_down`."""

    # Talking.

    @property
    @abstractmethod
    def jupyter_session(self) -> Any:
        """jupyter_client's maker of messages, for this connection; widgets need it."""

    @abstractmethod
    def send(self, kind: str, content: Mapping[str, Any]) -> str:
        """Send a request on the shell channel; return the id that its replies will name."""

    @abstractmethod
    def send_message(self, message: Message) -> None:
        """Send, on the shell channel, a message made with `jupyter_session`."""

    @abstractmethod
    def execute_cell(self, index: int, content: Mapping[str, Any]) -> str:
        """Send cell `index` of the notebook, as `send` sends an "execute_request"."""

    @abstractmethod
    def receive(self, timeout: float) -> Iterator[tuple[Channel, Message]]:
        """Yield the messages that come within `timeout` seconds; stop waiting if the kernel ends.

        It may stop before all messages are taken: call it again.

        Raises:
            Garbled: a message cannot be read.
        """

    def drain(
        self, *, quiet: float = 0.05, limit: float = 2.0
    ) -> Iterator[tuple[Channel, Message]]:
        """Yield what a dead kernel left in its sockets, until nothing comes for `quiet` seconds."""
        deadline = time.monotonic() + limit
        heard = True
        while heard and time.monotonic() < deadline:
            heard = False
            for item in self.receive(quiet):
                heard = True
                yield item

    @abstractmethod
    def interrupt(self) -> None:
        """Interrupt the kernel, in the way that its kernel.json asks for."""

    @property
    def log(self) -> Path:
        """The file that receives the kernel's own output."""
        return self._folder / "log"

    def log_tail(self) -> str:
        """Return the last lines that the kernel printed outside its messages, without colours."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(plain(text).rstrip().splitlines()[-_LOG_LINES:])

    # Ending.

    @property
    def leave(self) -> str:
        """The code that makes an IPython kernel exit once it has answered."""
        return leaving.code(self._folder)

    def shut_down(self, *, cancelled: Callable[[], bool]) -> bool:
        """Give the kernel time to exit, then `close`; return whether it exited by itself.

        An IPython kernel was sent `leave` before; other kernels are asked to exit here.
        """
        status = self.process.poll()
        if status is None:
            if self._kernel.interpreter is None:
                self.ask_to_leave()
            deadline = time.monotonic() + SHUTDOWN_PATIENCE
            while status is None and time.monotonic() < deadline and not cancelled():
                status = self.process.wait(TICK)
        self.late = leaving.late(self._folder)
        self.close()
        return status is not None

    @abstractmethod
    def ask_to_leave(self) -> None:
        """Send a shutdown_request."""

    @abstractmethod
    def close(self) -> None:
        """Kill the kernel and all its descendants; remove its folder. May be called again."""

    # Starting.

    def _check_start(self, began: float) -> None:
        """Raise NotStarted if the kernel has ended, or has used up its time since `began`."""
        status = self.process.poll()
        if status is not None:
            raise NotStarted(f"it ended with {ending(status)}", self.log_tail())
        if time.monotonic() > began + START_TIMEOUT:
            raise NotStarted(f"it did not answer within {START_TIMEOUT:g} s", self.log_tail())


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder that only this user can enter, with a path short enough for Unix sockets.

    Raises:
        KernelError: it cannot be made.
    """
    folder = contextlib.ExitStack()
    try:
        parent = tempfile.gettempdir()
        if len(os.fsencode(parent)) + _LONGEST_NAME > _PATH_LIMIT and sys.platform != "win32":
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
    """Return how a process ended, in words: "exit status 3", "SIGKILL (signal 9)"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"{signal.Signals(-status).name} (signal {-status})"
    except ValueError:  # a real-time signal has no name
        return f"signal {-status}"


def plain(text: str) -> str:
    """Return `text` without terminal colours and other escape sequences."""
    return _COLOURS.sub("", text)
