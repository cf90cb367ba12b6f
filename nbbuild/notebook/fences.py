"""Find MyST's `{code-cell}` in Markdown, without a Markdown parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# CommonMark's HTML blocks: no fence opens inside them.
_HTML_TAGS = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details"
    "|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head"
    "|header|hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p"
    "|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul"
)
_BLOCK = re.compile(
    # A fence; `before` is the text before it in a list or a quotation.
    r"^(?P<before>[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*)(?P<fence>`{3,}|~{3,})(?P<info>.*)$"
    # Not indented, so that it is not inside a list.
    r"|^(?P<colons>:{3,})[ \t]*(?P<directive>\{[\w:.-]+\}).*$"
    r"|^ {0,3}<(?P<comment>!--)"
    r"|^ {0,3}<(?P<verbatim>script|pre|style|textarea)(?:[\s>]|$)"
    rf"|^ {{0,3}}(?P<html></?(?:{_HTML_TAGS})(?:[\s>]|/>|$)|</?[a-z][\w-]*(?:\s[^<>\n]*)?>[ \t]*$)",
    re.M | re.I,
)
# In these directives a `{code-cell}` is only text to show.
_VERBATIM = frozenset(
    {"{code}", "{code-block}", "{sourcecode}", "{myst}", "{raw}", "{parsed-literal}"}
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class FencedCell(NamedTuple):
    """Where a `{code-cell}` is in a text: the lines of its fence, and its body between them."""

    start: int  # where its first line begins
    body: int  # where its body begins
    end: int  # where its body ends
    closed: int  # where its last line ends; the same as `end` if it is never closed
    colons: bool  # whether its fence is mystmd's `:::`, which CommonMark does not know


def has_code_cell(text: str) -> bool:
    """Return whether `text` has a `{code-cell}` fence outside other fences and HTML blocks."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return any(True for _ in code_cells(text))


def code_cells(text: str) -> Iterator[FencedCell]:
    """Yield each `{code-cell}` of `text`, whose lines end in \\n, in order.

    Those inside other fences and HTML blocks do not count; `:::{note}` and the like may hold some.
    """
    position = 0
    shown = 0  # up to here a `:::` directive shows its text unchanged
    while block := _BLOCK.search(text, position):
        fence, info = block["fence"], (block["info"] or "").strip()
        if block["colons"] is not None:
            position = block.end()
            if block.start() < shown:
                continue
            if block["directive"] == "{code-cell}":
                cell = _colon_cell(text, block)
                yield cell
                position = cell.closed
            elif block["directive"] in _VERBATIM:
                shown = _colon_cell(text, block).closed
        elif fence is None:
            position = _end_of_html(text, block)
        elif (fence[0] == "`" and "`" in info) or _is_deep(block["before"]):
            position = block.end()  # inline code, or a line of indented code
        elif _is_top_level(block["before"]) and info.startswith("{code-cell}"):
            position = _end_of_fence(text, block)
            body = min(block.end() + 1, len(text))
            end = text.rfind("\n", 0, position) + 1 if position < len(text) else position
            yield FencedCell(block.start(), body, max(body, end), position, colons=False)
        else:
            position = _end_of_fence(text, block)


def _colon_cell(text: str, block: re.Match[str]) -> FencedCell:
    body = min(block.end() + 1, len(text))
    closing = re.compile(rf"^ {{0,3}}{block['colons']}:*[ \t]*$", re.M).search(text, body)
    end, closed = closing.span() if closing else (len(text), len(text))
    return FencedCell(block.start(), body, end, closed, colons=True)


def _is_top_level(before: str) -> bool:
    return len(before) <= 3 and not before.strip(" ")


def _is_deep(before: str) -> bool:
    return not before.strip() and not _is_top_level(before)


def _end_of_fence(text: str, block: re.Match[str]) -> int:
    """Return where the fence that `block` opens ends: closed, or with its list or quotation."""
    before, fence = block["before"], block["fence"]
    if _is_top_level(before):
        closing = rf"^ {{0,3}}{fence}{fence[0]}*[ \t]*$"
    elif ">" in before:
        closing = rf"^ {{0,3}}>[ >]*{fence}{fence[0]}*[ \t]*$|^(?! {{0,3}}>)"
    else:
        depth = len(before)
        closing = rf"^[ \t]{{{depth},}}{fence}{fence[0]}*[ \t]*$|^(?= {{0,{depth - 1}}}[^ \t\n])"
    found = re.compile(closing, re.M).search(text, block.end() + 1)
    return found.end() if found else len(text)


def _end_of_html(text: str, block: re.Match[str]) -> int:
    if block["comment"]:
        end = text.find("-->", block.end())
    elif block["verbatim"]:
        found = re.compile(r"</(?:script|pre|style|textarea)>", re.I).search(text, block.end())
        end = found.end() if found else -1
    else:
        blank = _BLANK_LINE.search(text, block.start())
        end = blank.start() if blank else -1
    return end if end >= 0 else len(text)
