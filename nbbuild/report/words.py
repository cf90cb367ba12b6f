"""Say what became of the tasks of a build; in the same words on a terminal and in CI."""

from __future__ import annotations

import enum
import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nbbuild.events import Noted
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.text.printable import in_one_line
from nbbuild.text.quantities import duration, number_of

TRACEBACK_LINES = 25
"""How many of the last lines of a traceback are shown without -v."""

_REUSED = (OutcomeKind.FRESH, OutcomeKind.REFRESHED, OutcomeKind.RESTORED)
_ORDER = (
    OutcomeKind.EXECUTED,
    OutcomeKind.REFRESHED,
    OutcomeKind.RESTORED,
    OutcomeKind.FRESH,
    OutcomeKind.FAILED,
    OutcomeKind.BLOCKED,
    OutcomeKind.CANCELLED,
)


class Tone(enum.Enum):
    """What a line is, for those who can colour it."""

    PLAIN = "plain"
    GOOD = "good"
    REUSED = "reused"
    BAD = "bad"
    DIM = "dim"


@dataclass(frozen=True, slots=True)
class Line:
    """One line to print: `lead` may be coloured by its tone, `rest` follows as it is.

    A line of the tone DIM is dim as a whole. In a `row` of a table, `rest` is a name, which a
    terminal cuts to its width.
    """

    lead: str
    rest: str = ""
    tone: Tone = Tone.PLAIN
    row: bool = False

    def __str__(self) -> str:
        return f"{self.lead} {self.rest}" if self.rest else self.lead


_HEADING = re.compile(r"-+\n\w+ +Traceback \(most recent call last\)$")
"""The first lines of IPython's tracebacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is said of a build.

    `silent` leaves only failures, `brief` those and notes, and `failures=False` leaves failures
    out; `verbose` adds notebooks whose results were there already, all reasons and whole
    tracebacks. At the end the `slowest` notebooks that ran are listed, None: all, and with them the
    `critical` path of the build. `shown` turns a path seen from the root into what is to be
    printed.
    """

    silent: bool = False
    brief: bool = False
    failures: bool = True
    verbose: bool = False
    slowest: int | None = 0
    critical: Callable[[Report], tuple[str, ...]] = lambda report: ()
    shown: Callable[[str], str] = str


class Words:
    """Says each thing once: remembers which tasks and notes have been told.

    Not thread-safe: the caller holds a lock.
    """

    def __init__(self, options: Options | None = None) -> None:
        options = options or Options()
        self.silent = options.silent
        self._brief = options.brief or options.silent
        self._failures = options.failures
        self._shown = options.shown
        self._verbose = options.verbose and not options.silent
        self._slowest = options.slowest
        self._critical = options.critical
        self._told: set[str] = set()
        self._notes: set[tuple[str, str]] = set()

    def known(self, task: str) -> None:
        """Take it that what became of `task` has been told, in an earlier build."""
        self._told.add(task)

    def ended(self, outcome: Outcome) -> list[Line]:
        """Return the lines for one outcome; none when it is of no interest."""
        self._told.add(outcome.task)
        lines: list[Line] = []
        if self._is_shown(outcome):
            lines.append(_headline(outcome, self._shown))
            if self._verbose:
                lines += [_dim(f"    because {reason}") for reason in outcome.reasons]
            if outcome.failure is not None:
                lines += self._failure(outcome, outcome.failure)
        for text in outcome.notes:
            lines += self.noted(Noted(outcome.task, text))
        return lines

    def noted(self, event: Noted) -> list[Line]:
        """Return the line for a note, unless it has been told."""
        if event.detail and not self._verbose:
            return []
        if self.silent or (event.task, event.text) in self._notes:
            return []
        self._notes.add((event.task, event.text))
        about = f"{event.task}: " if event.task else ""
        return [Line("note:", about + event.text)]

    def closing(self, report: Report) -> list[Line]:
        """Return the last lines: outcomes that nobody has told, a recap, the sum of the build."""
        lines = [
            line
            for outcome in report.outcomes
            if outcome.task not in self._told
            for line in self.ended(outcome)
        ]
        for problem in report.problems:
            first, *rest = problem.splitlines()
            lines += [Line("error:", first, Tone.BAD), *map(Line, rest)]
        if self._brief:
            return lines
        return [
            *lines,
            *_longest(report, self._slowest),
            *(_chain(report, self._critical(report)) if self._slowest != 0 else ()),
            *(_recap(report, self._shown) if self._failures else ()),
            _sum(report),
        ]

    def printed(self, line: Line) -> str:
        """Return a line as text."""
        return str(line)

    def _is_shown(self, outcome: Outcome) -> bool:
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.BLOCKED) and not self._failures:
            return False
        if outcome.failure is not None or outcome.kind is OutcomeKind.FAILED:
            return True
        if outcome.kind in (*_REUSED, OutcomeKind.CANCELLED):
            return self._verbose  # they are counted
        return not self._brief

    def _failure(self, outcome: Outcome, failure: Failure) -> list[Line]:
        traceback = failure.traceback.rstrip().splitlines()
        if not self._verbose and _HEADING.match("\n".join(traceback[:2])):
            del traceback[:2]  # the line above names the error, and so does the last one
        above = 0 if self._verbose else max(0, len(traceback) - TRACEBACK_LINES)
        lines: list[Line] = []
        if above:
            more = f"{number_of(above, 'line')} above"
            lines.append(_dim(f"    … {more}; all: nbbuild show {shlex.quote(outcome.task)}"))
        lines += [_dim(f"    {line}".rstrip()) for line in traceback[above:]]
        if outcome.kind is OutcomeKind.FAILED and outcome.built:
            look = f"nbbuild show --open {shlex.quote(outcome.task)}"
            lines.append(Line(f"    as far as it went: {self._shown(outcome.built)}"))
            lines.append(Line(f"    to look at it: {look}"))
        if failure.hint:
            lines.append(Line(f"    hint: {failure.hint}"))
        return lines


