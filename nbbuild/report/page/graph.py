"""What depends on what: tasks as boxes in layers, each to the right of all that it waits for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from nbbuild.report.document import Document, TaskRun
from nbbuild.report.page.badges import SIGNS, anchors
from nbbuild.report.page.figure import figure
from nbbuild.text.markup import NOTHING, Markup, shortened, tag

MOST = 300
"""Larger graphs are cut down to what was done, and then left out."""

_BOX, _HIGH, _ACROSS, _DOWN, _LETTERS = 176.0, 26.0, 226.0, 36.0, 20
_SWEEPS = 4


def section(document: Document) -> Markup:
    """Return the graph, nothing if no task waits for another."""
    linked = _linked(document.tasks)
    if not linked:
        return NOTHING
    note = "Arrows lead to what waits. A thick frame marks the critical path."
    if len(linked) > MOST:
        linked = _linked([one for one in linked if one.outcome != "fresh"])
        note += " Notebooks with nothing to do are left out."
    alone = len(document.tasks) - len(_linked(document.tasks))
    if alone:
        note += f" {alone} that nothing depends on, and that depend on nothing, are not shown."
    if not linked or len(linked) > MOST:
        drawing = tag("p", "The graph is too large to be drawn.")
    else:
        drawing = _drawing(document, linked)
    return figure("Dependencies", drawing, note, id="graph")


def _linked(tasks: Iterable[TaskRun]) -> list[TaskRun]:
    """Return the tasks that wait for another one of them, or that another waits for."""
    tasks = list(tasks)
    names = {one.task for one in tasks}
    needed = {name for one in tasks for name in one.upstream if name in names}
    return [one for one in tasks if one.task in needed or names.intersection(one.upstream)]


def layers(tasks: Sequence[TaskRun]) -> list[list[str]]:
    """Return names layer by layer, in an order within each that keeps most arrows apart."""
    depth: dict[str, int] = {}
    for one in tasks:  # they are in the graph's order
        depth[one.task] = 1 + max(
            (depth[name] for name in one.upstream if name in depth), default=-1
        )
    found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, number in depth.items():
        found[number].append(name)
    above = {one.task: [name for name in one.upstream if name in depth] for one in tasks}
    below: dict[str, list[str]] = {name: [] for name in depth}
    for name, others in above.items():
        for other in others:
            below[other].append(name)
    for sweep in range(_SWEEPS):
        near = below if sweep % 2 else above
        places = {name: place for row in found for place, name in enumerate(row)}
        for row in found:
            row.sort(key=lambda name: _middle(name, near, places))
            places.update({name: place for place, name in enumerate(row)})
    return found


def _middle(name: str, near: Mapping[str, Sequence[str]], places: Mapping[str, int]) -> float:
    others = near[name]
    return sum(places[other] for other in others) / len(others) if others else places[name]


def _drawing(document: Document, tasks: Sequence[TaskRun]) -> Markup:
    columns = layers(tasks)
    most = max(map(len, columns))
    at: dict[str, tuple[float, float]] = {}
    for x, column in enumerate(columns):
        shift = (most - len(column)) / 2
        for y, name in enumerate(column):
            at[name] = (4 + x * _ACROSS, 4 + (y + shift) * _DOWN)
    width = 8 + (len(columns) - 1) * _ACROSS + _BOX
    height = 8 + (most - 1) * _DOWN + _HIGH
    steps = set(itertools.pairwise(document.critical_path))
    arrows = [
        _arrow(at[name], at[one.task], critical=(name, one.task) in steps)
        for one in tasks
        for name in one.upstream
        if name in at
    ]
    ids = anchors(document)
    boxes = [_box(document, one, at[one.task], ids) for one in tasks]
    return tag(
        "svg",
        *arrows,
        *boxes,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        aria_label=f"Graph of {len(tasks)} notebooks; each notebook's part names what it waits for",
        class_="graph",
    )


def _arrow(tail: tuple[float, float], head: tuple[float, float], *, critical: bool) -> Markup:
    x1, y1, x2, y2 = tail[0] + _BOX, tail[1] + _HIGH / 2, head[0], head[1] + _HIGH / 2
    bend = min(60.0, (x2 - x1) / 2)
    line = f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2 - 5:g} {y2:g}"
    tip = f"M{x2:g} {y2:g}l-7 -3.5v7z"
    more = " critical" if critical else ""
    return Markup(
        tag("path", d=line, class_=f"arrow{more}") + tag("path", d=tip, class_=f"tip{more}")
    )


def _box(
    document: Document, task: TaskRun, at: tuple[float, float], ids: Mapping[str, str]
) -> Markup:
    critical = " critical" if task.task in document.critical_path else ""
    name = f"{SIGNS.get(task.outcome, '')} {shortened(task.task, _LETTERS)}"
    return tag(
        "a",
        tag("title", f"{task.task}: {task.outcome}"),
        tag(
            "rect",
            x=at[0],
            y=at[1],
            width=_BOX,
            height=_HIGH,
            rx=4.0,
            class_=f"bar {task.outcome}{critical}",
        ),
        tag("text", name, x=at[0] + 7, y=at[1] + 17.5),
        href=f"#{ids[task.task]}",
        tabindex="-1",
    )
