"""What the page of a watched project shows, as data: its state, build after build."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from nbbuild.errors import NbbuildError
from nbbuild.events import CellStarted, Ended, Event, Planned, Started
from nbbuild.model import Outcome, Report
from nbbuild.report.words import summary
from nbbuild.session import Session
from nbbuild.text.printable import clean
from nbbuild.verbs.watch.inbox import Due
from nbbuild.verbs.watch.lines import changed


@dataclass(frozen=True, slots=True)
class Shown:
    """One task as the page lists it."""

    task: str
    state: str = ""  # an outcome, or "running"; "": not known yet
    where: str = ""  # how far it is, how long it took, or why it failed
    stamp: str = ""  # of the notebook there is to see; "": none


@dataclass(frozen=True, slots=True)
class BuiltAt:
    """Where the notebook of a task lies, and what it is called."""

    path: Path
    title: str


class Closed(Exception):
    """The page is being closed."""


class Site:
    """A listener that keeps the state for the page; thread-safe."""

    def __init__(self, project: str) -> None:
        """`project` is what the page is called."""
        self.project = project
        self.root: Path | None = None  # None until the project was read
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self._tasks: dict[str, Shown] = {}
        self._places: dict[str, BuiltAt] = {}
        self._building = False
        self._said = ""
        self._error = ""
        self._reports = 0

    # -- listening ------------------------------------------------------------------------------

    def begin(self, due: Due) -> None:
        """A build begins."""
        with self._news():
            self._building = True
            if due.paths:
                self._said = f"changed: {changed(due.paths)}"

    def opened(self, session: Session, names: Sequence[str]) -> None:
        """The project was read."""
        with self._news():
            self.root = session.root
            self._tasks = {name: self._tasks.get(name, Shown(name)) for name in names}

    def __call__(self, event: Event) -> None:
        """Something happens in a build."""
        with self._news():
            if isinstance(event, Planned):
                self._said = f"{event.run} of {event.total} to run"
            elif isinstance(event, Started):
                self._put(event.task, "running", f"{event.cells} cells")
            elif isinstance(event, CellStarted):
                self._put(event.task, "running", f"In [{event.number}] of {event.total}")
            elif isinstance(event, Ended):
                self._end(event.outcome)

    def ended(self, report: Report) -> None:
        """A build has ended."""
        with self._news():
            self._building, self._error = False, ""
            self._said = summary(report)
            self._reports += 1
            for outcome in report.outcomes:
                self._end(outcome)

    def again(self) -> None:
        """A build was cancelled."""
        with self._news():
            self._said = "stopped: a file that it needs has changed"

    def failed(self, error: NbbuildError) -> None:
        """The project cannot be built."""
        with self._news():
            self._building, self._error = False, clean(str(error))

    # -- asking ---------------------------------------------------------------------------------

    def after(self, version: int, *, patience: float) -> tuple[int, bytes | None]:
        """Return the state as JSON, and its version, once it is another than `version`.

        The JSON is None if nothing has changed within `patience` seconds. Raises Closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._version != version, patience)
            if self._closed:
                raise Closed
            return self._version, None if self._version == version else self._state()

    def place(self, task: str) -> BuiltAt | None:
        """Return where the notebook of a task is to be read, None if there is none."""
        with self._changed:
            return self._places.get(task)

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _state(self) -> bytes:
        said: Mapping[str, object] = {
            "building": self._building,
            "said": clean(self._said),
            "error": self._error,
            "report": self._reports,
            "tasks": [*self._tasks.values()],
        }
        return msgspec.json.encode(said)

    def _news(self) -> _News:
        return _News(self)

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _put(self, task: str, state: str, where: str) -> None:
        known = self._tasks.get(task, Shown(task))
        self._tasks[task] = replace(known, state=state, where=clean(where))

    def _end(self, outcome: Outcome) -> None:
        failure = outcome.failure
        where = "" if failure is None else failure.message
        self._put(outcome.task, outcome.kind.value, where)
        stamp = ""
        if outcome.built and self.root is not None:
            path = self.root / outcome.built
            try:
                stamp = str(path.stat().st_mtime_ns)
            except OSError:
                stamp = ""
            self._places[outcome.task] = BuiltAt(path, outcome.task)
        self._tasks[outcome.task] = replace(self._tasks[outcome.task], stamp=stamp)


class _News:
    """A change of the state: with the lock held, and told to all who wait."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __enter__(self) -> None:
        self._site._changed.acquire()

    def __exit__(self, *error: object) -> None:
        self._site._tell()
        self._site._changed.release()
