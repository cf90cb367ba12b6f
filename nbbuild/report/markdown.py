"""A report as Markdown: a summary that fits a pull request or the page of a CI run."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator

from nbbuild.model import OutcomeKind
from nbbuild.report.document import Document, TaskRun
from nbbuild.text.printable import clean
from nbbuild.text.quantities import amount, duration

MOST_ROWS = 50
MOST_FAILURES = 20
LONGEST_TEXT = 8000
"""Characters of one traceback; GitHub refuses summaries over 1 MiB."""

_ORDER = (OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED)


def render(document: Document, earlier: Collection[Document] = ()) -> str:
    """Return the Markdown of a report."""
    return "\n".join(_lines(document)) + "\n"


def totals(document: Document) -> str:
    """Return the counts of a report and the time in words."""
    counts = ", ".join(f"{count} {kind}" for kind, count in document.counts.items())
    return f"{counts or 'no notebooks'} in {duration(document.seconds)}"


def _lines(document: Document) -> Iterator[str]:
    yield f"## nbbuild: {_plain(document.project)}, {document.ended}"
    yield ""
    yield f"{totals(document)}."
    saved = sum(one.saved for one in document.tasks)
    if saved >= 1:
        yield f"Reused results had taken {duration(saved)}."
    yield ""
    for problem in document.problems:
        yield f"- {_plain(problem)}"
    failed = [one for one in document.tasks if one.failure is not None]
    for one in failed[:MOST_FAILURES]:
        yield from _failure(one)
    if len(failed) > MOST_FAILURES:
        yield f"… and {len(failed) - MOST_FAILURES} more failures."
        yield ""
    yield from _table(document)
    if len(document.critical_path) > 1:
        yield ""
        path = " → ".join(_plain(name) for name in document.critical_path)
        yield f"Critical path: {path}."
    yield ""
    yield f"<sub>Report {document.id}, nbbuild {_plain(document.nbbuild)}</sub>"


def _failure(task: TaskRun) -> Iterator[str]:
    failure = task.failure
    assert failure is not None
    where = f", {failure.where}" if failure.where else ""
    yield f"### {_plain(task.task)}{_plain(where)}"
    yield ""
    yield _plain(failure.message)
    yield ""
    if failure.source:
        yield from _block(failure.source)
    if failure.traceback:
        yield "<details><summary>Traceback</summary>"
        yield ""
        yield from _block(failure.traceback)
        yield "</details>"
        yield ""
    if failure.hint:
        yield f"Hint: {_plain(failure.hint)}"
        yield ""


def _table(document: Document) -> Iterator[str]:
    fresh = OutcomeKind.FRESH.value
    last = [kind.value for kind in _ORDER]
    shown = [one for one in document.tasks if one.outcome != fresh]
    shown.sort(key=lambda one: (one.outcome not in last, -one.seconds))
    if not shown:
        return
    yield "| notebook | outcome | seconds | memory | why |"
    yield "|---|---|--:|--:|---|"
    for one in shown[:MOST_ROWS]:
        why = one.failure.message if one.failure else one.reasons[0] if one.reasons else ""
        marks = "".join(f" ({mark.kind})" for mark in one.marks)
        memory = amount(one.peak_memory) if one.peak_memory else ""
        name = _plain(one.task)
        yield f"| {name} | {one.outcome}{marks} | {one.seconds:.1f} | {memory} | {_plain(why)} |"
    if len(shown) > MOST_ROWS:
        yield ""
        yield f"… and {len(shown) - MOST_ROWS} more."


def _block(text: str) -> Iterator[str]:
    """Yield `text` as a block of code, whatever is in it."""
    text = clean(text)
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT // 2]}\n…\n{text[-LONGEST_TEXT // 2 :]}"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield text
    yield fence
    yield ""


def _plain(text: str) -> str:
    """Return `text` in one line, with nothing in it that Markdown or HTML would act on."""
    one = html.escape(" ".join(clean(text).split()), quote=False)
    return re.sub(r"(?<!&)([\\`*_\[\]|~@])", r"\\\1", one).replace("://", ":&#8203;//")
