"""Note what is used, in the times of files, and hold the leases of running builds; see `gc`."""

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

_EVERY = 3600.0  # seconds between two notes of one file's use, outside a lease


class StoreUses:
    """What this process uses of one store on disk. Safe for threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._since = 0.0
        self._grown = 0
        self._turn = threading.Lock()

    def note(self, place: Path) -> bool:
        """Note that a file was used, by its mtime; False when it is not there (any more).

        Noted once in each lease, and otherwise once an hour. Where the store can only be read,
        nothing is noted.
        """
        try:
            if place.stat().st_mtime < max(time.time() - _EVERY, self._since):
                with self.keeping():
                    os.utime(place)
        except FileNotFoundError:
            return False
        except (OSError, StoreError):
            return place.exists()
        return True

    def keeping(self) -> AbstractContextManager[None]:
        """Keep `taking` from beginning, while a file comes or its use is noted."""
        return lock(self._layout.going, shared=True)

    def taking(self) -> AbstractContextManager[None]:
        """Keep all files as they are and as they look, while one is looked at and removed."""
        return lock(self._layout.going)

    @contextmanager
    def lease(self, *, on_end: Callable[[int], None]) -> Iterator[None]:
        """Protect what is used or comes in from now to the end of the block.

        `on_end` is told by how many bytes the store has grown through this process meanwhile.
        """
        place = self._layout.lease()
        with lock(place):
            with self._turn:
                # Of the file, not of our clock: the store's file system may have another.
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
        """Note that a file of so many bytes came in."""
        with self._turn:
            self._grown += size


def at_work(layout: Layout) -> list[float]:
    """Return since when each build that uses the store is at work, by the store's own clock."""
    found = []
    for place in layout.leases():
        with suppress(FileNotFoundError):  # that build has just ended
            began = place.stat().st_mtime
            if is_held(place):
                found.append(began)
    return found
