"""Start a kernel only while there is memory for it.

Nobody knows how much a notebook will need. So a new kernel waits while the running ones hold as
much as they may, or while the machine is nearly out of memory. One kernel may always run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nbbuild.kernels.launch.machine import Memory
from nbbuild.text.quantities import amount

RESERVE = 1 / 20
"""The share of the memory that must be left for a new kernel to start."""

PAUSE = 0.25
"""Seconds between checks of the memory."""

_TICK = 0.05


def most_memory(most: int | float, memory: Memory | None) -> int | float:
    """Return the bytes that kernels may hold, `most` as configured; inf where nobody knows."""
    if isinstance(most, int):
        return most
    return float("inf") if memory is None else int(most * memory.total)


class Room:
    """The memory of one build's kernels; thread-safe.

    Together they may hold `most`: bytes, or a share of all memory as a float. `held` returns how
    many bytes they hold now. `memory` returns what the machine has; None if that is unknown.
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
        """Wait until a kernel may start; it counts as running until the context is left.

        Meanwhile `check` is called again and again; it may raise to give up. `on_wait` is called
        once, with what it waits for.
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
        """Return what a new kernel should wait for, "" if it need not wait."""
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
        with self._changed:  # one at a time: each admission changes the answer for the next
            if self._running and self.shortage():
                return False
            self._running += 1
            return True
