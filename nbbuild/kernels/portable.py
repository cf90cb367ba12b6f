"""The portable way to run one kernel: jupyter_client starts it, nbclient executes its cells.

Both are used as they are, except where they lose messages or react too late:

* Our queues have no limit (RCVHWM=0): ZeroMQ silently drops what does not fit. The kernel lifts its
  own limit, too, as on our own way.
* nbclient drops messages that name another cell than the running one. Here every message also goes
  to the run, which puts outputs together as on our own way (outputs.py).
* nbclient waits 4 s for outputs after the reply, then goes on. Here it keeps waiting, and the run
  ends the notebook when the kernel falls silent. The run also keeps the deadlines, obeys a
  cancellation, and sees a death at once, for which nbclient takes up to a second.
* ipykernel 7.0 to 7.3 and jupyter_client may overlook what comes while they send: both are woken
  (knocking.py).
* No signal handlers are set: nbclient removes its own when the first of several notebooks is done.

Kernels talk over Unix sockets in a private folder. On Windows they talk over TCP, where two kernels
may get the same port. A start that fails is tried again, since no cell has run: once, or five times
where there are ports to meet at.

At the end the kernel's process group is killed. A process that left the group survives. If nbbuild
itself is killed, an IPython kernel notices that its parent has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
import zmq
import zmq.asyncio
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, DeadKernelError
from nbformat import NotebookNode
from traitlets import Type

from nbbuild.errors import KernelError
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.kernel import (
    IN_MEMORY,
    TICK,
    Channel,
    Garbled,
    NotStarted,
    RunningKernel,
    private_folder,
)
from nbbuild.kernels.knocking import Knocking
from nbbuild.kernels.wire import Message, check_shape
from nbbuild.watching.seen import Seen

UNIX_SOCKETS = sys.platform != "win32"
"""Whether kernels can be talked to over Unix sockets."""

_NEVER = 10**7  # seconds before nbclient gives up: the run decides that instead
_BATCH = 100  # messages taken from one channel before looking at the other and at the clock
_NOBODY = 2_000  # milliseconds without a peer after which a request cannot be sent
_TRIES, _TRIES_FOR_PORTS = 2, 6  # starts of a kernel; with ports, several at once may meet
_KILL_PATIENCE = 0.5  # seconds for killed processes to disappear

_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError)


class _Channel(AsyncZMQSocketChannel):  # type: ignore[misc]  # mypy may not follow these libraries
    """Reports each message that is read, whoever reads it, and each request that is sent."""

    read: Callable[[Message], None] = staticmethod(lambda message: None)
    broken: Callable[[str], None] = staticmethod(lambda reason: None)
    sent: Callable[[str], None] = staticmethod(lambda request: None)

    async def get_msg(self, timeout: float | None = None) -> Message:
        """Return the next message; raise Empty when there is none within `timeout` seconds."""
        try:
            message: Message = await super().get_msg(timeout)
            check_shape(message)
        except _UNREADABLE as error:
            self.broken(str(error))
            raise
        except RecursionError:
            self.broken("its JSON is nested too deeply")
            raise
        self.read(message)
        return message

    def send(self, msg: Message) -> None:
        """Send a request. Raises RuntimeError when nobody is there who could ever take it."""
        try:
            super().send(msg)
        except zmq.Again as error:
            raise RuntimeError("something else listens where the kernel should") from error
        self.sent(msg["header"]["msg_id"])


class _Connection(AsyncKernelClient):  # type: ignore[misc]
    """The channels to a kernel, without those that nobody needs here: stdin and heartbeat."""

    shell_channel_class = Type(_Channel)
    iopub_channel_class = Type(_Channel)

    def start_channels(self, **which: bool) -> None:
        """Start the channels that are needed."""
        super().start_channels(**{**which, "stdin": False, "hb": False})


class _Manager(AsyncKernelManager):  # type: ignore[misc]
    """Starts one kernel."""

    client_class = f"{__name__}._Connection"
    client_factory = Type(_Connection)

    def client(self, **more: Any) -> Any:
        """Return a connection whose queues have no limit."""
        return super().client(context=self.context, **more)


class _Client(NotebookClient):  # type: ignore[misc]
    """Executes cells; the run handles outputs and errors, which it gets from the channels."""

    def process_message(self, msg: Message, cell: NotebookNode, cell_index: int) -> None:
        """Notice when a cell is done."""
        if msg["msg_type"] == "status" and msg["content"].get("execution_state") == "idle":
            raise CellExecutionComplete

    async def _check_raise_for_error(self, *told: object) -> None:
        """Raise nothing: the run stops after an error."""


class _Process:
    """The process of a kernel, and its group."""

    peak_memory = 0
    cpu_seconds = 0.0
    preloads: tuple[str, ...] = ()
    preload_seconds = 0.0
    shortfall = ""
    seen: Seen | None = None
    orphaned = False  # it is our own child

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def poll(self) -> int | None:
        """Return how the kernel ended (negative: the signal), or None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float) -> int | None:
        """Wait at most `timeout` seconds for the kernel to end; return what `poll` does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def kill(self) -> None:
        """Kill the kernel and its group, and wait a short time for them to die."""
        (kill_tree if sys.platform == "win32" else kill_group)(self._process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group that `process` leads, or led; wait a short time for it."""
    deadline = time.monotonic() + _KILL_PATIENCE
    # macOS refuses to signal a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            _wait(process)
            time.sleep(0.002)  # kill again and again: the rest are no children of ours
    _wait(process)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill `process` and its descendants, on systems without process groups."""
    with contextlib.suppress(psutil.Error):
        for one in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                one.kill()
    process.kill()
    _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_PATIENCE)


class PortableKernel(RunningKernel):
    """A kernel that jupyter_client starts and nbclient talks to; made by `start`."""

    process: _Process

    def __init__(
        self,
        kernel: Kernel,
        notebook: NotebookNode,
        *,
        cwd: Path,
        env: Mapping[str, str],
        allow_errors: bool,
    ) -> None:
        """Run the kernel's command, without waiting for an answer.

        Raises:
            KernelError: the command cannot be run, or there is no place for the sockets.
        """
        self._heard: list[tuple[Channel, Message]] = []
        self._broken: str | None = None
        self._cell: asyncio.Task[Any] | None = None  # the one that nbclient executes
        with contextlib.ExitStack() as stack:
            super().__init__(kernel, stack.enter_context(private_folder()))
            self._loop = asyncio.SelectorEventLoop()
            stack.callback(self._loop.close)
            context = zmq.asyncio.Context()
            for limit in (zmq.RCVHWM, zmq.SNDHWM):
                context.setsockopt(limit, 0)
            # Sending waits only for a peer. Over TCP, two kernels may have got the same port: who
            # meets the wrong kind of socket there is left without a peer for good.
            context.setsockopt(zmq.SNDTIMEO, _NOBODY)
            stack.callback(context.destroy, linger=0)
            self._manager = self._managing(kernel, context)
            arguments = [] if kernel.interpreter is None else [IN_MEMORY]
            self._client = _Client(
                notebook,
                self._manager,
                extra_arguments=arguments,
                ipython_hist_file="",
                record_timing=False,
                skip_cells_with_tag="",  # the run decides which cells run
                allow_errors=allow_errors,
                shutdown_kernel="immediate",
                startup_timeout=_NEVER,
                iopub_timeout=_NEVER,
                raise_on_iopub_timeout=True,
            )
            self._knocking = Knocking(self._connect_again)
            stack.callback(self._clean_up)
            self.process = self._started(cwd, kernel.environment(env))
            stack.callback(self.process.kill)
            self._stack = stack.pop_all()

    # Talking.

    @property
    def jupyter_session(self) -> Any:
        """jupyter_client's maker of messages, for this connection."""
        return self._client.kc.session

    def send(self, kind: str, content: Mapping[str, Any]) -> str:
        """Send a request on the shell channel; return the id that its replies will name."""
        message = self.jupyter_session.msg(kind, dict(content))
        try:
            self._client.kc.shell_channel.send(message)
        except RuntimeError as error:
            self._break(str(error))
        self._knocking.sent_request()
        return str(message["header"]["msg_id"])

    def send_message(self, message: Message) -> None:
        """Send, on the shell channel, a message made with `jupyter_session`."""
        self._loop.run_until_complete(self._send_aside(message))
        self._knocking.sent_aside()

    async def _send_aside(self, message: Message) -> None:
        shell = self._client.kc.shell_channel
        shell.send(message)
        # jupyter_client does what knocking.py tells of ipykernel: it sends behind the back of the
        # reader, nbclient, which may wait for a reply. To ask for events has it look again.
        shell.socket.get(zmq.EVENTS)

    def _connect_again(self) -> Any:
        return self._client.kc.connect_shell()

    def execute_cell(self, index: int, content: Mapping[str, Any]) -> str:
        """Have nbclient execute a cell; nbclient makes the `content` itself."""
        sent = self._loop.create_future()
        shell = self._client.kc.shell_channel
        shell.sent = sent.set_result
        cell = self._client.nb.cells[index]
        self._cell = self._loop.create_task(self._client.async_execute_cell(cell, index))
        first = asyncio.wait({sent, self._cell}, return_when=asyncio.FIRST_COMPLETED)
        self._loop.run_until_complete(first)
        del shell.sent
        if not sent.done():
            self._cell.result()
        self._knocking.sent_request()
        return str(sent.result())

    def receive(self, timeout: float) -> Iterator[tuple[Channel, Message]]:
        """Yield messages; see `RunningKernel`."""
        if self._cell is not None and not self._cell.done():
            self._loop.run_until_complete(asyncio.wait({self._cell}, timeout=max(0.0, timeout)))
        else:
            self._loop.run_until_complete(self._read(max(0.0, timeout)))
        heard, self._heard = self._heard, []
        yield from heard
        if self._broken is not None:
            if self._cell is not None and self._cell.done():
                self._cell.exception()  # else asyncio would print it: it is said here
            raise Garbled(self._broken)
        self._look_at_cell()

    async def _read(self, timeout: float) -> None:
        """Read both channels, since nothing else reads them now."""
        channels = (self._client.kc.shell_channel, self._client.kc.iopub_channel)
        coming = [asyncio.ensure_future(one.socket.poll(round(timeout * 1000))) for one in channels]
        await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
        for one in coming:
            one.cancel()
        with contextlib.suppress(*_UNREADABLE, RecursionError):  # already reported
            for channel in channels:
                with contextlib.suppress(Empty):
                    for _ in range(_BATCH):
                        await channel.get_msg(0)

    def _look_at_cell(self) -> None:
        """Raise the error that nbclient failed with; the run itself sees the kernel's death."""
        if self._cell is not None and self._cell.done():
            error = self._cell.exception()
            self._cell = None
            if error is not None and not isinstance(error, DeadKernelError):
                raise error

    def interrupt(self) -> None:
        """Interrupt the kernel, in the way that its kernel.json asks for."""
        with contextlib.suppress(OSError, RuntimeError):  # it has just ended
            self._loop.run_until_complete(self._manager.interrupt_kernel())

    # Ending.

    def ask_to_leave(self) -> None:
        """Send a shutdown_request."""
        self._loop.run_until_complete(self._manager.request_shutdown())

    def close(self) -> None:
        """Kill the kernel and its process group; remove its folder. May be called again."""
        self._stack.close()

    def _clean_up(self) -> None:
        """Close and remove nbclient's connection to a dead kernel."""
        self._loop.run_until_complete(self._give_up())

    async def _give_up(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for one in rest:
            one.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if self._client.km is not None:
            await self._client._async_cleanup_kernel()

    # Starting.

    def _managing(self, kernel: Kernel, context: zmq.asyncio.Context) -> _Manager:
        where = {"transport": "ipc", "ip": str(self._folder / "k")} if UNIX_SOCKETS else {}
        manager = _Manager(
            kernel_name=kernel.name,
            connection_file=str(self._folder / "connection.json"),
            context=context,
            **where,
        )
        manager._kernel_spec = KernelSpec(
            argv=list(kernel.argv),
            language=kernel.language,
            display_name=kernel.display_name,
            interrupt_mode=kernel.interrupt_mode,
            resource_dir=kernel.folder,
        )
        return manager

    def _started(self, cwd: Path, env: Mapping[str, str]) -> _Process:
        with self.log.open("ab") as log:
            start = self._client.async_start_new_kernel(
                cwd=str(cwd), env=dict(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                self._loop.run_until_complete(start)
            except OSError as error:
                raise KernelError(f"{error.strerror}: {error.filename!r}") from error
        return _Process(self._manager.provisioner.process)

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Wait until the kernel answers and its messages arrive.

        `check` is called every `TICK` and may raise to give up.

        Raises:
            NotStarted: it ended, or did not answer in time.
        """
        began = time.monotonic()
        ready = self._loop.create_task(self._get_ready())
        while not ready.done():
            check()
            self._check_start(began)
            self._loop.run_until_complete(asyncio.wait({ready}, timeout=TICK))
        try:
            self.info = ready.result()
        except (RuntimeError, DeadKernelError) as error:
            self._check_start(began)
            raise NotStarted(str(error), self.log_tail()) from error
        except _UNREADABLE as error:
            raise NotStarted(str(error), self.log_tail()) from error
        connection = self._client.kc
        for channel, source in (
            (Channel.SHELL, connection.shell_channel),
            (Channel.IOPUB, connection.iopub_channel),
        ):
            source.read = partial(self._hear, channel)
            source.broken = self._break

    async def _get_ready(self) -> Mapping[str, Any]:
        client = self._client
        await client.async_start_new_kernel_client()
        # jupyter_client asks every second, answered or not.
        self._knocking.sent_aside()
        request = client.kc.kernel_info()
        self._knocking.sent_request()
        reply = await client.async_wait_for_reply(request)
        return dict(reply["content"])

    def _hear(self, channel: Channel, message: Message) -> None:
        self._heard.append((channel, message))

    def _break(self, reason: str) -> None:
        self._broken = reason


def start(
    kernel: Kernel,
    notebook: NotebookNode,
    *,
    cwd: Path,
    env: Mapping[str, str],
    allow_errors: bool,
    check: Callable[[], None],
) -> PortableKernel:
    """Start `kernel` in `cwd` and wait until it is ready; a failed start is tried again.

    It will execute cells of `notebook`. `env` is the whole environment, except for what kernel.json
    adds. `check` is called every `TICK` and may raise to give up.

    Raises:
        NotStarted: it cannot be started.
    """
    left = _TRIES if UNIX_SOCKETS else _TRIES_FOR_PORTS
    while True:
        left -= 1
        try:
            started = PortableKernel(kernel, notebook, cwd=cwd, env=env, allow_errors=allow_errors)
        except KernelError as error:
            # A second try would end the same way.
            reason = ": ".join([error.what, *(value for _, value in error.facts)])
            raise NotStarted(reason) from error
        try:
            started.wait_until_ready(check)
        except NotStarted:
            started.close()
            if not left:
                raise
        except BaseException:
            started.close()
            raise
        else:
            return started
