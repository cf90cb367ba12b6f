"""Rewrite mystmd's MyST into the form that Jupytext reads, line for line."""

from __future__ import annotations

import json
import re

from nbbuild.notebook.cells import tags
from nbbuild.notebook.fences import code_cells
from nbbuild.text import bounded_yaml

_TILDES = re.compile(r"~+")
_TAGS = re.compile(r"(?P<key>tags[ \t]*:)(?:[ \t]+(?P<value>.*))?$")
_CONTINUED = re.compile(r"[ \t]*:?[ \t]*-")


def as_jupytext_reads(text: str) -> str:
    """Return the page `text`, whose lines end in \\n, with the code cells that mystmd finds.

    `:::{code-cell}` becomes a fence of CommonMark, and the tags in `:tags: a, b` become a list.
    """
    parts: list[str] = []
    done = 0
    for cell in code_cells(text):
        before, body, after = (
            text[cell.start : cell.body],
            text[cell.body : cell.end],
            text[cell.end : cell.closed],
        )
        if cell.colons:
            before, after = _fenced(before, body, after)
        parts += [text[done : cell.start], before, _with_listed_tags(body), after]
        done = cell.closed
    return "".join([*parts, text[done:]])


def _fenced(before: str, body: str, after: str) -> tuple[str, str]:
    """Return the lines around a body: more tildes than it has together anywhere."""
    fence = "~" * max(3, 1 + max((len(run) for run in _TILDES.findall(body)), default=0))
    return f"{fence}{before.lstrip(':').lstrip()}", fence if after else ""


def _with_listed_tags(body: str) -> str:
    lines = body.split("\n")
    block = lines[0].startswith("---")
    for number, line in enumerate(lines):
        if block:
            if number and line.startswith("---"):
                break
            bare = line
        elif line.lstrip().startswith(":"):
            bare = line.lstrip()[1:].lstrip()
        else:
            break
        found = _TAGS.match(bare)
        if found is not None:
            below = lines[number + 1] if number + 1 < len(lines) else ""
            listed = _listed(found["value"] or "", continued=_CONTINUED.match(below) is not None)
            if listed is not None:
                lines[number] = line[: len(line) - len(bare)] + f"{found['key']} {listed}"
    return "\n".join(lines)


def _listed(value: str, *, continued: bool) -> str | None:
    """Return the list that a text of tags stands for; None if it is not text."""
    try:
        said = bounded_yaml.load(value)
    except bounded_yaml.Unloadable:
        return None  # Jupytext says what is wrong
    if said is None and not continued:
        return "[]"
    return json.dumps(tags(said)) if isinstance(said, str) else None
