r"""What may differ between any two runs of the same code, and how to remove it from text.

Each mask takes time in proportion to the text, however the text looks. Outputs have lines of many
megabytes, and while a pattern is at work nothing else is, no interrupt either. So a repeat is
bounded, or can begin at few places: at a line's beginning, or not after a character of its kind.
The user's own patterns may be of any kind; `without` shows them a part of the text at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

WINDOW = 10_000
"""How many characters of a longer text a user's pattern sees at once."""

_NUMBER = r"\d[\d,]{0,19}(?:\.\d{1,19})?(?:e[+-]?\d{1,3})?"
_UNIT = r"(?:ns|[uµμ]s|ms|min|s|h)"
_SPAN = rf"{_NUMBER} ?{_UNIT}(?: {_NUMBER} ?{_UNIT}){{0,2}}"

MASKS: Sequence[tuple[str, re.Pattern[str], str]] = (
    # Addresses: whatever follows "at", and what is as long as an address in user space.
    ("address", re.compile(r"\bat 0x[0-9A-Fa-f]+"), "at 0x…"),
    ("address", re.compile(r"\b0x[0-9A-Fa-f]{9,12}\b"), "0x…"),
    # IPython's %time and %timeit.
    ("timing", re.compile(r"^CPU times: (?:user|total).*$", re.MULTILINE), "CPU times: …"),
    (
        "timing",
        re.compile(rf"^(Wall time|Compiler(?: time)?) ?: {_SPAN}$", re.MULTILINE),
        r"\1: …",
    ),
    (
        "timing",
        re.compile(
            rf"(?<![\d,.]){_SPAN} ± {_SPAN} per loop \(mean ± std\. dev\. of [^)\n]{{0,100}}\)"
        ),
        "… per loop",
    ),
    (
        "timing",
        re.compile(r"^The slowest run took [\d.]+ times longer than the fastest\.", re.MULTILINE),
        "The slowest run took … times longer than the fastest.",
    ),
    # "in 0.123 s", "took 3 ms", "elapsed time: 2.1 seconds"; whole seconds may be a result.
    (
        "timing",
        re.compile(
            r"\b(in|took|elapsed(?: time)?:?) (?:"
            r"\d+\.\d+(?:e[+-]?\d+)? ?(?:s|sec|secs|seconds?)|\d+(?:\.\d+)? ?(?:ns|[uµμ]s|ms)"
            r")\b",
            re.IGNORECASE,
        ),
        r"\1 …",
    ),
    # The bars of tqdm: 100%|████| 10/10 [00:01<00:00,  9.95it/s]; in a widget's HTML it is &lt;
    (
        "timing",
        re.compile(r"\[[\d:]{1,20}(?:<|&lt;)[\d:?]{1,20},[^\]\n/]{0,100}/[^\]\n]{0,400}\]"),
        "[…]",
    ),
    # Ids: UUIDs of version 4, with dashes or without (models of widgets), pandas' Styler.
    (
        "id",
        re.compile(
            r"(?<![0-9A-Za-z])[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
            r"(?![0-9A-Za-z])"
        ),
        "<id>",
    ),
    (
        "id",
        re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}(?![0-9A-Za-z])"),
        "<id>",
    ),
    ("id", re.compile(r"(?:(?<=#)|(?<=id=\"))T_[0-9a-f]{5}(?=[_\s\"{])"), "T_<id>"),
    # Execution counts, in tracebacks.
    ("count", re.compile(r"\b(In|Out) ?\[\d+\]"), r"\1[…]"),
    # The files that ipykernel and IPython name for cells, and Python's temporary files.
    ("file", re.compile(r"(?<![^\s\"'<>])[^\s\"'<>]*ipykernel(?:_\d+)?[/\\]\d+\.py\b"), "<cell>"),
    # Where the code of tracebacks and warnings lies: the stored run may be from another machine.
    (
        "file",
        re.compile(
            r"^([^\S\n]*File \"?)(?:~|[A-Za-z]:)?[/\\][^\n\"]*[/\\](?=[^/\\\n\"]+\.py\b)", re.M
        ),
        r"\1…/",
    ),
    (
        "file",
        re.compile(r"^(?:~|[A-Za-z]:)?[/\\].*[/\\](?=[^/\\\n]+\.py:\d+: \w*Warning)", re.M),
        "…/",
    ),
    ("file", re.compile(r"<ipython-input-\d+-[0-9a-f]+>"), "<cell>"),
    ("file", re.compile(r"(?<=[/\\])tmp[a-z0-9_]{8}(?![A-Za-z0-9_])"), "tmp…"),
)
"""(what it is, pattern, what it is replaced by), applied to all text in this order."""


def masked(text: str) -> str:
    """Return `text` with all that the masks cover replaced."""
    for _, pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text


def without(pattern: re.Pattern[str], text: str) -> str:
    """Return `text` without what `pattern` matches.

    Of a text longer than `WINDOW`, each search sees so much. What is found up to half of that long
    is found as in the whole, and a match that comes near the end of what is seen sees more.
    """
    if len(text) <= WINDOW:
        return pattern.sub("", text)
    kept: list[str] = []
    at = copied = 0
    while at < len(text):
        end = min(at + WINDOW, len(text))
        found = pattern.search(text, at, end)
        if found is None:
            at = end if end == len(text) else end - WINDOW // 2
            continue
        start, seen = found.start(), WINDOW
        # The end of what is seen looks like that of the text: `$` matches there, a repeat stops.
        while found is not None and found.end() > end - WINDOW // 10 and end < len(text):
            end = min(start + seen, len(text))
            found = pattern.match(text, start, end)
            seen *= 2
        if found is None or found.end() == start:
            at = start + 1
            continue
        kept.append(text[copied:start])
        at = copied = found.end()
    return "".join([*kept, text[copied:]])
