"""All notebooks in one table, which the page's script lets readers sort and search."""

from __future__ import annotations

from collections.abc import Mapping

from nbbuild.model import OutcomeKind
from nbbuild.report.document import Document, TaskRun
from nbbuild.report.page.badges import anchors, badge, link
from nbbuild.text.markup import Markup, joined, shortened, tag
from nbbuild.text.quantities import amount

_COLUMNS = (
    ("Notebook", ""),
    ("Outcome", ""),
    ("Seconds", "number"),
    ("CPU", "number"),
    ("Memory", "number"),
    ("Slot", "number"),
    ("Why", ""),
)
_WORST_FIRST = [kind.value for kind in reversed(OutcomeKind)]
_LONGEST = 160  # letters of a reason; the notebook's own part has all


def section(document: Document) -> Markup:
    """Return the table with its field for searching, which appears where scripts run."""
    ids = anchors(document)
    heads = [
        tag("th", name, scope="col", class_=kind or None, aria_sort="none")
        for name, kind in _COLUMNS
    ]
    search = tag(
        "p",
        tag("label", "Search ", tag("input", type="search", id="search", autocomplete="off")),
        tag("span", role="status", id="found"),
        class_="search",
        hidden=True,
    )
    whole = tag(
        "table",
        tag("caption", "Notebooks of this build", class_="hidden"),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *(_row(one, ids) for one in document.tasks)),
        id="tasks",
    )
    return tag(
        "section",
        tag("h2", "Notebooks", id="notebooks"),
        search,
        tag("div", whole, class_="wide", tabindex="0", role="region", aria_label="Notebooks"),
        aria_labelledby="notebooks",
    )


def _row(task: TaskRun, ids: Mapping[str, str]) -> Markup:
    marks = [tag("span", one.kind, class_="mark") for one in task.marks]
    why = task.failure.message if task.failure else task.reasons[0] if task.reasons else ""
    order = _WORST_FIRST.index(task.outcome) if task.outcome in _WORST_FIRST else 99
    return tag(
        "tr",
        tag("th", link(task, ids), scope="row"),
        tag("td", badge(task.outcome), joined(*marks), data_order=f"{order:02d}"),
        _number(task.seconds if task.begin is not None else None, "{:.1f}"),
        _number(task.cpu_seconds, "{:.1f}"),
        _number(task.peak_memory, "", amount(task.peak_memory or 0)),
        _number(task.slot, "{}"),
        tag("td", shortened(why, _LONGEST)),
    )


def _number(value: float | None, form: str, shown: str = "") -> Markup:
    if value is None:
        return tag("td", class_="number", data_order="-1")
    return tag("td", shown or form.format(value), class_="number", data_order=repr(value))
