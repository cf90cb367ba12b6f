"""Take down when each notebook and each cell of a build began, and in which slot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nbbuild.events import CellStarted, Ended, Event, Observer, Planned, Started, WorkersStarted


@dataclass(slots=True)
class Course:
    """How one task went; offsets are seconds since the build began."""

    slot: int | None = None  # from 1
    begin: float | None = None  # None: its notebook did not begin to execute
    end: float | None = None
    cells: list[float] = field(default_factory=list)  # when each began, of the last attempt


class Recorder:
    """Takes down the events of one build and passes them on; thread-safe."""

    def __init__(self, observer: Observer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.courses: dict[str, Course] = {}
        self.slots = 1
        self._observer = observer
        self._clock = clock
        self._began = clock()
        self._taken: dict[int, str] = {}  # slot → task
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take note of an event, and pass it on."""
        with self._lock:
            self._take(event, self._clock() - self._began)
        self._observer(event)

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, Planned | WorkersStarted):
            self.slots = event.jobs
        elif isinstance(event, Started):
            course = self.courses[event.task] = Course(self._slot(event.task), now)
            course.cells.clear()
        elif isinstance(event, CellStarted):
            cells = self.courses.setdefault(event.task, Course(begin=now)).cells
            del cells[event.number - 1 :]  # another attempt begins with its first cell
            cells.append(now)
        elif isinstance(event, Ended):
            course = self.courses.setdefault(event.outcome.task, Course())
            course.end = now
            self._taken = {s: t for s, t in self._taken.items() if t != event.outcome.task}

    def _slot(self, task: str) -> int:
        """Return the slot that `task` has, or the first that is free."""
        held = next((slot for slot, other in self._taken.items() if other == task), None)
        if held is not None:
            return held
        slot = 1
        while slot in self._taken:
            slot += 1
        self._taken[slot] = task
        return slot
