"""Build, wait until something changes, and build again, until an interrupt.

Each build opens the project anew, so a new configuration and new notebooks need no care. What takes
time stays (building/standby.py). A project that cannot be opened is waited for like any other
change.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nbbuild.building.pipeline import build
from nbbuild.building.standby import Standby
from nbbuild.errors import NbbuildError
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.session import Session
from nbbuild.verbs.watch.inbox import Due, Inbox
from nbbuild.verbs.watch.listeners import Listener
from nbbuild.verbs.watch.listening import Listening
from nbbuild.verbs.watch.meanings import Known, Meanings, may_be_loaded

_MOST_OUTSIDE = 64  # folders that are watched outside the project


class Watch:
    """Watches the project in `root`; `opening()` opens it as it is now."""

    def __init__(
        self,
        root: Path,
        opening: Callable[[], Session],
        *,
        targets: Sequence[str] = (),
        jobs: int | None = None,
        listener: Listener,
        stopping: threading.Event | None = None,
    ) -> None:
        """An interrupt sets `stopping` before it is raised, so that none is lost in a build."""
        self._root = Path(os.path.realpath(root))
        self._opening = opening
        self._targets = targets
        self._jobs = jobs
        self._listener = listener
        self._stopping = threading.Event() if stopping is None else stopping
        self._inbox = Inbox(self._root)
        self._known = Known()
        self._meanings = Meanings()
        self._ran = ""  # the task that ran last
        self._failed: dict[str, Outcome] = {}
        self._outside: frozenset[str] = frozenset()
        self._around = ExitStack()  # listens to the folders outside

    def run(self) -> None:
        """Build and wait, again and again. Ends by raising what ends it: an interrupt, mostly."""
        with (
            Standby() as standby,
            Listening([self._root], self._inbox.put, deep=True),
            self._around,
        ):
            due = Due()
            while True:
                if any(map(may_be_loaded, due.paths)):
                    standby.drop_kernel()
                self._build(standby, due)
                due = self._inbox.wait()

    def _build(self, standby: Standby, due: Due) -> None:
        """Build once, and say what comes of it."""
        cancelled = self._inbox.begin(due)
        self._listener.begin(due)
        interrupted = False
        try:
            with self._opened() as (session, names):
                with standby.lent(session, jobs=self._jobs) as supply:
                    report = build(
                        session,
                        targets=self._targets,
                        jobs=self._jobs,
                        observer=self._listener,
                        cancelled=cancelled,
                        supply=supply,
                        standing=self._standing(session, due),
                    )
                interrupted = report.interrupted and self._is_interrupt(cancelled)
                if not report.interrupted:
                    self._learn(session, names, report)
                if report.interrupted and not interrupted:
                    self._listener.again()
                else:
                    self._listener.ended(report)
                if names and not report.interrupted:
                    standby.get_ready(session, self._next(session, names, report))
        except NbbuildError as error:
            self._listener.failed(error)
        except OSError as error:  # a file that has just gone, a disk that is full
            told = NbbuildError(error.strerror or str(error), facts=_files(error))
            self._listener.failed(told)
        if interrupted:
            raise KeyboardInterrupt
        self._inbox.know(self._meanings)
        self._inbox.end()

    def _is_interrupt(self, cancelled: threading.Event) -> bool:
        """Return whether more than a changed file has ended a build."""
        return self._stopping.is_set() or not cancelled.is_set()

    @contextmanager
    def _opened(self) -> Iterator[tuple[Session, Sequence[str]]]:
        """Yield the open project and the tasks to build."""
        with self._opening() as session:
            names = session.wanted(self._targets)
            self._meanings = self._known.meanings(session, names)
            self._inbox.know(self._meanings)
            self._listener.opened(session, names)
            yield session, names

    def _standing(self, session: Session, due: Due) -> dict[str, Outcome]:
        """Return the failures that need no other try, since only other notebooks were saved.

        What a failed run used is not known: any other file may be what it needs.
        """
        tasks = session.graph.tasks
        saved = [one for one in tasks.values() if {one.source, *one.paired} & {*due.paths}]
        files = {path for one in saved for path in (one.source, *one.paired)}
        if not due.paths or not files.issuperset(due.paths):
            return {}
        concerned, todo = set[str](), [one.name for one in saved]
        while todo:
            concerned.add(name := todo.pop())
            todo += [one for one in session.graph.downstream(name) if one not in concerned]
        failed = self._failed.items()
        return {name: one for name, one in failed if name in tasks and name not in concerned}

    def _learn(self, session: Session, names: Sequence[str], report: Report) -> None:
        self._known.learn(session, report)
        self._failed = {o.task: o for o in report.outcomes if o.kind is OutcomeKind.FAILED}
        self._meanings = self._known.meanings(session, names)
        self._listen_outside()

    def _next(self, session: Session, names: Sequence[str], report: Report) -> str:
        """Return the task that will probably run next: the last that ran, or was edited."""
        ran = [one for one in report.outcomes if one.kind in _RAN]
        if ran:
            self._ran = max(ran, key=_when).task
        if self._ran not in names:
            edited = {name: _edited(session, name) for name in names}
            self._ran = max(edited, key=edited.__getitem__)
        return self._ran

    def _listen_outside(self) -> None:
        """Listen to the folders outside the project in which inputs lie."""
        places = (os.path.normpath(self._root / one) for one in self._meanings.outside())
        folders = frozenset(sorted(one for one in places if os.path.isdir(one))[:_MOST_OUTSIDE])  # noqa: PTH112
        if folders != self._outside:
            self._outside = folders
            self._around.close()
            if folders:
                paths = [Path(one) for one in sorted(folders)]
                self._around.enter_context(Listening(paths, self._inbox.put, deep=False))


_RAN = (OutcomeKind.EXECUTED, OutcomeKind.FAILED)


def _files(error: OSError) -> list[tuple[str, str]]:
    names = (error.filename, error.filename2)
    return [("file", os.fsdecode(name)) for name in names if isinstance(name, str | bytes)]


def _when(outcome: Outcome) -> float:
    return outcome.when


def _edited(session: Session, name: str) -> float:
    try:
        return (session.root / session.graph.tasks[name].source).stat().st_mtime
    except OSError:
        return 0.0
