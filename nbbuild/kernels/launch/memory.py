"""Start a kernel only while there is memory for it.

How much a notebook will need, nobody knows; so a new kernel waits while those that run hold as much
as they may, or the machine is nearly out of memory. One kernel may always run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nbbuild.kernels.launch.machine import Memory
from nbbuild.text.quantities import amount

RESERVE = 1 / 20
"""The share of the memory that shall be left before a new kernel starts."""

PAUSE = 0.25
"""Seconds between two looks at the memory."""

_TICK = 0.05


def most_memory(most: int | float, memory: Memory | None) -> int | float:
    """Return the bytes that kernels may hold, `most` as configured; inf where nobody knows."""
    if isinstance(most, int):
        return most
    return float("inf") if memory is None else int(most * memory.total)


class Room:
    """The memory of one build's kernels; thread-safe.

    Together they may hold `most`: bytes, or a share of all memory as a float. `held` returns the
    bytes that they hold now. `memory` is what there is; None when that is not known.
    """

    def __init__(
        self,
        most: int | float,
        *,
        held: Callable[[], int],
        memory: Callable[[], Memory | None] = Memory.now,
    ) -> None:
        self._most = most
        self._held = held
        self._memory = memory
        self._changed = threading.Condition()
        self._running = 0

    @contextmanager
    def place(self, check: Callable[[], None], on_wait: Callable[[str], None]) -> Iterator[None]:
        """Wait until a kernel may start; it is one of those that run until the context is left.

        While it waits `check` is called, which may raise to give up, and `on_wait` once, with what
        it waits for.
        """
        told = False
        while not self._admitted():
            if not told:
                told = True
                on_wait(self.shortage())
            with self._changed:
                for _ in range(round(PAUSE / _TICK)):
                    check()
                    if self._changed.wait(_TICK):
                        break
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def shortage(self) -> str:
        """Say what a new kernel had better wait for, "" if it need not."""
        memory = self._memory()
        if memory is None:
            return ""
        if memory.left < memory.total * RESERVE:
            return f"memory: {amount(memory.left)} of {amount(memory.total)} are left"
        most = most_memory(self._most, memory)
        # To ask each process takes a while. If all that is in use is less, they hold less.
        if memory.total - memory.left < most:
            return ""
        held = self._held()
        if held < most:
            return ""
        return f"memory: kernels hold {amount(held)}, and max_memory is {amount(int(most))}"

    def _admitted(self) -> bool:
        with self._changed:  # one at a time: each changes what the next one finds
            if self._running and self.shortage():
                return False
            self._running += 1
            return True
