"""What an outcome looks like: a sign and a word, never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nbbuild.report.document import Document, TaskRun
from nbbuild.text.markup import Markup, tag

SIGNS: Final[Mapping[str, str]] = {
    "fresh": "·",
    "refreshed": "↺",
    "restored": "↺",
    "executed": "✓",
    "failed": "✗",
    "blocked": "⊘",
    "cancelled": "–",
}


def badge(outcome: str) -> Markup:
    """Return the sign and the word of an outcome."""
    sign = tag("span", SIGNS.get(outcome, "?"), aria_hidden="true")
    return tag("span", sign, f" {outcome}", class_=f"badge {outcome}")


def anchors(document: Document) -> Mapping[str, str]:
    """Return task → the id of its part of the page."""
    return {one.task: f"t{number}" for number, one in enumerate(document.tasks, 1)}


def link(task: TaskRun, ids: Mapping[str, str]) -> Markup:
    """Return a link to the part of the page that is about `task`."""
    return tag("a", task.task, href=f"#{ids[task.task]}")
