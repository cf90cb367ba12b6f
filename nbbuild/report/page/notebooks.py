"""A part of the page for each notebook: reasons, failure, cells, history, marks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nbbuild.report.document import CellRun, Document, Failed, TaskRun
from nbbuild.report.page.badges import anchors, badge
from nbbuild.text.markup import NOTHING, Markup, joined, tag
from nbbuild.text.quantities import amount, duration

MOST_RUNS = 30
"""How many runs a history shows."""

_RAN = ("executed", "failed")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a task, in one build."""

    build: str
    seconds: float
    failed: bool


def section(document: Document, earlier: Collection[Document]) -> Markup:
    """Return the parts of all tasks."""
    ids = anchors(document)
    past = histories([document, *earlier])
    parts = [_part(one, ids, past.get(one.task, ())) for one in document.tasks]
    heading = tag("h2", "Details", id="details")
    return tag("section", heading, *parts, aria_labelledby="details")


def histories(documents: Collection[Document]) -> Mapping[str, Sequence[Ran]]:
    """Return task → its runs, oldest first; `documents` come newest first."""
    found: dict[str, list[Ran]] = {}
    for document in documents:
        for task in document.tasks:
            runs = found.setdefault(task.task, [])
            if task.executed and task.outcome in _RAN and len(runs) < MOST_RUNS:
                runs.append(Ran(document.id, task.seconds, task.outcome == "failed"))
    return {name: runs[::-1] for name, runs in found.items()}


def _part(task: TaskRun, ids: Mapping[str, str], runs: Sequence[Ran]) -> Markup:
    took = f" {duration(task.seconds)}" if task.begin is not None else ""
    marks = [tag("span", one.kind, class_="mark") for one in task.marks]
    title = tag("h3", task.task)
    return tag(
        "details",
        tag("summary", title, " ", badge(task.outcome), *marks, tag("span", took, class_="took")),
        _facts(task, ids),
        _failure(task.failure) if task.failure else NOTHING,
        _list("Notes", task.notes),
        _list("Marks", [f"{one.kind}: {one.text}" for one in task.marks]),
        _cells(task.cells),
        _history(runs),
        id=ids[task.task],
        open=task.failure is not None,
        class_=f"task {task.outcome}",
    )


def _facts(task: TaskRun, ids: Mapping[str, str]) -> Markup:
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in _known(task, ids)]
    return tag("dl", *rows, class_="facts")


def _known(task: TaskRun, ids: Mapping[str, str]) -> Iterator[tuple[str, Markup]]:
    if task.source != task.task:
        yield "Notebook", joined(task.source)
    for reason in task.reasons:
        yield "Because", joined(reason)
    if task.begin is not None and task.end is not None:
        slot = f", slot {task.slot}" if task.slot is not None else ""
        yield "When", joined(f"{task.begin:.1f} s to {task.end:.1f} s{slot}")
    if task.peak_memory:
        yield "Memory", joined(f"{amount(task.peak_memory)} at most")
    if task.cpu_seconds:
        yield "CPU", joined(duration(task.cpu_seconds))
    if task.saved:
        yield "Reused", joined(f"a run that had taken {duration(task.saved)}")
    if task.upstream:
        links = [
            tag("li", tag("a", name, href=f"#{ids[name]}") if name in ids else joined(name))
            for name in task.upstream
        ]
        yield "Waits for", tag("ul", *links)
    if task.built:
        yield ("As far as it went" if task.failure else "Built"), joined(task.built)


def _failure(failure: Failed) -> Markup:
    where = f"{failure.where}: " if failure.where else ""
    return tag(
        "div",
        tag("p", where, tag("strong", failure.message)),
        _pre("Cell", failure.source),
        _pre("Traceback", failure.traceback),
        tag("p", f"Hint: {failure.hint}") if failure.hint else NOTHING,
        class_="failure",
    )


def _pre(name: str, text: str) -> Markup:
    if not text:
        return NOTHING
    return joined(tag("h4", name), tag("pre", text, tabindex="0", role="region", aria_label=name))


def _list(name: str, texts: Sequence[str]) -> Markup:
    if not texts:
        return NOTHING
    return joined(tag("h4", name), tag("ul", *(tag("li", text) for text in texts)))


def _cells(cells: Sequence[CellRun]) -> Markup:
    if not cells:
        return NOTHING
    most = max((cell.seconds or 0.0 for cell in cells), default=0.0) or 1.0
    heads = [
        tag("th", name, scope="col", class_="number" if name != "" else None)
        for name in ("Cell", "In", "Begins", "Seconds")
    ]
    rows = [_cell(cell, most) for cell in cells]
    whole = tag(
        "table",
        tag("caption", "Cells", class_="hidden"),
        tag("thead", tag("tr", *heads, tag("td"))),
        tag("tbody", *rows),
        class_="cells",
    )
    return joined(tag("h4", "Cells"), whole)


def _cell(cell: CellRun, most: float) -> Markup:
    begin = f"{cell.begin:.2f}" if cell.begin is not None else ""
    spent = f"{cell.seconds:.3f}" if cell.seconds is not None else "did not end"
    width = 100 * (cell.seconds or 0.0) / most
    bar = tag(
        "svg",
        tag("rect", x=0.0, y=0.0, width=max(0.5, width), height=10.0, class_="spark"),
        viewBox="0 0 100 10",
        width="100",
        height="10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return tag(
        "tr",
        tag("th", str(cell.position or ""), scope="row", class_="number"),
        tag("td", f"[{cell.execution_count}]", class_="number"),
        tag("td", begin, class_="number"),
        tag("td", spent, class_="number"),
        tag("td", bar),
    )


def _history(runs: Sequence[Ran]) -> Markup:
    if len(runs) < 2:
        return NOTHING
    most = max(one.seconds for one in runs) or 1.0
    bars = []
    for number, one in enumerate(runs):
        height = max(1.5, 40 * one.seconds / most)
        said = f"{one.build}: {'failed after ' if one.failed else ''}{duration(one.seconds)}"
        kind = "spark bad" if one.failed else "spark"
        shape = tag(
            "rect",
            tag("title", said),
            x=number * 9.0,
            y=42 - height,
            width=7.0,
            height=height,
            class_=kind,
        )
        bars.append(shape)
    texts = ", ".join(f"{one.seconds:.1f}{' (failed)' if one.failed else ''}" for one in runs)
    drawing = tag(
        "svg",
        *bars,
        viewBox=f"0 0 {9 * len(runs)} 42",
        width=str(9 * len(runs)),
        height="42",
        role="img",
        aria_label=f"Seconds of the last {len(runs)} runs, oldest first: {texts}",
        class_="history",
    )
    note = f"{len(runs)} runs, oldest first; the tallest took {duration(most)}"
    return joined(tag("h4", "History"), tag("p", drawing), tag("p", note, class_="note"))
