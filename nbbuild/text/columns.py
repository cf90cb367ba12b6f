"""Fit text into columns of a terminal: how wide it is, cut, wrapped, side by side."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from typing import Final

from nbbuild.text.printable import in_one_line

_GAP: Final = 2
_LEAST: Final = 8
"""No column gets narrower than this, so that a very narrow terminal still shows something."""

_PROSE: Final = 24
"""The last column, which is wrapped, gets as narrow as this before others are cut."""


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
        while width(rest) > room:
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
    for less: then the last column is wrapped, and the others lose the beginnings of what is long.
    """
    if not rows:
        return ""
    # As they will be printed: their widths count.
    cells = [[in_one_line(cell) for cell in row] for row in rows]
    lines = [[name.upper() for name in header], *cells] if header else cells
    natural = [max(map(width, column)) for column in zip(*lines, strict=True)]
    widths = natural if room is None else _fitted(natural, room)
    text: list[str] = []
    for line in lines:
        *firsts, last = line
        shown = [without_start(cell, wide) for cell, wide in zip(firsts, widths, strict=False)]
        for part in wrapped(last, widths[-1]):
            text.append(_row([*shown, part], widths, right))
            shown = [""] * len(shown)
    return "\n".join(text)


def _fitted(natural: Sequence[int], room: int) -> list[int]:
    """Return widths that fit into `room`, taken from the widest columns, if they can."""
    widths = list(natural)
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    wraps = min(max(over, 0), max(widths[-1] - _PROSE, 0))
    widths[-1] -= wraps
    over -= wraps
    while over > 0 and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
        over -= 1
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    padded = (
        _padded(cell, wide, right=number in right)
        for number, (cell, wide) in enumerate(zip(cells, widths, strict=True))
    )
    return (" " * _GAP).join(padded).rstrip()


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
