"""Show outcomes to people and programs: on a terminal, as plain lines, as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, Protocol, TextIO, TypeAlias

from nbbuild.events import Event, Moved, Planned
from nbbuild.model import Outcome, Report
from nbbuild.report.plain import Plain
from nbbuild.report.words import Options, Words, summary
from nbbuild.text.printable import clean
from nbbuild.text.quantities import amount, duration

__all__ = ["BuildObserver", "LogFormat", "Options", "amount", "duration", "observer", "summary"]

LogFormat: TypeAlias = Literal["auto", "plain", "github"]


class BuildObserver(Protocol):
    """An observer for one build: `with observer(…) as tell: tell.finish(build(tell))`."""

    def __enter__(self) -> BuildObserver: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __call__(self, event: Event) -> None:
        """Take note of an event; called from any thread, never raises."""

    def finish(self, report: Report) -> None:
        """Say what the build came to."""


def observer(
    *,
    stream: TextIO,
    options: Options | None = None,
    log_format: LogFormat = "auto",
    located: Callable[[Outcome], tuple[str, int]] = lambda outcome: (outcome.source, 1),
    environ: Mapping[str, str] = os.environ,
) -> BuildObserver:
    """Return the observer for a build: by itself live lines on a terminal, else plain ones.

    In CI (the variable `CI`) and where TERM is "dumb" a terminal gets plain lines too. `located`
    returns file and line of a failure, for annotations.
    """
    if log_format == "github":
        from nbbuild.report.github import GithubWords

        return Plain(stream, words=GithubWords(options or Options(), located=located), safe=clean)
    options = options or Options()
    words = Words(options)
    plain = Plain(stream, words=words)
    if log_format == "plain" or options.silent or not draws(stream, environ):
        return plain
    return _WhenItRuns(stream, words=words, plain=plain)


def draws(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether `stream` is a terminal to draw on."""
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and not in_ci and environ.get("TERM", "") not in ("", "dumb", "unknown")


class _WhenItRuns:
    """Plain until something is going to run, live from then on.

    rich is not imported before that, so that "nothing to do" stays quick (DESIGN §5).
    """

    def __init__(self, stream: TextIO, *, words: Words, plain: Plain) -> None:
        self._stream = stream
        self._words = words
        self._now: BuildObserver = plain
        self._open = ExitStack()

    def __enter__(self) -> _WhenItRuns:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def __call__(self, event: Event) -> None:
        # Both come before anything runs, so the change needs no lock.
        begins = isinstance(event, Moved) or (isinstance(event, Planned) and event.run > 0)
        if begins and isinstance(self._now, Plain):
            from nbbuild.report.terminal import Terminal, console_on

            self._now = self._open.enter_context(
                Terminal(console_on(self._stream), words=self._words)
            )
        self._now(event)

    def finish(self, report: Report) -> None:
        self._now.finish(report)
