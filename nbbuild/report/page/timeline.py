"""What ran where: a row for each slot, notebooks as bars, their cells as lines inside."""

from __future__ import annotations

import math
from collections.abc import Iterator

from nbbuild.report.document import Document, TaskRun
from nbbuild.report.page.badges import SIGNS, anchors
from nbbuild.report.page.figure import figure
from nbbuild.text.markup import NOTHING, Markup, joined, shortened, tag
from nbbuild.text.quantities import duration

_LEFT, _WIDTH, _ROW, _TOP = 90.0, 1000.0, 30.0, 24.0
_LETTER = 7.0  # wide, at most
_TICKS = 8


def section(document: Document) -> Markup:
    """Return the timeline, nothing if nothing was done."""
    shown = [one for one in document.tasks if one.begin is not None and one.end is not None]
    if not shown:
        return NOTHING
    rows = sorted({one.slot or math.inf for one in shown})
    places = {row: number for number, row in enumerate(rows)}
    ends = max(document.seconds, *(one.end or 0.0 for one in shown)) or 1.0
    scale = (_WIDTH - _LEFT - 10) / ends
    height = _TOP + len(rows) * _ROW + 6
    ids, critical = anchors(document), set(document.critical_path)
    drawing = tag(
        "svg",
        *_axis(ends, scale, height),
        *(_label(row, number) for number, row in enumerate(rows)),
        *(
            _bar(
                one,
                _TOP + places[one.slot or math.inf] * _ROW,
                scale,
                critical=one.task in critical,
                href=f"#{ids[one.task]}",
            )
            for one in shown
        ),
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        role="img",
        aria_label=f"Timeline of {len(shown)} notebooks; the table of notebooks has the same times",
    )
    note = "A thick frame marks the critical path. Lines inside a bar are its cells."
    return figure("Timeline", drawing, note, id="timeline")


def _axis(ends: float, scale: float, height: float) -> Iterator[Markup]:
    step = _step(ends / _TICKS)
    for number in range(math.floor(ends / step) + 1):
        x = _LEFT + number * step * scale
        yield tag("line", x1=x, x2=x, y1=_TOP - 6, y2=height, class_="grid")
        text = f"{number * step:g} s" if ends < 120 else duration(number * step, whole=True)
        anchor = "start" if number == 0 else "middle"
        if x < _WIDTH - 20:
            yield tag("text", text, x=x, y=12.0, text_anchor=anchor, class_="axis")


def _step(least: float) -> float:
    """Return a round number of seconds that is not less than `least`."""
    nice = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    if least <= 1:
        power = 10.0 ** math.floor(math.log10(max(least, 1e-3)))
        return next(power * one for one in (1, 2, 5, 10) if power * one >= least)
    return next((one for one in nice if one >= least), 3600 * math.ceil(least / 3600))


def _label(row: float, number: int) -> Markup:
    name = "from store" if row == math.inf else f"slot {row}"
    return tag("text", name, x=4.0, y=_TOP + number * _ROW + 18, class_="axis")


def _bar(task: TaskRun, y: float, scale: float, *, critical: bool, href: str) -> Markup:
    assert task.begin is not None
    assert task.end is not None
    x = _LEFT + task.begin * scale
    width = max(2.0, (task.end - task.begin) * scale)
    kind = f"bar {task.outcome}{' critical' if critical else ''}"
    said = f"{task.task}: {task.outcome}, {duration(task.end - task.begin)}"
    letters = int((width - 8) / _LETTER)
    name = f"{SIGNS.get(task.outcome, '')} {task.task}"
    text = tag("text", shortened(name, letters), x=x + 5, y=y + 17) if letters > 3 else NOTHING
    cells = [
        tag("line", x1=at, x2=at, y1=y + 20, y2=y + 25, class_="cell")
        for cell in task.cells
        if cell.begin is not None and (at := _LEFT + cell.begin * scale) < x + width
    ]
    return tag(
        "a",
        tag("title", f"{said}{', on the critical path' if critical else ''}"),
        tag("rect", x=x, y=y + 1, width=width, height=_ROW - 5, rx=3.0, class_=kind),
        joined(*cells),
        text,
        href=href,
        tabindex="-1",
    )
