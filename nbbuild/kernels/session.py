"""Our own way to run one kernel, from start to end: its sockets and its process.

The calling thread does everything: no event loop, no channel threads, no heartbeat. The sockets are
Unix sockets in a folder that only this user can enter. So no two kernels can get the same port, and
no stranger can listen.

A subscriber misses what was published before its subscription arrived. So a kernel is ready once
it has answered on the shell channel *and* something has come on iopub. Until then it is asked
again, but never before it has answered: one request at a time (knocking.py).

After that nothing may be lost, but ZeroMQ silently drops what does not fit into a queue, 1,000
messages by default. Our queue has no limit (RCVHWM=0). The kernel's has one, and a cell that
publishes fast on a busy machine reaches it: of 100,000 small displays, 386 were missing. So an
IPython kernel lifts its limit, silently, before its first cell. How other kernels could do so is
not known.

leaving.py says how an IPython kernel exits.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import zmq

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
from nbbuild.kernels.launch.process import LOSSES, KernelProcess, Launcher
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.kernels.wire import Message, Socket, Wire

Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"

_BATCH = 100  # messages taken from one socket before looking at the other and at the clock
_FIRST_PAUSE = 0.05  # seconds before a kernel whose iopub is silent is asked again
_CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}


class KernelSession(RunningKernel):
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
        """Run the kernel's command, without waiting for an answer; `check` is that of `start`.

        Raises:
            KernelError: the command cannot be run, or there is no place for the sockets.
        """
        with contextlib.ExitStack() as stack:
            super().__init__(kernel, stack.enter_context(private_folder()))
            key = secrets.token_hex(16)
            self._session = Wire(key.encode())
            context = zmq.Context()
            stack.callback(context.destroy, linger=0)
            known = self._session.bsession
            self._shell = self._connect(context, zmq.DEALER, "shell", known)
            self._control = self._connect(context, zmq.DEALER, "control", known)
            self._iopub = self._connect(context, zmq.SUB, "iopub")
            # Nobody that the kernel knows: replies would go there.
            self._knocking = Knocking(partial(self._connect, context, zmq.DEALER, "shell"))
            argv = self._command(self._write_connection_file(key))
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
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
        self._knocking.sent_request()
        return str(message["header"]["msg_id"])

    def execute_cell(self, index: int, content: Mapping[str, Any]) -> str:
        """Send a cell; see `RunningKernel`."""
        return self.send("execute_request", content)

    def send_message(self, message: Message) -> None:
        """Send, on the shell channel, a message made with `jupyter_session`."""
        self.jupyter_session.send(self._shell, message)
        self._knocking.sent_aside()

    @cached_property
    def jupyter_session(self) -> Any:
        """jupyter_client's maker of messages, for this connection; widgets need it."""
        from jupyter_client.session import Session

        # A session of its own, or its messages would get the same ids as ours. No digest history:
        # that guards against replay, and nobody else can write here.
        made = Session(key=self._session.key, digest_history_size=0)
        made.adapt_version = self._session.adapt_version
        return made

    def receive(self, timeout: float) -> Iterator[tuple[Channel, Message]]:
        """Yield the messages that come within `timeout` seconds; stop waiting if the kernel ends.

        It may stop before all messages are taken: call it again.

        Raises:
            Garbled: a message cannot be read.
        """
        ready = dict(self._poller.poll(math.ceil(max(0.0, timeout) * 1000)))
        if self._watching and self.process.poll() is not None:
            # At end of file it would wake every further poll.
            self._poller.unregister(self.process.fileno())
            self._watching = False
        for channel, source in ((Channel.SHELL, self._shell), (Channel.IOPUB, self._iopub)):
            if source in ready:
                yield from self._take(channel, source)

    def interrupt(self) -> None:
        """Interrupt the kernel, in the way that its kernel.json asks for."""
        if self._kernel.interrupt_mode == "message":
            self._session.send(self._control, "interrupt_request", {})
        else:
            self.process.interrupt()

    # Ending.

    def ask_to_leave(self) -> None:
        """Send a shutdown_request."""
        self._session.send(self._control, "shutdown_request", {"restart": False})

    def close(self) -> None:
        """Kill the kernel and all its descendants; remove its folder. May be called again."""
        self._stack.close()

    # Starting.

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Wait until the kernel answers and its messages arrive.

        `check` is called every `TICK` and may raise to give up.

        Raises:
            NotStarted: it ended, or did not answer in time.
        """
        began = time.monotonic()
        pause, ask_again, asked, heard = _FIRST_PAUSE, began, False, False
        while asked or not (self.info and heard):
            check()
            self._check_start(began)
            now = time.monotonic()
            if now >= ask_again:
                ask_again, asked = math.inf, True
                self.send("kernel_info_request", {})
            for channel, message in self.receive(min(TICK, ask_again - now)):
                if channel is Channel.IOPUB:
                    heard = True
                elif message["msg_type"] == "kernel_info_reply":
                    self.info, asked = message["content"], False
                    ask_again, pause = time.monotonic() + pause, 2 * pause
        self._adapt(str(self.info.get("protocol_version", "5.3")))

    def _adapt(self, protocol: str) -> None:
        """Speak the kernel's version of the protocol, as jupyter_client does."""
        major = protocol.partition(".")[0]
        if major.isdigit() and int(major) != 5:
            self._session.adapt_version = int(major)

    def _connect(self, context: Context, kind: int, channel: str, known: bytes = b"") -> Socket:
        connection: Socket = context.socket(kind)
        connection.setsockopt(zmq.LINGER, 0)
        connection.setsockopt(zmq.RCVHWM, 0)
        connection.setsockopt(zmq.SNDHWM, 0)
        # The kernel is not there yet: try again after 3 ms, not the usual 100.
        connection.setsockopt(zmq.RECONNECT_IVL, 3)
        if kind == zmq.SUB:
            connection.setsockopt(zmq.SUBSCRIBE, b"")
        if known:
            connection.setsockopt(zmq.IDENTITY, known)
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
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            json.dump(connection, opened)
        return file

    def _command(self, connection_file: Path) -> list[str]:
        words = {"{connection_file}": str(connection_file), "{resource_dir}": self._kernel.folder}
        argv = list(self._kernel.argv)
        for template, value in words.items():
            argv = [word.replace(template, value) for word in argv]
        if self._kernel.interpreter is not None:
            argv.append(IN_MEMORY)
        return argv

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

    If it failed because the launcher ended, that does not count: it is tried again as it was.

    `env` is the whole environment, except for what kernel.json adds. If the kernel is `watched`,
    its process knows after its end what it asked for (KernelProcess.seen). With `warm` it is forked
    from a zygote if possible. `check` is called every `TICK` and may raise to give up.

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
            # A second try would end the same way.
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
            second, warm = True, None  # no cell has run, so nothing is lost
        except BaseException:
            session.close()
            raise
        else:
            return session
