"""Fit text into columns of a terminal: how wide it is, cut, wrapped, side by side."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from typing import Final

from nbbuild.text.printable import in_one_line

_GAP: Final = "  "
_INDENT: Final = "    "
"""Before the columns of a row that have no room on its first line."""

_PROSE: Final = 24
"""The last column is wrapped as narrow as this beside the others."""

_LEAST: Final = 8
"""No column gets narrower than this, so that a very narrow terminal still shows something."""


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_letter_width, text))


def without_start(text: str, room: int) -> str:
    """Return `text` in at most `room` columns; of a name, the end tells more."""
    if width(text) <= room:
        return text
    while text and width(text) >= room:
        text = text[1:]
    return f"…{text}"


def without_end(text: str, room: int) -> str:
    """Return `text` in at most `room` columns."""
    if width(text) <= room:
        return text
    return f"{_start(text, room - 1).rstrip()}…"


def wrapped(text: str, room: int) -> list[str]:
    """Return `text` in lines of at most `room` columns, broken between words where it can be."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if width(joined) <= room:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        rest = word
        while width(rest) > room and len(rest) > 1:
            begin = _start(rest, room)
            lines[-1:] = [begin, ""]
            rest = rest[len(begin) :]
        lines[-1] = rest
    return lines


def table(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str] = (),
    right: Collection[int] = (),
    room: int | None = None,
) -> str:
    """Return rows in aligned columns, two spaces apart, without trailing spaces; "" for no rows.

    Columns whose number (from 0) is in `right` are aligned there. A header is written in upper
    case, and only above rows. A row is one line, whatever is in its cells, unless there is `room`
    for less: then the last column is wrapped, or columns go to further lines. Nothing is cut,
    since names and ids are copied from here.
    """
    if not rows:
        return ""
    # As they will be printed: their widths count.
    cells = [[in_one_line(cell) for cell in row] for row in rows]
    lines = [[name.upper() for name in header], *cells] if header else cells
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    groups = [range(len(widths))] if room is None else _fit(widths, room)
    text: list[str] = []
    for line in lines:
        for group in groups:
            indent = _INDENT if group.start else ""
            found = _lines(line[group.start : group.stop], group, widths, right)
            text += [f"{indent}{part}".rstrip() for part in found if part or not group.start]
    return "\n".join(text)


def _fit(widths: list[int], room: int) -> list[range]:
    """Return which columns go side by side, and narrow those of `widths` that have to be."""
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if before + min(widths[-1], _PROSE) <= room:
        widths[-1] = min(widths[-1], room - before)
        return [range(len(widths))]
    groups: list[range] = []
    start = taken = 0
    for number, wide in enumerate(widths):
        widths[number] = min(wide, max(_LEAST, room - len(_INDENT)))
        if number > start and taken + len(_GAP) + widths[number] > room:
            groups.append(range(start, number))
            start, taken = number, len(_INDENT) + widths[number]
        else:
            taken += widths[number] + len(_GAP) * (number > start)
    return [*groups, range(start, len(widths))]


def _lines(
    cells: Sequence[str], columns: range, widths: Sequence[int], right: Collection[int]
) -> list[str]:
    """Return one row of some columns, each cell wrapped to the width of its column."""
    parts = [wrapped(cell, widths[column]) for cell, column in zip(cells, columns, strict=True)]
    return [
        _GAP.join(
            _padded(part[at] if at < len(part) else "", widths[column], right=column in right)
            for part, column in zip(parts, columns, strict=True)
        ).rstrip()
        for at in range(max(map(len, parts)))
    ]


def _padded(cell: str, wide: int, *, right: bool) -> str:
    space = " " * (wide - width(cell))
    return space + cell if right else cell + space


def _start(text: str, room: int) -> str:
    """Return the longest beginning of `text` that takes at most `room` columns, but one letter."""
    taken = 0
    for at, letter in enumerate(text):
        taken += _letter_width(letter)
        if taken > room:
            return text[: max(1, at)]
    return text


def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
