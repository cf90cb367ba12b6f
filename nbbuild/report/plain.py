"""Show a build in plain lines, for CI and for files: no colours, nothing drawn over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from nbbuild.events import Ended, Event, Moved, Noted, Planned, Started
from nbbuild.model import Report
from nbbuild.report.progress import Progress
from nbbuild.report.words import Line, Words
from nbbuild.text.printable import printed
from nbbuild.text.quantities import duration, number_of

HEARTBEAT_SECONDS = 30.0
"""How often a build says what is running: many CI services end a job that says nothing."""


class Plain:
    """An observer that writes lines to `stream`, one call at a time from any thread.

    As a context manager it ends its heartbeat; `finish` says what the build came to.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        words: Words,
        clock: Callable[[], float] = time.monotonic,
        heartbeat: float = HEARTBEAT_SECONDS,
        safe: Callable[[str], str] = printed,
    ) -> None:
        self._stream = stream
        self._words = words
        self._heartbeat = heartbeat
        self._safe = safe
        self._lock = threading.Lock()
        self._progress = Progress(clock=clock)
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def __call__(self, event: Event) -> None:
        """Take note of an event, and write what there is to say."""
        with self._lock:
            self._progress.follow(event)
            begins = isinstance(event, Moved) or (isinstance(event, Planned) and event.run > 0)
            if begins and not self._words.silent:
                self._begin_beating()
            elif isinstance(event, Started) and not self._words.silent:
                cells = number_of(event.cells, "cell")
                self._write([Line("executing", f"{event.task}: {cells}")])
            elif isinstance(event, Ended):
                self._write(self._words.ended(event.outcome))
            elif isinstance(event, Noted):
                self._write(self._words.noted(event))

    def finish(self, report: Report) -> None:
        """Write the summary of the build."""
        self._stop()
        with self._lock:
            self._write(self._words.closing(report))

    def beat(self) -> None:
        """Write what is running; nothing when nothing is."""
        with self._lock:
            rows = self._progress.rows()
            if self._progress.moving:
                self._write([Line("moving", self._progress.moving)])
            if not rows:
                return
            running = ", ".join(
                f"{row.task} {row.where} ({duration(self._progress.elapsed(row), whole=True)})"
                for row in rows
            )
            left = self._progress.left()
            about = "" if left is None else f"; about {duration(left, whole=True)} left"
            self._write([Line("running", running + about)])

    def _write(self, lines: Iterable[Line]) -> None:
        text = self._safe("".join(f"{self._words.printed(line)}\n" for line in lines))
        if not text:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads, or the stream is closed. An observer must not end a build by that.
            return

    def _begin_beating(self) -> None:
        if self._beating is None and not self._ended.is_set():
            beating = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            with suppress(RuntimeError):  # no thread can be started: there is silence in between
                beating.start()
                self._beating = beating

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat):
            self.beat()

    def _stop(self) -> None:
        self._ended.set()
        if self._beating is not None:
            self._beating.join()
