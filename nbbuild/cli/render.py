"""Write data to stdout: as aligned columns, or as JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import click

from nbbuild.report.as_json import to_json
from nbbuild.text import columns
from nbbuild.text.printable import clean_but_colours, disobeyed, on_a_runner, printed

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
            click.echo(_coloured(data) if coloured else printed(data))
    else:
        context = click.get_current_context(silent=True)
        if context is not None:
            context.meta[EMITTED] = True
        text = to_json(data)
        click.echo(text.replace("##[", "##\\u005b") if on_a_runner() else text)


def _coloured(text: str) -> str:
    text = clean_but_colours(text)
    return disobeyed(text) if on_a_runner() else text


def say(text: str) -> None:
    """Write words about the data to stderr."""
    click.echo(printed(text), err=True)


def confirm(question: str) -> None:
    """Ask on stderr, and raise click.Abort unless the answer is yes."""
    click.confirm(printed(question), abort=True, err=True)


def table(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str] = (),
    right: Collection[int] = (),
    indent: int = 0,
) -> str:
    """Return rows in aligned columns for stdout; on a terminal they fit beside an `indent`.

    See `nbbuild.text.columns.table`. Elsewhere each row is one line, for programs that read lines.
    """
    room = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else None
    return columns.table(rows, header=header, right=right, room=room)
