"""Show a build below the cell of the notebook that began it, as Jupyter shows things."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Protocol

from nbbuild.events import Ended, Event, Planned
from nbbuild.model import OutcomeKind, Report
from nbbuild.report.progress import Progress
from nbbuild.report.words import Words, summary
from nbbuild.text.markup import joined, table, tag
from nbbuild.text.printable import clean
from nbbuild.text.quantities import duration

_EVERY = 0.25  # seconds between two pictures at least
_MOST = 8  # running notebooks that are shown


class Display(Protocol):
    """Shows a picture, by MIME type; what comes later takes its place."""

    def __call__(self, picture: Mapping[str, str]) -> None:
        """Show `picture`."""
        ...


def jupyter_display() -> Display | None:
    """Return what shows pictures in the notebook that runs this, None outside of notebooks."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    # Other threads have no cell; what they show belongs to the one that runs now.
    context = copy_context()
    handle: list[Any] = []

    def show(picture: Mapping[str, str]) -> None:
        if handle:
            context.run(handle[0].update, dict(picture), raw=True)
        else:
            handle.append(context.run(display, dict(picture), raw=True, display_id=True))

    return show


class InNotebook:
    """An observer, called from any thread; `finish` shows what the build came to."""

    def __init__(self, display: Display, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._display = display
        self._clock = clock
        self._progress = Progress(clock=clock)
        self._lock = threading.Lock()
        self._drawn = float("-inf")
        self._words = Words()
        self._runs = False
        self._failed: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take note of an event, and draw if the last picture is old enough."""
        with self._lock:
            self._progress.follow(event)
            if isinstance(event, Ended) and event.outcome.kind is OutcomeKind.FAILED:
                self._failed.append(str(self._words.ended(event.outcome)[0]))
            if isinstance(event, Planned):
                self._runs = event.run > 0  # with nothing to run, there is nothing to follow
            now = self._clock()
            if self._runs and now - self._drawn >= _EVERY:
                self._draw(now)

    def finish(self, report: Report) -> None:
        """Show the failures and the sum of the build."""
        with self._lock:
            lines = [*self._failed, *report.problems, summary(report)]
            shown = (tag("div", line) for line in lines)
            self._display({"text/plain": clean("\n".join(lines)), "text/html": joined(*shown)})

    def _draw(self, now: float) -> None:
        self._drawn = now
        progress = self._progress
        left = progress.left()
        about = "" if left is None else f", about {duration(left, whole=True)} left"
        count = f"{progress.done} of {progress.run} done{about}"
        rows = [
            (row.task, row.where, duration(progress.elapsed(row), whole=True))
            for row in progress.rows()[:_MOST]
        ]
        lines = [*self._failed, count, *("  ".join(row) for row in rows)]
        picture = joined(
            *(tag("div", line) for line in self._failed),
            tag("progress", max="1", value=f"{progress.fraction():.3f}"),
            f" {count}",
            table(("notebook", "cell", "time"), rows) if rows else "",
        )
        self._display({"text/plain": clean("\n".join(lines)), "text/html": picture})
