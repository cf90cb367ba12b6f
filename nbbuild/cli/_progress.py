"""Show how far one long step is, on stderr: a line that changes on a terminal, else a few lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from nbbuild.events import Event, Moved, Observer
from nbbuild.report import draws
from nbbuild.text.quantities import amount

_FIRST = 1.0  # seconds after which something is shown
_ON_TERMINAL = 0.2  # seconds between two changes of the line
_IN_LOG = 10.0  # seconds between two lines
_ERASE = "\r\x1b[K"


@contextmanager
def progress(
    doing: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[float | str], None]]:
    """Yield what takes how much is done, from 0 to 1, and shows it after `doing` ("exporting").

    Where nobody knows how much there is, it takes words instead, such as "3 MB". What takes less
    than a second shows nothing.
    """
    out = sys.stderr if stream is None else stream
    live = draws(out)
    due = clock() + _FIRST
    drawn = False

    def tell(done: float | str) -> None:
        nonlocal due, drawn
        now = clock()
        if now < due:
            return
        due = now + (_ON_TERMINAL if live else _IN_LOG)
        text = f"{doing}: {done}" if isinstance(done, str) else f"{doing}: {done:.0%}"
        out.write(f"{_ERASE}{text}" if live else f"{text}\n")
        out.flush()
        drawn = live

    try:
        yield tell
    finally:
        if drawn:
            out.write(_ERASE)
            out.flush()


@contextmanager
def moving(doing: str) -> Iterator[Observer]:
    """Yield an observer that shows how far bytes have got on their way."""
    with progress(doing) as tell:

        def follow(event: Event) -> None:
            if isinstance(event, Moved):
                tell(event.done / event.total if event.total else amount(event.done))

        yield follow