def nothing_to_do(number: int) -> str:
    """Say that `number` notebooks are up to date."""
    are = "notebook is" if number == 1 else "notebooks are"
    return f"nothing to do: {number} {are} up to date"


def summary(report: Report) -> str:
    """Return a build in one line: what was done, how long it took, and the time saved."""
    kinds = Counter(outcome.kind for outcome in report.outcomes)
    if not kinds and not report.interrupted:
        return "nothing to do: no notebook was asked for"
    idle = not (report.interrupted or report.rendered)
    if set(kinds) == {OutcomeKind.FRESH} and idle:
        return nothing_to_do(len(report.outcomes))
    parts = [f"{kinds[kind]} {kind.value}" for kind in _ORDER if kinds[kind]]
    if report.rendered:
        parts.append(f"{number_of(report.rendered, 'page')} rendered")
    text = f"{', '.join(parts) or 'nothing done'} in {duration(report.seconds)}"
    saved = sum(outcome.saved for outcome in report.outcomes if outcome.kind in _REUSED)
    if round(saved) > 0:
        text += f"; {duration(saved, whole=True)} saved"
    return f"interrupted: {text}" if report.interrupted else text


def _sum(report: Report) -> Line:
    bad = (
        report.interrupted or report.problems or any(o.failure is not None for o in report.outcomes)
    )
    return Line(summary(report), tone=Tone.BAD if bad else Tone.PLAIN)


def _recap(report: Report, shown: Callable[[str], str]) -> list[Line]:
    """Return each failure in a line, unless it is all that the build did.

    What came before it may have scrolled away.
    """
    ran = [o for o in report.outcomes if o.kind not in (*_REUSED, OutcomeKind.CANCELLED)]
    failed = [o for o in ran if o.kind is OutcomeKind.FAILED]
    if not failed or len(ran) == 1:
        return []
    lines = [Line(f"    {in_one_line(_why(one, shown))}") for one in failed]
    return [Line("failed:", tone=Tone.BAD), *lines]


def _longest(report: Report, number: int | None) -> list[Line]:
    """Return the `number` notebooks that took longest, None: all that ran."""
    ran = [o for o in report.outcomes if o.kind in (OutcomeKind.EXECUTED, OutcomeKind.FAILED)]
    slowest = sorted(ran, key=lambda one: (-one.seconds, one.task))[:number]
    if not slowest:
        return []
    times = [duration(one.seconds) for one in slowest]
    wide = max(map(len, times))
    lines = (
        Line(f"    {took.rjust(wide)} ", in_one_line(one.task), row=True)
        for took, one in zip(times, slowest, strict=True)
    )
    return [Line("slowest:"), *lines]


def _chain(report: Report, path: Sequence[str]) -> list[Line]:
    """Return the critical path in a line, if it is more than one notebook."""
    if len(path) < 2:
        return []
    seconds = {one.task: one.seconds for one in report.outcomes}
    took = duration(sum(seconds[name] for name in path))
    return [Line("critical path:", f"{in_one_line(' → '.join(path))}, {took}")]


def _headline(outcome: Outcome, shown: Callable[[str], str]) -> Line:
    tone = TONES.get(outcome.kind, Tone.PLAIN)
    return Line(outcome.kind.value, in_one_line(_what_became(outcome, shown)), tone)


def _what_became(outcome: Outcome, shown: Callable[[str], str]) -> str:
    if outcome.kind is OutcomeKind.EXECUTED:
        uncached = "" if outcome.cached else ", not cached"
        return f"{outcome.task} in {duration(outcome.seconds)}{uncached}"
    if outcome.kind is OutcomeKind.FAILED:
        idle = outcome.failed_before or outcome.not_restored
        after = "" if idle else f" after {duration(outcome.seconds)}"
        return _why(outcome, shown, after)
    if outcome.kind is OutcomeKind.BLOCKED:
        why = outcome.failure.message if outcome.failure else ", ".join(outcome.reasons)
        return f"{outcome.task}: {why}" if why else outcome.task
    return outcome.task


def _why(outcome: Outcome, shown: Callable[[str], str], after: str = "") -> str:
    """Say what failed, where and why."""
    failure = outcome.failure or Failure("error", "no reason is known")
    # The notebook need not be the task's name: a failure has to lead to the file.
    file = shown(outcome.source)
    of = "" if outcome.task == file else f" ({file})"
    before = ", as before" if outcome.failed_before else ""
    cell = ", in " if failure.told != failure.message else ": "
    return f"{outcome.task}{of}{after}{before}{cell}{failure.told}"


def _dim(text: str) -> Line:
    return Line(text, tone=Tone.DIM)


TONES = {
    OutcomeKind.EXECUTED: Tone.GOOD,
    OutcomeKind.REFRESHED: Tone.REUSED,
    OutcomeKind.RESTORED: Tone.REUSED,
    OutcomeKind.FAILED: Tone.BAD,
    OutcomeKind.BLOCKED: Tone.BAD,
    OutcomeKind.FRESH: Tone.DIM,
}
"""What an outcome is, for those who can colour it; of a cancelled one nothing is known."""
