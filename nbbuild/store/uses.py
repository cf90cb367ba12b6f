"""Note uses in the mtimes of files, and hold the leases of running builds; see `gc`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from nbbuild.disk.locks import is_held, lock
from nbbuild.errors import StoreError
from nbbuild.store.layout import Layout

_EVERY = 3600.0  # seconds between two notes on one file, outside a lease
AHEAD = 24 * 3600.0
"""Seconds from now after which a file's mtime is that of a clock that was wrong."""


class StoreUses:
    """Notes what this process uses in one store on disk. Thread-safe."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._since = 0.0
        self._grown = 0
        self._turn = threading.Lock()

    def note(self, place: Path) -> bool:
        """Note in a file's mtime that it was used; return False if it does not exist (any more).

        This is done once in each lease, and otherwise once an hour. If the store can only be read,
        nothing is noted.
        """
        try:
            now, last = time.time(), place.stat().st_mtime
            if last < max(now - _EVERY, self._since) or last > now + AHEAD:
                with self.keeping():
                    os.utime(place)
        except FileNotFoundError:
            return False
        except (OSError, StoreError):
            return place.exists()
        return True

    def keeping(self) -> AbstractContextManager[None]:
        """Keep `taking` from beginning while a file is added or its use is noted."""
        return lock(self._layout.going, shared=True)

    def taking(self) -> AbstractContextManager[None]:
        """Keep all files and their mtimes as they are while one is checked and removed."""
        return lock(self._layout.going)

    @contextmanager
    def lease(self, *, on_end: Callable[[int], None]) -> Iterator[None]:
        """Protect what is used or added from now to the end of the block.

        `on_end` gets the number of bytes that this process has added to the store meanwhile.
        """
        place = self._layout.lease()
        with lock(place):
            with self._turn:
                # By the file, not by our clock: the store's file system may have another clock.
                self._since = max(self._since, place.stat().st_mtime)
            try:
                yield
            finally:
                with self._turn:
                    grown, self._grown = self._grown, 0
                if grown:
                    on_end(grown)
                with suppress(OSError):
                    place.unlink()

    def grew(self, size: int) -> None:
        """Note that a file of so many bytes was added."""
        with self._turn:
            self._grown += size


def at_work(layout: Layout) -> list[float]:
    """Return when each running build that uses the store began, by the store's own clock."""
    found = []
    for place in layout.leases():
        with suppress(FileNotFoundError):  # that build has just ended
            began = place.stat().st_mtime
            if is_held(place):
                found.append(began)
    return found
