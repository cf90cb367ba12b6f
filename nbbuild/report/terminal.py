"""Show a build on a terminal: a live line per running notebook, a bar, and lasting lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from nbbuild.events import Ended, Event, Noted
from nbbuild.model import Report
from nbbuild.report.progress import Progress
from nbbuild.report.words import Line, Tone, Words
from nbbuild.text.columns import width, without_end, without_start
from nbbuild.text.printable import clean, in_one_line
from nbbuild.text.quantities import duration

STYLES: Final = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.REUSED: "cyan",
    Tone.BAD: "bold red",
    Tone.DIM: "dim",
}
"""How a terminal shows each tone."""
_INDENT: Final = "  "
_GAP: Final = "  "
_BAR: Final = 30
_LEAST_BAR: Final = 5


class QuietConsole(Console):
    """A console that falls silent when nobody reads: rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Write nothing from now on."""
        self.quiet = True

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError:  # a terminal that was closed gives EIO, which is no broken pipe to rich
            self.on_broken_pipe()


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
        self._bar_style = STYLES[Tone.GOOD]
        self._drawn: tuple[int, list[int]] = (0, [])  # for how many columns; the widths of lines
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
                if event.outcome.failure is not None:
                    self._bar_style = STYLES[Tone.BAD]
            elif isinstance(event, Noted) and not event.waits:  # that is in the picture
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
            moving = self._progress.moving
        # The bar must stay in sight, however many notebooks run at once.
        room = max(2, self._console.height - 3 - bool(moving))
        shown = rows if len(rows) <= room else rows[: room - 1]
        parts = [(in_one_line(r.task), r.where, duration(past, whole=True)) for r, past in shown]
        # A full line would count as two for some terminals once they fold it.
        columns = self._console.width - 1
        lines = _aligned(parts, columns)
        if len(rows) > len(shown):
            lines.append(_text(f"  … and {len(rows) - len(shown)} more", style="dim"))
        if moving:
            lines.append(_unbroken(_text(f"{_INDENT}{without_end(moving, columns - 2)}")))
        about = "" if left is None else f"about {duration(left, whole=True)} left"
        bar, bar_width = _bar(fraction, count, about, columns, self._bar_style)
        self._erase_folded(columns)
        self._drawn = (columns, [*(width(line.plain) for line in lines), bar_width])
        return Group(*lines, bar)

    def _erase_folded(self, columns: int) -> None:
        """Erase what the last picture has grown by if the terminal has become narrower.

        Terminals fold lines that no longer fit, and rich goes up by as many lines as it drew.
        """
        before, widths = self._drawn
        if columns >= before:
            return
        more = sum(max(0, wide - 1) // (columns + 1) for wide in widths)
        line_above = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
        erase = (ControlType.ERASE_IN_LINE, 2)
        self._console.control(Control(ControlType.CARRIAGE_RETURN, erase, *(line_above * more)))

    def _print(self, lines: Iterable[Line]) -> None:
        texts = [_line(line, self._console.width) for line in lines]
        if not texts:
            return
        try:
            if self._console.width < self._drawn[0] + 1:
                self._live.refresh()
            # In one go, so that the lines of two notebooks do not mix.
            self._console.print(Text("\n").join(texts), soft_wrap=True)
        except (OSError, ValueError):
            # The terminal is gone. An observer must not end a build by that.
            return


def _aligned(rows: Sequence[tuple[str, str, str]], room: int) -> list[Text]:
    """Return lines of at most `room` columns: a name, where it is, and its time."""
    name, where, time_ = (max((width(row[at]) for row in rows), default=0) for at in range(3))
    left = room - len(_INDENT) - 2 * len(_GAP) - time_
    where = min(where, max(left // 2, left - name))
    name = min(name, left - where)
    lines = []
    for task, at, past in rows:
        task, at = without_start(task, name), without_end(at, where)  # noqa: PLW2901
        line = _text(f"{_INDENT}{task}{' ' * (name - width(task))}")
        line.append(f"{_GAP}{' ' * (where - width(at))}{at}", style="dim")
        line.append(f"{_GAP}{past.rjust(time_)}", style="dim")
        lines.append(_unbroken(line))
    return lines


def _bar(
    fraction: float, count: str, about: str, room: int, style: str
) -> tuple[RenderableType, int]:
    """Return a bar and what is beside it, as much as there is room for, and its width."""
    if len(count) + len(about) + 2 * len(_GAP) > room:
        about = ""
    beside = f"{count}{_GAP}{about}" if about else count
    wide = min(_BAR, room - len(beside) - len(_GAP))
    if wide < _LEAST_BAR:
        return _unbroken(_text(beside)), len(beside)
    bar = ProgressBar(1.0, fraction, width=wide, complete_style=style, finished_style=style)
    grid = Table.grid(padding=(0, len(_GAP)))
    grid.add_row(bar, _text(beside))
    return grid, wide + len(_GAP) + len(beside)


def _line(line: Line, room: int) -> Text:
    lead = _text(line.lead, style=STYLES[line.tone])
    if not line.rest:
        return lead
    rest = clean(line.rest)
    if line.row:
        rest = without_start(rest, max(1, room - width(line.lead) - 1))
    return Text.assemble(lead, " ", rest)


def _text(text: str, style: str = "") -> Text:
    """Return what rich draws, of text that may come from anywhere."""
    return Text(clean(text), style=style)


def _unbroken(text: Text) -> Text:
    """Return a text that stays one line, even if rich thinks it wider than we do."""
    text.no_wrap, text.overflow = True, "crop"
    return text
