"""Collect what has changed until it is built, and cancel a build whose inputs change.

While nothing is built, a change is *due* if it concerns the project. While a build runs, an input
that changes cancels it. All other changes wait for its end. Then it is known what the runs wrote:
the rest is due as well.

Runs must not start builds without end, whatever they write. So a file that is no notebook and not
the configuration cancels only one build in a row, and what changed during a build that only such
a leftover had started is due again only if it is another file, and not more than a few times in a
row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from nbbuild.disk.digests import now_ns
from nbbuild.verbs.watch.meanings import Meaning, Meanings

_ALWAYS = (Meaning.NAMED, Meaning.INPUT)

_MOST = 3
"""How many builds in a row begin for what changed during the build before."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a build is to begin for; paths are seen from the root, and sorted."""

    paths: tuple[str, ...] = ()
    named: bool = True  # whether somebody must have saved one: no run and no editor writes it
    leftover: bool = False  # whether all of it changed while the last build ran


class Inbox:
    """The changes below `root` (without links) that are not built yet; thread-safe.

    `clock` gives the time of files, in ns since the epoch.
    """

    def __init__(self, root: Path, *, clock: Callable[[], int] = now_ns) -> None:
        self._clock = clock
        self._root = str(root)
        self._changed = threading.Condition()
        self._meanings = Meanings()
        self._due: set[str] = set()
        self._later: set[str] = set()  # changed during a build
        self._cancelled: threading.Event | None = None  # of the build that runs
        self._ended_ns = 0
        self._spent: set[str] = set()
        self._leftovers = 0  # how many builds in a row, with the present one, are for leftovers
        self._begun: frozenset[str] = frozenset()  # what the present build has begun for
        self._fresh = False  # whether anything came to be due after the last build

    def put(self, paths: Collection[str]) -> None:
        """Take note of changed paths, absolute."""
        with self._changed:
            for path in {os.path.relpath(one, self._root) for one in paths}:
                self._put(path, self._meanings.of(path))
            self._changed.notify_all()

    def know(self, meanings: Meanings) -> None:
        """Judge changes by `meanings` from now on."""
        with self._changed:
            self._meanings = meanings

    def begin(self, due: Due) -> threading.Event:
        """Take note that a build begins for `due`; return what cancels it."""
        with self._changed:
            self._leftovers = self._leftovers + 1 if due.leftover else 0
            self._begun = frozenset(due.paths)
            self._fresh = False
            self._cancelled = threading.Event()
            return self._cancelled

    def end(self) -> None:
        """Take note that the build has ended, after what it wrote was made known."""
        with self._changed:
            assert self._cancelled is not None
            completed = not self._cancelled.is_set()
            self._cancelled = None
            if completed:
                self._spent.clear()
            self._ended_ns = self._clock()
            later, self._later = self._later, set()
            for path in later:
                meaning = self._meanings.of(path)
                if meaning is Meaning.NAMED or not completed:
                    self._fresh = True
                    self._due.add(path)
                elif not self._repeats(path) and self._is_left(path, meaning):
                    self._due.add(path)

    def wait(self) -> Due:
        """Wait until something is due, and return it."""
        with self._changed:
            while not self._due:
                self._changed.wait()
            due, self._due = self._due, set()
            named = any(self._meanings.of(path) in _ALWAYS for path in due)
            return Due(tuple(sorted(due)), named=named, leftover=not self._fresh)

    def _put(self, path: str, meaning: Meaning) -> None:
        if meaning is Meaning.NOTHING:
            return
        if self._cancelled is not None:
            self._later.add(path)
            if meaning is Meaning.NAMED or (meaning is Meaning.INPUT and path not in self._spent):
                self._spent.add(path)
                self._cancelled.set()
        elif meaning is Meaning.NAMED or self._is_younger(path):
            self._due.add(path)
            self._fresh = True
        elif not self._repeats(path) and self._is_left(path, meaning):
            self._due.add(path)  # it changed during the last build, and is heard of late

    def _repeats(self, path: str) -> bool:
        """Return whether builds may go on for ever if there is one more for `path`."""
        return bool(self._leftovers) and (path in self._begun or self._leftovers >= _MOST)

    def _is_left(self, path: str, meaning: Meaning) -> bool:
        """Return whether what changed during a build may count; not a run's temporary file."""
        if meaning is Meaning.OTHER:
            return os.path.lexists(self._absolute(path))
        return meaning is Meaning.INPUT

    def _is_younger(self, path: str) -> bool:
        """Return whether a path changed after the last build, as far as can be seen."""
        try:
            return os.lstat(self._absolute(path)).st_ctime_ns >= self._ended_ns
        except OSError:
            return True  # it is gone

    def _absolute(self, path: str) -> str:
        return os.path.join(self._root, path)  # noqa: PTH118
