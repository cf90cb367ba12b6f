"""Show a build on a terminal: a live line per running notebook, a bar, and lasting lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nbbuild.events import Ended, Event, Noted
from nbbuild.model import Report
from nbbuild.report.progress import Progress
from nbbuild.report.words import Line, Tone, Words
from nbbuild.text.printable import clean
from nbbuild.text.quantities import duration

STYLES: Final = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.REUSED: "cyan",
    Tone.BAD: "bold red",
    Tone.DIM: "dim",
}
"""How a terminal shows each tone."""
_TO_THE_RIGHT: Final = 34
"""Columns kept for what follows a notebook's name."""


class QuietConsole(Console):
    """A console that falls silent when nobody reads: rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Write nothing from now on."""
        self.quiet = True


def console_on(stream: TextIO) -> Console:
    """Return a console on a stream that is known to be a terminal."""
    return QuietConsole(file=stream, force_terminal=True, highlight=False, emoji=False)


class Terminal:
    """An observer that draws on `console`, called from any thread; `finish` gives the summary.

    The lock guards the counts only and is never held while rich draws: rich has a lock of its
    own, held while it asks for `picture`.
    """

    def __init__(
        self, console: Console, *, words: Words, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._words = words
        self._lock = threading.Lock()
        self._progress = Progress(clock=clock)
        self._live = Live(
            get_renderable=self.picture,
            console=console,
            refresh_per_second=4,
            transient=True,
            # stdout is for data, so it is left alone; a warning on stderr goes above the picture.
            redirect_stdout=False,
            redirect_stderr=console.file is sys.stderr,
        )

    def __enter__(self) -> Terminal:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take note of an event, and print what shall last."""
        with self._lock:
            self._progress.follow(event)
            lines: list[Line] = []
            if isinstance(event, Ended):
                lines = self._words.ended(event.outcome)
            elif isinstance(event, Noted):
                lines = self._words.noted(event)
        self._print(lines)

    def finish(self, report: Report) -> None:
        """Take the live lines away and print the summary of the build."""
        self._live.stop()
        with self._lock:
            lines = self._words.closing(report)
        self._print(lines)

    def picture(self) -> RenderableType:
        """Return the live lines as they are now."""
        with self._lock:
            rows = [(row, self._progress.elapsed(row)) for row in self._progress.rows()]
            fraction = self._progress.fraction()
            count = f"{self._progress.done}/{self._progress.run}"
            left = self._progress.left()
        # The bar must stay in sight, however many notebooks run at once.
        room = max(1, self._console.height - 4)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        for row, seconds in rows[:room]:
            table.add_row(
                _text(f"  {self._short(clean(row.task))}"),
                _text(row.where, style="dim"),
                _text(duration(seconds, whole=True), style="dim"),
            )
        if len(rows) > room:
            table.add_row(_text(f"  … and {len(rows) - room} more", style="dim"))
        about = "" if left is None else f"about {duration(left, whole=True)} left"
        bar = Table.grid(padding=(0, 2))
        drawn = ProgressBar(total=1.0, completed=fraction, width=30)
        bar.add_row(drawn, _text(count), _text(about))
        return Group(table, bar)

    def _short(self, name: str) -> str:
        """Return `name`, without its beginning when it is too long: the end tells more."""
        room = max(8, self._console.width - _TO_THE_RIGHT)
        if cell_len(name) <= room:
            return name
        while cell_len(name) >= room:
            name = name[1:]
        return f"…{name}"

    def _print(self, lines: Iterable[Line]) -> None:
        texts = [_line(line) for line in lines]
        if not texts:
            return
        try:
            # In one go, so that the lines of two notebooks do not mix.
            self._console.print(Text("\n").join(texts), soft_wrap=True)
        except (OSError, ValueError):
            # The terminal is gone. An observer must not end a build by that.
            return


def _line(line: Line) -> Text:
    lead = _text(line.lead, style=STYLES[line.tone])
    return Text.assemble(lead, " ", _text(line.rest)) if line.rest else lead


def _text(text: str, style: str = "") -> Text:
    """Return what rich draws, of text that may come from anywhere."""
    return Text(clean(text), style=style)
