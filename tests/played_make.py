"""Play make: a jobserver whose bytes can be counted afterwards."""

from __future__ import annotations

import fcntl
import os
import select
from pathlib import Path

TOKENS = b"abcdefg"
"""Each is another byte, so that a test sees which of them came back."""


class Jobserver:
    """A pipe, or with `path` a named one, that holds `TOKENS`; make reads it and waits."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path is None:
            self.read, self.write = os.pipe()
        else:
            os.mkfifo(path)
            # As make opens it: the end to read does not wait for one to write.
            self.read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self.write = os.open(path, os.O_WRONLY)
            os.set_blocking(self.read, True)
        for descriptor in self.inherited:
            os.set_inheritable(descriptor, True)
        os.write(self.write, TOKENS)

    @property
    def auth(self) -> str:
        return f"{self.read},{self.write}" if self.path is None else f"fifo:{self.path}"

    @property
    def flags(self) -> str:
        """What MAKEFLAGS says of it."""
        return f" -j{len(TOKENS) + 1} --jobserver-auth={self.auth}"

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors that a recipe gets."""
        return () if self.path is not None else (self.read, self.write)

    def there(self) -> int:
        """Return how many tokens nobody has."""
        buffer = bytearray(4)
        fcntl.ioctl(self.read, 0x541B, buffer)  # FIONREAD
        return int.from_bytes(buffer, "little")

    def take(self, number: int, patience: float) -> bytes:
        """Read `number` tokens as make would, waiting for each; fewer if one does not come."""
        taken = b""
        while len(taken) < number and select.select([self.read], [], [], patience)[0]:
            taken += os.read(self.read, number - len(taken))
        return taken

    def waits(self) -> bool:
        """Whether make's own reads still wait, as make relies on."""
        return os.get_blocking(self.read) and os.get_blocking(self.write)

    def back(self) -> bytes:
        """Return the tokens that are there, sorted, once nobody will return any more."""
        os.set_blocking(self.read, False)
        try:
            return bytes(sorted(os.read(self.read, 100)))
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)
