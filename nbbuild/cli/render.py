"""Write data to stdout: as aligned columns, or as JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import click

from nbbuild.report.as_json import to_json
from nbbuild.text.printable import clean, clean_but_colours, in_one_line

_Function = TypeVar("_Function", bound=Callable[..., Any])


EMITTED = "nbbuild.cli.emitted"
"""In the `meta` of click's context: whether JSON was written to stdout."""


def json_option(function: _Function) -> _Function:
    """Give a verb `--json`: it is called with `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(function)


def emit(data: object, *, as_json: bool = False, coloured: bool = False) -> None:
    """Write data to stdout: nouns, lists and dicts as JSON, a text as text (nothing if empty).

    With `as_json`, a text too is JSON. With `coloured`, it may have colours on a terminal.
    """
    if isinstance(data, str) and not as_json:
        if data:
            click.echo(clean_but_colours(data) if coloured else clean(data))
    else:
        context = click.get_current_context(silent=True)
        if context is not None:
            context.meta[EMITTED] = True
        click.echo(to_json(data))


def say(text: str) -> None:
    """Write words about the data to stderr."""
    click.echo(clean(text), err=True)


def confirm(question: str) -> None:
    """Ask on stderr, and raise click.Abort unless the answer is yes."""
    click.confirm(clean(question), abort=True, err=True)


def table(
    rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), right: Collection[int] = ()
) -> str:
    """Return rows in aligned columns, two spaces apart, without trailing spaces; "" for no rows.

    Columns whose number (from 0) is in `right` are aligned there. A header is written in upper
    case, and only above rows. A row stays one line, whatever is in its cells.
    """
    if not rows:
        return ""
    # As they will be printed: their widths count.
    cells = [[in_one_line(cell) for cell in row] for row in rows]
    lines = [[name.upper() for name in header], *cells] if header else cells
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            _padded(cell, width, right=number in right)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if right else cell + space


def _width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
