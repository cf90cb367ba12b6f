"""Show a build in Sphinx's own way: lines as it goes, and a warning for each failure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from nbbuild.bridges.sphinx_building import DocumentationBuild
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.report import BuildObserver, Options, observer
from nbbuild.text.printable import printed

if TYPE_CHECKING:
    from nbbuild.config.types import Config

KIND = "nbbuild"
"""The type of all warnings, for `suppress_warnings`."""


class _LogStream(io.StringIO):
    """A stream that hands each line to Sphinx's logger."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._logger.info("nbbuild: %s", line)
        return len(text)


@contextmanager
def progress(logger: Any, *, verbose: bool) -> Iterator[BuildObserver]:
    """Yield an observer that writes to Sphinx's log what nbbuild writes in CI."""
    stream = cast("TextIO", _LogStream(logger))
    with observer(stream=stream, options=Options(verbose=verbose), log_format="plain") as tell:
        yield tell


def warn(logger: Any, built: DocumentationBuild) -> None:
    """Warn of each notebook without a result, at its line, and of what else went wrong."""
    for outcome in built.report.outcomes:
        place = built.places.get(outcome.task)
        if place is None:
            continue
        file, line = place
        failed = outcome.kind is OutcomeKind.FAILED
        logger.warning(
            "%s: %s",
            printed(outcome.task),
            printed(_why(outcome)),
            location=f"{file}:{line}",
            type=KIND,
            subtype="failed" if failed else "blocked",
        )
    for problem in built.problems:
        logger.warning("%s", printed(problem), type=KIND, subtype="problem")


def refusal(report: Report, config: Config) -> str:
    """Return why a build with `nbbuild_execute = "never"` cannot go on, "" if it can."""
    lacking = [one for one in report.outcomes if one.not_restored]
    if not lacking:
        return ""
    those = "a notebook" if len(lacking) == 1 else f"{len(lacking)} notebooks"
    lines = [f"{those} would have to run, and nbbuild_execute is 'never'"]
    lines += [
        f"  {one.task}: {_why(one).removeprefix('it would have to run: ')}"
        for one in report.outcomes
        if one.not_restored or one.kind is OutcomeKind.BLOCKED
    ]
    where = f"run `nbbuild` in '{config.root}' where notebooks are executed"
    return "\n".join([*lines, "", f"hint: {where}, and bring its cache here"])


def _why(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return outcome.failure.told
    return "; ".join(outcome.reasons) or outcome.kind.value
