"""Show a build in the log of GitHub Actions: folded tracebacks, and errors at their lines.

What notebooks say is printed so that the runner does not obey it. See GitHub's "Workflow commands".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nbbuild.model import Failure, Outcome
from nbbuild.report.words import Line, Options, Words
from nbbuild.text.printable import clean, disobeyed


@dataclass(frozen=True, slots=True)
class _Command(Line):
    """A line for the runner."""


class GithubWords(Words):
    """Says what `Words` says; `located` returns file and line of a failure."""

    def __init__(self, options: Options, *, located: Callable[[Outcome], tuple[str, int]]) -> None:
        super().__init__(options)
        self._located = located

    def printed(self, line: Line) -> str:
        """Return a line as text; only our own commands are commands."""
        text = super().printed(line)
        return text if isinstance(line, _Command) else disobeyed(text)

    def _failure(self, outcome: Outcome, failure: Failure) -> list[Line]:
        lines = super()._failure(outcome, failure)
        annotation = _Command(self._annotation(outcome, failure))
        if not lines:
            return [annotation]
        group = _Command(f"::group::{_data(f'why {outcome.task} failed')}")
        return [group, *lines, _Command("::endgroup::"), annotation]

    def _annotation(self, outcome: Outcome, failure: Failure) -> str:
        file, line = self._located(outcome)
        cell = f", {failure.where}" if failure.where else ""
        said = {"file": file, "line": str(line), "title": f"{outcome.task}{cell}"}
        about = ",".join(f"{name}={_property(value)}" for name, value in said.items())
        return f"::error {about}::{_data(failure.message)}"


def _data(text: str) -> str:
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
