"""Find MyST's `{code-cell}` in Markdown, without a Markdown parser."""

from __future__ import annotations

import re

# What CommonMark calls HTML blocks: in them no fence opens.
_HTML_TAGS = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details"
    "|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head"
    "|header|hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p"
    "|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul"
)
_BLOCK = re.compile(
    # A fence; `before` is what stands before it in a list or a quotation.
    r"^(?P<before>[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*)(?P<fence>`{3,}|~{3,})(?P<info>.*)$"
    r"|^ {0,3}<(?P<comment>!--)"
    r"|^ {0,3}<(?P<verbatim>script|pre|style|textarea)(?:[\s>]|$)"
    rf"|^ {{0,3}}(?P<html></?(?:{_HTML_TAGS})(?:[\s>]|/>|$)|</?[a-z][\w-]*(?:\s[^<>\n]*)?>[ \t]*$)",
    re.M | re.I,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def has_code_cell(text: str) -> bool:
    """Tell whether a `{code-cell}` fence stands in `text`, in no other fence and no HTML block."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    position = 0
    while block := _BLOCK.search(text, position):
        fence, info = block["fence"], (block["info"] or "").strip()
        if fence is None:
            position = _end_of_html(text, block)
        elif (fence[0] == "`" and "`" in info) or _is_deep(block["before"]):
            position = block.end()  # inline code, or a line of indented code
        elif _is_top_level(block["before"]) and info.startswith("{code-cell}"):
            return True
        else:
            position = _end_of_fence(text, block)
    return False


def _is_top_level(before: str) -> bool:
    return len(before) <= 3 and not before.strip(" ")


def _is_deep(before: str) -> bool:
    return not before.strip() and not _is_top_level(before)


def _end_of_fence(text: str, block: re.Match[str]) -> int:
    """Return where the fence that `block` opens ends: closed, or with the list or quotation."""
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
