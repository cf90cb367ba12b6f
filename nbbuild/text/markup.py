"""Elements of HTML and SVG: whatever is not `Markup` already is text, and is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

from nbbuild.text.printable import clean


class Markup(str):
    """Text that is HTML already. Only `tag` and `joined` make it, and the page's own files."""

    __slots__ = ()


NOTHING: Final = Markup("")

_EMPTY = frozenset(("meta", "input", "br", "img", "link", "rect", "line", "path"))
_VOID = ("meta", "input", "br", "img", "link")


def tag(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """Return one element. An attribute that is None or False is left out, True has no value.

    A "_" at the end of an attribute's name is dropped, elsewhere it stands for "-".
    """
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY and not children:
        return Markup(f"<{name}{said}>" if name in _VOID else f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Return children in a row."""
    return Markup("".join(one if isinstance(one, Markup) else escaped(one) for one in children))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return a table: for notebooks, which show objects so; cells are text unless `Markup`."""
    heads = (tag("th", name, scope="col") for name in header)
    lines = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines))


def escaped(text: str) -> Markup:
    """Return `text` as HTML that shows it; what is invisible in it is written out."""
    return Markup(html.escape(clean(text), quote=True))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    if isinstance(value, float):
        return f' {name}="{value:.1f}"'
    # As a plain str: an attribute is escaped even if somebody hands over Markup.
    return f' {name}="{html.escape(clean(str(value)), quote=True)}"'


def shortened(text: str, most: int) -> str:
    """Return `text` with its middle left out if it is longer than `most` letters."""
    text = " ".join(clean(text).split())
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[len(text) - (most - 1 - half) :]}"
