"""End a verb in good order when it is asked to stop: Ctrl-C, SIGTERM, a terminal that closes.

The first signal is an interrupt: kernels are ended, what had finished is kept, the summary is
written. Another one ends the process at once, whatever holds it up. Nothing is lost by that: the
launcher ends the kernels (launch/launcher.py), and each file is written whole or not at all.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130

TOGETHER = 0.3
"""Seconds within which two signals count as one: a terminal and a wrapper may both pass one on."""

_AGAIN = b"\ninterrupted again: ended at once; what had finished is kept\n"


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Make signals that ask us to stop an interrupt; yield an event that is set by the first one.

    A signal that whoever started us has us ignore stays ignored: SIGINT in the background of a
    shell, SIGHUP below `nohup`.
    """
    asked = threading.Event()
    first = 0.0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not asked.is_set():
            asked.set()
            first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - first > TOGETHER:
            with suppress(OSError):
                os.write(2, _AGAIN)
            os._exit(INTERRUPTED)

    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {
        number: signal.signal(number, interrupt)
        for name in ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
        if (number := getattr(signal, name, None)) is not None and signal.getsignal(number) in usual
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
