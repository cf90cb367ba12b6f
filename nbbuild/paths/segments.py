"""One segment of a pattern: what it matches, as plain text, as ranges of characters, as a regex."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""A set of characters: inclusive ranges of code points, sorted and disjoint."""

SLASH: Final = ord("/")
DOT: Final = ord(".")
ANY: Final[Ranges] = ((1, SLASH - 1), (SLASH + 1, 0x10FFFF))
_WILD: Final = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Name:
    """A part that takes one segment: `literal` is its name, or None when it has wildcards."""

    text: str
    literal: str | None
    tokens: tuple[Ranges | None, ...] = field(repr=False, compare=False)  # None is `*`

    def matches(self, name: str) -> bool:
        """Return whether this part takes the segment `name`."""
        if self.literal is not None:
            return name == self.literal
        return _expression_of(self).fullmatch(name) is not None


@lru_cache(maxsize=1 << 16)
def name_part(text: str) -> Name:
    """Return the part for the segment `text` of a pattern."""
    if not _WILD.search(text):  # nearly all names, and there can be tens of thousands
        return Name(text, text, tuple(((letter, letter),) for letter in map(ord, text)))
    tokens: list[Ranges | None] = []
    letters: list[str] = []  # of the literal, while it can still be one
    place = 0
    while place < len(text):
        letter = text[place]
        end = _class_end(text, place) if letter == "[" else 0
        body = text[place + 1 : end]
        if letter == "*":
            if not tokens or tokens[-1] is not None:
                tokens.append(None)
        elif letter == "?":
            tokens.append(ANY)
        elif end and body not in ("*", "?", "["):
            tokens.append(_class(body))
        else:
            plain = body if end else letter
            letters.append(plain)
            tokens.append(((ord(plain), ord(plain)),))
        place = max(end, place) + 1
    literal = "".join(letters) if len(letters) == len(tokens) else None
    return Name(text, literal, tuple(tokens))


@lru_cache(maxsize=1 << 14)
def _expression_of(name: Name) -> re.Pattern[str]:
    return re.compile(name_expression(name, groups="g"), re.DOTALL)


def _class_end(text: str, start: int) -> int:
    """Return where the class that begins at `start` ends; 0 if the bracket is a plain character."""
    first = start + 1
    if text[first : first + 1] == "!":
        first += 1
    return max(0, text.find("]", first + 1))  # a "]" that comes first is a member


def _class(body: str) -> Ranges:
    members = body.removeprefix("!")
    ranges: list[tuple[int, int]] = []
    place = 0
    while place < len(members):
        low = high = ord(members[place])
        if members[place + 1 : place + 2] == "-" and place + 2 < len(members):
            high = ord(members[place + 2])
            place += 2
        if low <= high:
            ranges.append((low, high))
        place += 1
    wanted = _complement(ranges) if body.startswith("!") else tuple(sorted(ranges))
    return intersection(_merged(wanted), ANY)


def _merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    gaps = []
    after = 1
    for low, high in _merged(ranges):
        if after < low:
            gaps.append((after, low - 1))
        after = high + 1
    if after <= 0x10FFFF:
        gaps.append((after, 0x10FFFF))
    return tuple(gaps)


def intersection(a: Ranges, b: Ranges) -> Ranges:
    """Return the characters that are in both sets."""
    both = ((max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b)
    return tuple(sorted((low, high) for low, high in both if low <= high))


def name_expression(name: Name, *, groups: str) -> str:
    """Return the regular expression of one segment; its groups are called `groups` and a number.

    Text between two stars is taken at its first occurrence and kept (a look-ahead is atomic), as in
    fnmatch. Otherwise `*a*a*a*a*b` would try every combination.
    """
    if name.literal is not None:
        return re.escape(name.literal)
    if name == CONTENT:
        return "[^/]+"
    chunks = [""]
    for token in name.tokens:
        if token is None:
            chunks.append("")
        elif not token:
            chunks[-1] += "(?!)"
        else:
            inside = "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in token)
            chunks[-1] += f"[{inside}]"
    guard = r"(?!\.\.?(?:/|\Z))" if name.text.startswith(".") else r"(?!\.)(?=[^/])"
    first, *rest = chunks
    if not rest:
        return guard + first
    middle = "".join(
        f"(?=(?P<{groups}{number}>[^/]*?{chunk}))(?P={groups}{number})"
        for number, chunk in enumerate(rest[:-1])
    )
    return f"{guard}{first}{middle}[^/]*{rest[-1]}"


CONTENT: Final = Name("", None, (ANY, None))
"""Anything in a folder, even if hidden, which no pattern of one segment can express."""
