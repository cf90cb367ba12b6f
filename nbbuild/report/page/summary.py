"""The head of the page: how the build ended, in numbers, and the foot with versions."""

from __future__ import annotations

import time

from nbbuild.report.document import Document
from nbbuild.report.page.badges import anchors, badge
from nbbuild.text.markup import NOTHING, Markup, joined, tag
from nbbuild.text.quantities import amount, duration


def title(document: Document) -> str:
    """Return the title of the page."""
    return f"{document.project}: {document.ended} – nbbuild"


def header(document: Document) -> Markup:
    """Return the heading, with when and what."""
    when = time.gmtime(document.began)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", when)
    stamp = tag("time", shown, datetime=time.strftime("%Y-%m-%dT%H:%M:%SZ", when))
    targets = f", targets {' '.join(document.targets)}" if document.targets else ""
    return tag(
        "header",
        tag("h1", document.project, " ", tag("span", document.ended, class_=_class(document))),
        tag("p", "Built ", stamp, f" in {duration(document.seconds)}{targets}."),
    )


def _class(document: Document) -> str:
    return f"verdict {'bad' if document.exit_status or document.interrupted else 'good'}"


def tiles(document: Document) -> Markup:
    """Return the numbers."""
    by_name = {one.task: one for one in document.tasks}
    longest = sum(by_name[name].seconds for name in document.critical_path if name in by_name)
    worked = sum(one.seconds for one in document.tasks if one.executed)
    saved = sum(one.saved for one in document.tasks)
    most = max((one.peak_memory or 0 for one in document.tasks), default=0)
    used = sum(one.cpu_seconds or 0.0 for one in document.tasks)
    facts = [(badge(kind), str(count)) for kind, count in document.counts.items()]
    facts += [
        (joined("whole build"), duration(document.seconds)),
        (joined("slots"), str(document.slots)),
    ]
    if document.critical_path:
        facts.append((joined("critical path"), duration(longest)))
    if worked:
        facts.append((joined("notebooks ran for"), duration(worked)))
    if saved >= 1:
        facts.append((joined("reused runs had taken"), duration(saved)))
    if most:
        facts.append((joined("most memory of a kernel"), amount(most)))
    if used:
        facts.append((joined("CPU of kernels"), duration(used)))
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts]
    return tag(
        "section",
        tag("h2", "Summary", id="summary"),
        tag("dl", *rows, class_="tiles"),
        _path(document),
        aria_labelledby="summary",
    )


def _path(document: Document) -> Markup:
    if len(document.critical_path) < 2:
        return NOTHING
    ids = anchors(document)
    links = [tag("li", tag("a", name, href=f"#{ids[name]}")) for name in document.critical_path]
    return tag("div", tag("p", "Critical path:"), tag("ol", *links), class_="path")


def problems(document: Document) -> Markup:
    """Return the problems that belong to no task."""
    if not document.problems:
        return NOTHING
    rows = [tag("li", tag("pre", text)) for text in document.problems]
    heading = tag("h2", "Problems", id="problems")
    return tag("section", heading, tag("ul", *rows), aria_labelledby="problems")


def footer(document: Document) -> Markup:
    """Return what made the page."""
    made = f"Report {document.id}, nbbuild {document.nbbuild}, Python {document.python}."
    return tag("footer", tag("p", made))
