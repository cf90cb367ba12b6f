"""Look for news of many jobs with one thread: a thousand that each look cost half a processor.

A look is a listing of the job's folder, not a test whether the answer is there: NFS keeps in mind
for half a minute that a file is missing, but asks the server whenever a folder is opened.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nbbuild.building.executors import TICK
from nbbuild.building.jobs.marks import noted_cell
from nbbuild.building.jobs.notes import ANSWER, BEGUN, REFUSED, Meeting

LONGEST_PAUSE = 0.25
"""Seconds between two rounds of looks, at most."""

_SHARE = 20  # a pause takes so many times as long as the round before it


class _Watched:
    """What is known of one job."""

    def __init__(self, there: Meeting, cancelled: threading.Event) -> None:
        self.there = there
        self.cancelled = cancelled
        self.news = threading.Event()
        self._seen: object = None

    def look(self) -> None:
        """Set `news` if there is any."""
        names: set[str] = set()
        with suppress(OSError), os.scandir(self.there.folder) as entries:
            names = {entry.name for entry in entries}
        cell = noted_cell(self.there.mark) if BEGUN in names else None
        seen = (BEGUN in names, ANSWER in names, REFUSED in names, cell)
        if seen != self._seen or self.cancelled.is_set():
            self._seen = seen
            self.news.set()


class Lookout:
    """Looks for news of jobs, as long as there are any to look for; thread-safe."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, there: Meeting, cancelled: threading.Event) -> Iterator[threading.Event]:
        """Yield an event that is set when there is news of a job, or once `cancelled` is."""
        one = _Watched(there, cancelled)
        with self._turn:
            self._watched[id(one)] = one
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look, name="nbbuild-lookout", daemon=True
                )
                self._thread.start()
        try:
            yield one.news
        finally:
            with self._turn:
                del self._watched[id(one)]

    def _look(self) -> None:
        while True:
            began = time.monotonic()
            with self._turn:
                watched = [*self._watched.values()]
                if not watched:
                    self._thread = None
                    return
            for one in watched:
                one.look()
            took = time.monotonic() - began
            time.sleep(min(max(TICK, _SHARE * took), LONGEST_PAUSE))
