"""Whether two patterns, compiled to parts, can match the same path; exact, without the disk."""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Final, TypeAlias

from nbbuild.paths.segments import ANY, CONTENT, DOT, SLASH, Name, Ranges, intersection, name_part

_NOT_DOT: Final[Ranges] = ((1, DOT - 1), (SLASH + 1, 0x10FFFF))  # "/" follows "."
_ONLY_DOT: Final[Ranges] = ((DOT, DOT),)


class Loop(enum.Enum):
    """A part that takes any number of segments."""

    VISIBLE = "**"  # none of them hidden
    ALL = "contents"  # what is in a folder, hidden or not


class UnknownName(enum.Enum):
    """The name of the root, or of a folder above it: one segment, matched by wildcards only."""

    NAME = "?"


Part: TypeAlias = Name | Loop


def parts_meet(a: tuple[Part | UnknownName, ...], b: tuple[Part | UnknownName, ...]) -> bool:
    """Walk both automata together; look at each pair of places only once."""
    todo = [(0, 0)]
    seen = set(todo)
    while todo:
        i, j = todo.pop()
        x = a[i] if i < len(a) else None
        y = b[j] if j < len(b) else None
        if x is None and y is None:
            return True
        steps = []
        if isinstance(x, Loop):
            steps.append((i + 1, j))
        if isinstance(y, Loop):
            steps.append((i, j + 1))
        if x is not None and y is not None and _segment_meets(x, y):
            steps.append((i + (not isinstance(x, Loop)), j + (not isinstance(y, Loop))))
        for step in steps:
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _segment_meets(x: Part | UnknownName, y: Part | UnknownName) -> bool:
    """Return whether both parts can take the same segment."""
    if isinstance(x, Name) and isinstance(y, Name):
        if x.literal is not None:
            return y.matches(x.literal)
        return x.matches(y.literal) if y.literal is not None else _names_meet(x, y)
    if isinstance(y, Name):
        x, y = y, x
    if not isinstance(x, Name):
        return True  # loops and unknown names
    if y is UnknownName.NAME:
        return x.literal is None
    if x.literal is not None:
        return y is Loop.ALL or not x.literal.startswith(".")
    return _names_meet(x, CONTENT if y is Loop.ALL else name_part("*"))


@lru_cache(maxsize=1 << 16)
def _names_meet(x: Name, y: Name) -> bool:
    """Return whether both can take the same segment; "." and ".." are not segments.

    A state is the place in both token lists and how the segment began: 0 nothing yet, 1 ".",
    2 "..", 3 a name.
    """
    dots = all(name == CONTENT or name.text.startswith(".") for name in (x, y))
    todo = [(0, 0, 0)]
    seen = set(todo)
    while todo:
        i, j, begun = todo.pop()
        if i == len(x.tokens) and j == len(y.tokens):
            if begun == 3:
                return True
            continue
        steps = []
        s = x.tokens[i] if i < len(x.tokens) else ()
        t = y.tokens[j] if j < len(y.tokens) else ()
        if s is None:
            steps.append((i + 1, j, begun))
        if t is None:
            steps.append((i, j + 1, begun))
        common = intersection(ANY if s is None else s, ANY if t is None else t)
        after = (i + (s is not None), j + (t is not None))
        if intersection(common, _NOT_DOT) or (common and begun >= 2):
            steps.append((*after, 3))
        if begun < 2 and intersection(common, _ONLY_DOT) and (begun or dots):
            steps.append((*after, begun + 1))
        for step in steps:
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False
