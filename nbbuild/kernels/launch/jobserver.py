"""Take part in make's jobserver: one token for each notebook that runs beside the first.

The first needs none: make has counted the recipe that called nbbuild. The tokens themselves are
held by the launcher (keeper.py), since nbbuild may be killed. Here it is known how many there are.

make's descriptors are shared by all its children. Set not to wait, they would not wait for anybody;
left as they are, a read could wait for ever, since another client may be quicker after a poll. So
the pipe is opened anew, for a description of our own.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from nbbuild.disk.flags import QUIETLY

if sys.platform != "win32":
    import fcntl


class Unreachable(Exception):
    """There is a jobserver, but not for us; says why, "" if make has not passed it on."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """The jobserver's pipe, opened for us alone; a context manager that closes it."""

    read: int
    write: int

    def __enter__(self) -> Pipe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.read)
        os.close(self.write)


def reach(where: str) -> Pipe:
    """Open the jobserver that MAKEFLAGS places at `where`: "3,4" or "fifo:/tmp/GMfifo7".

    Raises `Unreachable`.
    """
    if where.startswith("fifo:"):
        path = where.removeprefix("fifo:")
        return _opened(path, path)
    try:
        read, write = map(int, where.split(","))
    except ValueError:
        raise Unreachable(f"'{where}' names none") from None
    if not sys.platform.startswith("linux"):
        # There /dev/fd/N is the same description again.
        raise Unreachable("a pipe cannot be opened anew on this system")
    if not _is_pipe(read, write):
        raise Unreachable
    return _opened(f"/proc/self/fd/{read}", f"/proc/self/fd/{write}")


def _is_pipe(read: int, write: int) -> bool:
    """Whether these are the two ends of one pipe, as make hands it down.

    Where make did not, other files of ours may have these numbers by now. No program that make
    started would inherit those.
    """
    if read < 0 or write < 0:  # what make 4.4 says to recipes that get no jobserver
        return False
    try:
        ends = os.fstat(read), os.fstat(write)
        modes = [fcntl.fcntl(one, fcntl.F_GETFL) & os.O_ACCMODE for one in (read, write)]
        inherited = os.get_inheritable(read) and os.get_inheritable(write)
    except OSError:
        return False
    return (
        inherited
        and all(stat.S_ISFIFO(end.st_mode) for end in ends)
        and ends[0].st_ino == ends[1].st_ino
        and modes[0] != os.O_WRONLY
        and modes[1] != os.O_RDONLY
    )


def _opened(reading: str, writing: str) -> Pipe:
    try:
        # The end to read comes first: without one, the other could not be opened.
        read = os.open(reading, os.O_RDONLY | QUIETLY)
    except (OSError, ValueError) as error:
        raise Unreachable(_why(reading, error)) from None
    try:
        if not stat.S_ISFIFO(os.fstat(read).st_mode):
            raise Unreachable(f"'{reading}' is no pipe")
        return Pipe(read, os.open(writing, os.O_WRONLY | QUIETLY))
    except BaseException as error:
        os.close(read)
        if isinstance(error, OSError):
            raise Unreachable(_why(writing, error)) from None
        raise


def _why(path: str, error: Exception) -> str:
    return f"'{path}': {error.strerror if isinstance(error, OSError) else error}"


class Tokens(Protocol):
    """How many tasks may run beside the first; thread-safe."""

    @property
    def held(self) -> int:
        """How many may run now."""
        ...

    def want(self, number: int) -> None:
        """Have no more than `number` from now on, and that many as soon as can be."""
        ...

    def on_more(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from any thread, whenever there are more."""
        ...


class NoLimit:
    """As many as anybody wants: there is no jobserver."""

    held = sys.maxsize

    def want(self, number: int) -> None:
        """Do nothing."""

    def on_more(self, wake: Callable[[], None]) -> None:
        """Do nothing."""


class MakesTokens:
    """The tokens that a build has from make; a context manager that returns all of them.

    `connect` returns a socket to what holds them (`Launcher.keeper`), and does so again if that was
    killed. Without it there is one slot, the one that needs no token.
    """

    def __init__(self, pipe: Pipe, connect: Callable[[Pipe], socket.socket]) -> None:
        self._pipe = pipe
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._tokens: list[bytes] = []
        self._wanted = 0
        self._asked = 0  # and not got yet
        self._closed = False
        self._wake: Callable[[], None] = lambda: None
        self._listener: threading.Thread | None = None

    def __enter__(self) -> MakesTokens:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                with suppress(OSError):  # it has ended by itself
                    self._connection.shutdown(socket.SHUT_RDWR)
        if self._listener is not None:
            self._listener.join()

    @property
    def held(self) -> int:
        """How many there are now."""
        with self._lock:
            return len(self._tokens)

    def on_more(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever there are more, or others have to be asked for."""
        self._wake = wake

    def want(self, number: int) -> None:
        """Return those beyond `number`, or ask for those that are lacking."""
        with self._lock:
            self._wanted = number
            while len(self._tokens) > number:
                self._say(b"r" + self._tokens.pop())
            lacking = number - len(self._tokens) - self._asked
            if lacking > 0 and self._begun():
                self._asked += lacking
                self._say(b"a" * lacking)

    def _begun(self) -> bool:
        """Have a keeper and listen to it, from the first token on that anybody wants."""
        if self._listener is None and not self._closed:
            self._connection = self._connected()
            if self._connection is None:
                self._closed = True
            else:
                self._listener = threading.Thread(target=self._listen, name="nbbuild-tokens")
                self._listener.start()
        return not self._closed

    def _connected(self) -> socket.socket | None:
        try:
            return self._connect(self._pipe)
        except OSError:
            return None

    def _say(self, words: bytes) -> None:
        assert self._connection is not None
        try:
            self._connection.sendall(words)
        except OSError:  # it was killed: `_listen` will see that
            return

    def _listen(self) -> None:
        """Take note of the tokens that come, until the build needs no more."""
        assert self._connection is not None
        heard = b""
        while True:
            try:
                data = self._connection.recv(4096)
            except OSError:
                data = b""
            heard += data
            while heard[:1] == b"b" or len(heard) > 1:
                heard = self._understood(heard)
            if not data and not self._begun_again():
                return
            if not data:
                heard = b""
            self._wake()

    def _understood(self, heard: bytes) -> bytes:
        """Take note of the first word; return the others."""
        with self._lock:
            if heard[:1] == b"b":
                self._tokens.clear()
                return heard[1:]
            self._asked -= 1
            if len(self._tokens) < self._wanted:
                self._tokens.append(heard[1:2])
            else:  # a request cannot be taken back, and nobody may ever want this one again
                self._say(b"r" + heard[1:2])
            return heard[2:]

    def _begun_again(self) -> bool:
        """Hand what we have to another keeper: the launcher that held it is gone."""
        with self._lock:
            assert self._connection is not None
            self._connection.close()
            connection = None if self._closed else self._connected()
            if connection is not None:
                self._connection, self._asked = connection, 0
                self._say(b"".join(b"k" + token for token in self._tokens))
                return True
            if not self._closed:  # nobody else is left to do it
                self._closed = True
                with suppress(OSError):
                    os.write(self._pipe.write, b"".join(self._tokens))
            self._tokens.clear()
            return False
