"""Show a watched project on a terminal: while nothing runs, its state stands below all else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nbbuild.errors import NbbuildError
from nbbuild.events import Ended, Event, Noted, Planned
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.report.terminal import STYLES, Terminal, console_on
from nbbuild.report.words import TONES, Options, Tone, Words, summary
from nbbuild.session import Session
from nbbuild.text.printable import clean, in_one_line
from nbbuild.text.quantities import duration
from nbbuild.verbs.watch.inbox import Due
from nbbuild.verbs.watch.lines import changed, did_nothing, notebooks

_BELOW = 3  # lines of the picture beside the notebooks

_QUIET = (OutcomeKind.FRESH, OutcomeKind.CANCELLED)


class Board:
    """A listener that draws on the terminal `stream`.

    While a build runs, it is drawn as `nbbuild` would. In between, the picture names the notebooks
    that failed or are blocked, those of the last build, and how it ended. It is drawn over at the
    next build: only failures, with their tracebacks, and notes stay above it. `page` is the
    address of the page that `--serve` gives.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        page: str = "",
        verbose: bool = False,
        shown: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._console = console_on(stream)
        self._page = page
        self._verbose = verbose
        self._shown = shown
        self._clock = clock
        self._live: Live | None = None
        self._terminal: Terminal | None = None
        self._lock = threading.Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._last: frozenset[str] = frozenset()  # what the last build did something with
        self._said = self._at = ""
        self._named = True  # whether somebody saved a file for this build
        self._number = 0
        self._error = ""
        self._notes: set[str] = set()

    def begin(self, due: Due) -> None:
        """Say what has changed, until the build begins to run something."""
        self._named = due.named
        if due.paths and due.named:
            self._say(f"changed: {changed(due.paths, self._shown)}")
            self._draw()

    def opened(self, session: Session, names: Sequence[str]) -> None:
        """Take note of which tasks there are."""
        self._number = len(names)
        self._outcomes = {name: self._outcomes[name] for name in names if name in self._outcomes}

    def __call__(self, event: Event) -> None:
        """Draw an event of the build; the picture of the running build begins with the first."""
        if isinstance(event, Noted) and not event.task:
            if event.text in self._notes:
                return
            self._notes.add(event.text)
        with self._lock:
            if self._terminal is None and (isinstance(event, Noted) or _runs(event)):
                self._take_away()
                words = Words(
                    Options(brief=not self._verbose, verbose=self._verbose, shown=self._shown)
                )
                self._terminal = Terminal(self._console, words=words).__enter__()
        if self._terminal is not None and not self._is_told(event):
            self._terminal(event)

    def ended(self, report: Report) -> None:
        """Draw the state as it is now."""
        self._stop()
        self._error = ""
        self._outcomes |= {one.task: one for one in report.outcomes}
        if not did_nothing(report):  # else what was done last says more
            done = (one.task for one in report.outcomes if one.kind not in _QUIET)
            self._last = frozenset(done)
        if self._named or not did_nothing(report):
            self._say(summary(report))
        for problem in report.problems:
            self._console.print(
                Text(clean(f"error: {problem}"), style=STYLES[Tone.BAD]), soft_wrap=True
            )
        self._draw()

    def again(self) -> None:
        """Say that the build begins again."""
        self._stop()
        self._say("stopped: a file that it needs has changed")
        self._draw()

    def failed(self, error: NbbuildError) -> None:
        """Draw an error instead of the state."""
        self._stop()
        self._error = str(error)
        self._draw()

    def close(self) -> None:
        """Take the picture away."""
        self._stop()
        self._take_away()

    def picture(self) -> RenderableType:
        """Return the state as it is drawn between builds."""
        rows = [one for one in self._outcomes.values() if self._is_shown(one)]
        table = Table.grid(padding=(0, 2))
        # Wide enough for each kind: what is said of a notebook is shortened, not its kind.
        widest = max((len(one.kind.value) for one in rows), default=0)
        table.add_column(no_wrap=True, min_width=widest + 2)
        table.add_column(no_wrap=True, overflow="ellipsis")
        room = max(1, self._console.height - _BELOW - 2)
        for one in rows[:room]:
            style = STYLES[TONES[one.kind]]
            table.add_row(Text(f"  {one.kind.value}", style=style), Text(_row(one, self._shown)))
        if len(rows) > room:
            table.add_row(Text("  …", style="dim"), Text(f"and {len(rows) - room} more"))
        whole = Table.grid()
        whole.add_column(overflow="fold")
        if rows:
            whole.add_row(table)
        if self._error:
            whole.add_row(Text(clean(f"error: {self._error}"), style=STYLES[Tone.BAD]))
        elif self._said:
            whole.add_row(Text(clean(f"{self._at}  {self._said}")))
        page = f" · {self._page}" if self._page else ""
        waits = f"watching {notebooks(self._number)}{page} · Ctrl-C ends"
        whole.add_row(Text(waits, style="dim"))
        return whole

    def _is_shown(self, outcome: Outcome) -> bool:
        bad = outcome.kind in (OutcomeKind.FAILED, OutcomeKind.BLOCKED)
        return bad or (outcome.task in self._last and outcome.kind not in _QUIET)

    def _is_told(self, event: Event) -> bool:
        """Return whether a failure stands that was drawn already."""
        if not isinstance(event, Ended) or event.outcome.failure is None:
            return False
        known = self._outcomes.get(event.outcome.task)
        if known is None or known.failure is None:
            return False
        return known.when == event.outcome.when

    def _say(self, text: str) -> None:
        self._said = text
        self._at = time.strftime("%H:%M:%S", time.localtime(self._clock()))

    def _draw(self) -> None:
        if self._terminal is not None:
            return
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=self._console.file is sys.stderr,
            )
            self._live.start()
        self._live.update(self.picture(), refresh=True)

    def _take_away(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _stop(self) -> None:
        """End the picture of the running build."""
        with self._lock:
            terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.__exit__(None, None, None)


def _runs(event: Event) -> bool:
    return isinstance(event, Planned) and event.run > 0


def _row(outcome: Outcome, shown: Callable[[str], str]) -> str:
    """Return what is said of a task in one line."""
    if outcome.kind is OutcomeKind.EXECUTED:
        return in_one_line(f"{outcome.task} in {duration(outcome.seconds)}")
    failure = outcome.failure
    if failure is None:
        why = ", ".join(outcome.reasons) if outcome.kind is OutcomeKind.BLOCKED else ""
        return in_one_line(f"{outcome.task}: {why}" if why else outcome.task)
    return in_one_line(f"{outcome.task}{_where(failure)}: {failure.message}")


def _where(failure: Failure) -> str:
    return f", in {failure.where}" if failure.where else ""
