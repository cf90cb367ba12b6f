"""Hold the tokens that a build has from make's jobserver, and return every one of them.

make has a pipe with one byte for each job that may run beside those that already do. Who wants to
run one more reads a byte, and writes the same byte back when that job has ended. A byte that is
read and not written back is lost for the whole make. So nbbuild, which may be killed at any moment,
never reads it: the launcher does, which outlives nbbuild. This file is its part for that.

nbbuild has a socket to its keeper, and says

    p       here is make's pipe: two descriptors come with this byte, to read and to write; both are
            open for this build alone, and never wait
    a       get me a token: the next byte that can be read
    r BYTE  this token is not needed any more
    k BYTE  hold this one, too: the launcher that held it was killed

and hears

    g BYTE  here is a token
    b       all tokens have gone back: the launcher is about to end

Whatever else ends the socket, the keeper returns what it holds, but not before the kernels that
these tokens stand for are gone: see `Helper` in launcher.py.

What is not covered: the launcher is killed in the instant between reading a byte and telling
nbbuild, or with an "r" still unread, whose byte nbbuild has forgotten by then; or both are killed
by SIGKILL at once. These tokens are lost. On the portable way (ways.py) the kernels are not the
launcher's: where nbbuild is killed, tokens go back while its kernels may still run, until these
notice that nbbuild has gone.

The file runs under `python -I -S`, in the launcher: it imports only the standard library.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable


class Keeper:
    """The tokens of one build; `on` and `off` add and remove what the launcher waits for."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        on: Callable[[socket.socket | int, Callable[[], object]], None],
        off: Callable[[socket.socket | int], object],
        closing_on_exec: int,
    ) -> None:
        self._connection = connection
        self._on, self._off = on, off
        self._closing_on_exec = closing_on_exec
        self._pipe: list[int] = []  # to read, to write
        self._heard = bytearray()
        self._held = bytearray()
        self._asked = 0
        self._waiting = False
        self.left = False
        """Whether nbbuild has gone, or needs no more tokens."""
        on(connection, self._hear)

    def close(self) -> None:
        """Return all tokens, and stop."""
        self._wait(False)
        self._give(bytes(self._held))
        self._held.clear()
        self._say(b"b")
        if not self.left:
            self._off(self._connection)
        self._connection.close()
        while self._pipe:
            os.close(self._pipe.pop())

    def _hear(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._connection, 4096, 2, self._closing_on_exec
            )
        except BlockingIOError:
            return
        except ConnectionError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._pipe += descriptors
        self._heard += data
        self._understand()
        if not data:
            self.left = True
            self._off(self._connection)
        self._draw()

    def _understand(self) -> None:
        """Do what the whole words say that came so far."""
        while self._heard:
            word = bytes(self._heard[:1])
            length = 2 if word in (b"r", b"k") else 1
            if len(self._heard) < length:
                return  # its token is still to come
            token = bytes(self._heard[1:length])
            del self._heard[:length]
            if word == b"a":
                self._asked += 1
            elif word == b"k":
                self._held += token
            elif word == b"r" and token[0] in self._held:
                self._held.remove(token[0])
                self._give(token)

    def _draw(self) -> None:
        """Read as many tokens as are wanted and there."""
        while self._asked and not self.left and self._pipe:
            try:
                token = os.read(self._pipe[0], 1)
            except BlockingIOError:
                break
            except OSError:
                token = b""
            if not token:  # nobody will ever write to it again
                self._asked = 0
                break
            self._asked -= 1
            self._held += token
            self._say(b"g" + token)
        self._wait(bool(self._asked and self._pipe) and not self.left)

    def _wait(self, waiting: bool) -> None:
        """Wait for tokens from now on, or wait no more."""
        if waiting != self._waiting:
            self._waiting = waiting
            if waiting:
                self._on(self._pipe[0], self._draw)
            else:
                self._off(self._pipe[0])

    def _give(self, tokens: bytes) -> None:
        try:
            while tokens:
                tokens = tokens[os.write(self._pipe[1], tokens) :]
        except OSError:  # make is gone, and with it its pipe
            return

    def _say(self, words: bytes) -> None:
        try:
            self._connection.send(words)
        except OSError:  # nbbuild is gone
            return
