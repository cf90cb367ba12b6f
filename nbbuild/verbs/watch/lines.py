"""Show a watched project in plain lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from nbbuild.errors import NbbuildError
from nbbuild.events import Ended, Event, Noted, Planned
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.report.plain import Plain
from nbbuild.report.words import Options, Words
from nbbuild.session import Session
from nbbuild.text.printable import clean
from nbbuild.text.quantities import number_of
from nbbuild.verbs.watch.inbox import Due

_MOST = 3  # changed files that are named


class Lines:
    """A listener that writes to `stream`; each build as `nbbuild` would write it.

    `page` is the address of the page. `silent`, `verbose` and `shown` are those of
    `report.observer`. A build in which nothing was to do is worth no word, unless somebody saved a
    file for it.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        page: str = "",
        silent: bool = False,
        verbose: bool = False,
        shown: Callable[[str], str] = str,
    ) -> None:
        self._stream = stream
        self._page = page
        self._silent = silent
        self._verbose = verbose
        self._shown = shown
        self._words = self._anew()
        self._plain = Plain(stream, words=self._words)
        self._failed: dict[str, float] = {}  # task → when it failed, as told
        self._held: list[str] = []  # lines that are written once something happens
        self._quiet = False
        self._number = 0
        self._error = ""  # the last one that was written
        self._notes: set[str] = set()  # of the whole project
        self._told = False  # that it watches

    def begin(self, due: Due) -> None:
        """Say what has changed, at once or once it matters; at first, where the page is."""
        if self._page:
            self._write(f"page: {self._page}")
            self._page = ""
        self._words = self._anew()
        self._plain = Plain(self._stream, words=self._words)
        self._quiet = not due.named
        self._held = [f"changed: {changed(due.paths, self._shown)}"] if due.paths else []
        if due.named:
            self._write_held()

    def opened(self, session: Session, names: Sequence[str]) -> None:
        """Take note of how many tasks there are."""
        self._number = len(names)

    def __call__(self, event: Event) -> None:
        """Write what there is to say of an event."""
        if isinstance(event, Planned) and event.run:
            self._quiet = False
        if isinstance(event, Noted) and not event.task:
            if event.text in self._notes:
                return
            self._notes.add(event.text)
        if self._quiet and isinstance(event, Ended) and event.outcome.kind is OutcomeKind.FRESH:
            return
        if not self._quiet:
            self._write_held()
        if isinstance(event, Ended) and self._is_told(event.outcome):
            self._words.known(event.outcome.task)
        else:
            self._plain(event)

    def ended(self, report: Report) -> None:
        """Write the summary of the build."""
        self._error = ""
        if self._quiet and did_nothing(report):
            self._plain.__exit__(None, None, None)
        else:
            self._write_held()
            self._plain.finish(report)
        if not (self._told or self._silent or report.interrupted):
            self._told = True
            self._write(f"watching {notebooks(self._number)}; Ctrl-C ends")

    def again(self) -> None:
        """Say that the build begins again."""
        self._plain.__exit__(None, None, None)
        self._write("stopped: a file that it needs has changed")

    def failed(self, error: NbbuildError) -> None:
        """Write an error, unless it is the one that was written last."""
        self._plain.__exit__(None, None, None)
        text = str(error)
        if text != self._error:
            self._error = text
            self._write_held()
            self._write(f"error: {text}\nwatching; the build begins again when a file changes")

    def _anew(self) -> Words:
        return Words(Options(silent=self._silent, verbose=self._verbose, shown=self._shown))

    def _is_told(self, outcome: Outcome) -> bool:
        """Return whether a failure stands that was told already."""
        told = self._failed.get(outcome.task) == outcome.when
        if outcome.failure is not None:
            self._failed[outcome.task] = outcome.when
        return told

    def _write_held(self) -> None:
        held, self._held = self._held, []
        for line in held:
            self._write(line)

    def _write(self, text: str) -> None:
        if self._silent and not text.startswith(("error:", "page:")):
            return
        try:
            self._stream.write(clean(f"{text}\n"))
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads


def changed(paths: Sequence[str], shown: Callable[[str], str] = str) -> str:
    """Return the names of a few changed files, and how many more there are."""
    named = [shown(path) for path in paths[:_MOST]]
    more = len(paths) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def notebooks(number: int) -> str:
    """Return a number of notebooks in words."""
    return number_of(number, "notebook")


def did_nothing(report: Report) -> bool:
    """Return whether all was up to date."""
    return not report.problems and all(o.kind is OutcomeKind.FRESH for o in report.outcomes)
