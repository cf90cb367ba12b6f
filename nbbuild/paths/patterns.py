"""Say which paths a glob pattern means, and whether two patterns can mean one path; no I/O.

A pattern is relative to the root, with `/` between its segments, and may begin with `../`:

    data/a.csv        literal: this file, or this folder with all that is in it
    data/             literal: this folder with all that is in it
    data/*.csv        `*`, `?`, `[abc]`, `[a-z]`, `[!a]` stay within a segment; files only
    data/**/*.csv     `**` is any number of folders, none too
    run-*/            folders with all that is in them

A wildcard matches a leading dot only when its segment begins with one. `[*]`, `[?]` and `[[]` are
the plain characters, as `glob.escape` writes them.

A pattern is compiled to parts: `Name` takes one segment, `Loop` any number of them. So it is a
small automaton over segments, whose names are automata over characters, and "can they meet" is
the emptiness of an intersection, decided exactly on both levels.

The names of the root and of the folders above it are not known here. A wildcard after `../` may
match them (`../*/a.csv` meets `a.csv`), a literal does not: write paths inside the root without
`../` (config does so for the paths of jcache.toml).
"""

from __future__ import annotations

import enum
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from nbbuild.errors import ConfigError

_Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""A set of characters: inclusive ranges of code points, sorted and disjoint."""

_SLASH: Final = ord("/")
_DOT: Final = ord(".")
_ANY: Final[_Ranges] = ((1, _SLASH - 1), (_SLASH + 1, 0x10FFFF))
_NOT_DOT: Final[_Ranges] = ((1, _DOT - 1), (_SLASH + 1, 0x10FFFF))  # "/" follows "."
_ONLY_DOT: Final[_Ranges] = ((_DOT, _DOT),)
_UP: Final = ".."
_WILD: Final = re.compile(r"[*?[]")


class Loop(enum.Enum):
    """A part that takes any number of segments."""

    VISIBLE = "**"  # none of them hidden
    ALL = "contents"  # what is in a folder, hidden or not


class _Unknown(enum.Enum):
    """The name of the root, or of a folder above it: one segment, matched by wildcards only."""

    NAME = "?"


@dataclass(frozen=True, slots=True)
class Name:
    """A part that takes one segment: `literal` is its name, or None when it has wildcards."""

    text: str
    literal: str | None
    tokens: tuple[_Ranges | None, ...] = field(repr=False, compare=False)  # None is `*`

    def matches(self, name: str) -> bool:
        """Tell whether this part takes the segment `name`."""
        if self.literal is not None:
            return name == self.literal
        return _name_expression(self).fullmatch(name) is not None


Part: TypeAlias = Name | Loop


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern; make it with `Pattern.parse`, two of the same meaning are mostly equal.

    `text` is the normal form; `ups` counts the leading `..` of `segments`; `parts` is what comes
    after them, compiled.
    """

    text: str
    segments: tuple[str, ...]
    literal: bool  # no wildcard: a file, or a folder with all that is in it
    folder: bool  # ended with "/": folders with all that is in them, never a file
    ups: int = field(repr=False, compare=False)
    parts: tuple[Part, ...] = field(repr=False, compare=False)

    @staticmethod
    def parse(text: str) -> Pattern:
        """Parse and remember a pattern.

        Raises ConfigError when it is empty, absolute, or climbs (`..`) after a wildcard.
        """
        return _parse(text)

    @property
    def path(self) -> str:
        """The path that a literal pattern names, "." for the root; ValueError for others."""
        if not self.literal:
            raise ValueError(f"{self.text!r} has wildcards")
        return "/".join([_UP] * self.ups + _literal_lead(self)) or "."

    def __str__(self) -> str:
        return self.text


def escape(text: str) -> str:
    """Return `text` with its wildcards made plain characters."""
    return re.sub(r"([*?[])", r"[\1]", text)


def has_magic(text: str) -> bool:
    """Tell whether some segment of `text` has a wildcard."""
    return any(segment == "**" or _name(segment).literal is None for segment in text.split("/"))


def matches(pattern: Pattern, path: str) -> bool:
    """Tell whether `pattern` means the file `path` (root-relative, normal form).

    The names decide; a Walker leaves out more, such as virtual environments.
    """
    segments = path.split("/")
    ups = _leading_ups(segments)
    if ups < pattern.ups:
        names = [_name(escape(segment)) for segment in segments[ups:]]
        return _meet(pattern.parts, (*[_Unknown.NAME] * (pattern.ups - ups), *names))
    if ups > pattern.ups:
        return False
    if pattern.literal and pattern.parts[0] is not Loop.ALL:
        named = pattern.path
        return path.startswith(f"{named}/") or (path == named and not pattern.folder)
    return _path_expression(pattern).fullmatch(path) is not None


def can_meet(a: Pattern, b: Pattern) -> bool:
    """Tell whether some path is meant by both patterns, whatever lies on the disk. Exact."""
    if a.ups < b.ups:
        a, b = b, a
    unknown = [_Unknown.NAME] * (a.ups - b.ups)
    return _meet(a.parts, (*unknown, *b.parts))


def literal_prefix(pattern: Pattern) -> str:
    """Return the folder that a walk for `pattern` must begin in; "" is the root."""
    names = _literal_lead(pattern)
    if pattern.literal and not pattern.folder:
        names = names[:-1]
    return "/".join([_UP] * pattern.ups + names)


class PatternIndex:
    """Of many patterns, find those that can meet one, without asking all.

    Two patterns can meet only if the plain text that one begins with is the beginning of the
    other's. So the index is sorted by that text: the longer ones are neighbours, the shorter
    ones a few look-ups. Patterns come out in the order given, equal ones once.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = tuple(dict.fromkeys(patterns))
        self._met: dict[Pattern, tuple[Pattern, ...]] = {}
        self._climbing = [n for n, pattern in enumerate(self._patterns) if _climbs(pattern)]
        self._by_lead: dict[str, list[int]] = {}
        for number, pattern in enumerate(self._patterns):
            self._by_lead.setdefault(_plain_lead(pattern), []).append(number)
        self._leads = sorted(self._by_lead)
        self._lengths = sorted({len(lead) for lead in self._leads})

    def __len__(self) -> int:
        return len(self._patterns)

    def meeting(self, pattern: Pattern) -> tuple[Pattern, ...]:
        """Return the patterns that can meet `pattern`."""
        met = self._met.get(pattern)
        if met is None:
            near = (self._patterns[number] for number in self._near(pattern))
            met = tuple(other for other in near if can_meet(pattern, other))
            self._met[pattern] = met
        return met

    def matching(self, path: str) -> tuple[Pattern, ...]:
        """Return the patterns that mean the file `path`."""
        numbers = sorted({*self._shorter(path), *self._climbing})
        near = (self._patterns[number] for number in numbers)
        return tuple(pattern for pattern in near if matches(pattern, path))

    def _near(self, pattern: Pattern) -> Iterable[int]:
        if _climbs(pattern):
            return range(len(self._patterns))
        lead = _plain_lead(pattern)
        numbers = {*self._shorter(lead), *self._climbing}
        for place in range(bisect_left(self._leads, lead), len(self._leads)):
            if not self._leads[place].startswith(lead):
                break
            numbers.update(self._by_lead[self._leads[place]])
        return sorted(numbers)

    def _shorter(self, lead: str) -> Iterable[int]:
        for length in self._lengths:
            if length > len(lead):
                break
            yield from self._by_lead.get(lead[:length], ())


class PathIndex:
    """Of many paths, find those that a pattern means, without asking all.

    The paths that begin with the plain text of the pattern are neighbours once sorted. They come
    out sorted, each once.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = sorted(set(paths))

    def matching(self, pattern: Pattern) -> list[str]:
        """Return the paths that `pattern` means."""
        if _climbs(pattern):
            return [path for path in self._paths if matches(pattern, path)]
        lead = _plain_lead(pattern)
        found = []
        for place in range(bisect_left(self._paths, lead), len(self._paths)):
            path = self._paths[place]
            if not path.startswith(lead):
                break
            if matches(pattern, path):
                found.append(path)
        return found


# -- parsing -----------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _parse(text: str) -> Pattern:
    if not text or "\0" in text:
        raise ConfigError(f"{text!r} is no path or pattern", hint="write a path such as 'data'")
    if text.startswith("/"):
        raise ConfigError(f"pattern '{text}' is absolute", hint="write it relative to the root")
    segments = _normal(text)
    folder = text.rsplit("/", 1)[-1] in ("", ".", _UP)
    ups = _leading_ups(segments)
    below = segments[ups:]
    parts: list[Part] = [Loop.VISIBLE if s == "**" else _name(s) for s in below]
    literal = all(isinstance(part, Name) and part.literal is not None for part in parts)
    if not below:
        parts.append(Loop.ALL)
    elif folder:
        parts += [_CONTENT, Loop.ALL]
    elif literal:
        parts.append(Loop.ALL)
    elif parts[-1] is Loop.VISIBLE:
        parts.append(_name("*"))
    normal = "/".join(segments) or "."
    return Pattern(
        text=f"{normal}/" if folder and below else normal,
        segments=tuple(segments),
        literal=literal,
        folder=folder or not below,
        ups=ups,
        parts=tuple(parts),
    )


def _normal(text: str) -> list[str]:
    segments: list[str] = []
    for segment in text.split("/"):
        if segment in ("", "."):
            continue
        if segment == _UP and segments and segments[-1] != _UP:
            if has_magic(segments.pop()):
                raise ConfigError(
                    f"pattern '{text}' climbs out of a folder that a wildcard names",
                    hint="use '..' only at the beginning of a pattern",
                )
        elif not (segment == "**" and segments and segments[-1] == "**"):
            segments.append(segment)
    return segments


def _leading_ups(segments: list[str]) -> int:
    return next((n for n, s in enumerate(segments) if s != _UP), len(segments))


@lru_cache(maxsize=1 << 14)
def _path_expression(pattern: Pattern) -> re.Pattern[str]:
    """Return the regular expression of whole paths."""
    parts = pattern.parts
    pieces = [r"\.\./" * pattern.ups]
    for place, part in enumerate(parts):
        if part is Loop.VISIBLE:
            pieces.append(r"(?:(?!\.)[^/]+/)*")
        elif part is Loop.ALL:  # always the last; at the top the path may not climb
            pieces.append(r"(?:/.+)?" if place else r"(?!\.\./).+")
        else:
            pieces.append(_expression(part, groups=f"g{place}_"))
            if place + 1 < len(parts) and parts[place + 1] is not Loop.ALL:
                pieces.append("/")
    return re.compile("".join(pieces), re.DOTALL)


# -- one segment -------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _name(text: str) -> Name:
    if not _WILD.search(text):  # nearly all names, and there can be tens of thousands
        return Name(text, text, tuple(((letter, letter),) for letter in map(ord, text)))
    tokens: list[_Ranges | None] = []
    letters: list[str] = []  # of the literal, as long as there is one
    place = 0
    while place < len(text):
        letter = text[place]
        end = _class_end(text, place) if letter == "[" else 0
        body = text[place + 1 : end]
        if letter == "*":
            if not tokens or tokens[-1] is not None:
                tokens.append(None)
        elif letter == "?":
            tokens.append(_ANY)
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
def _name_expression(name: Name) -> re.Pattern[str]:
    return re.compile(_expression(name, groups="g"), re.DOTALL)


def _class_end(text: str, start: int) -> int:
    """Return where the class that begins at `start` ends, 0 when the bracket is a plain one."""
    first = start + 1
    if text[first : first + 1] == "!":
        first += 1
    return max(0, text.find("]", first + 1))  # a "]" that comes first is a member


def _class(body: str) -> _Ranges:
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
    return _intersection(_merged(wanted), _ANY)


def _merged(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    gaps = []
    after = 1
    for low, high in _merged(ranges):
        if after < low:
            gaps.append((after, low - 1))
        after = high + 1
    if after <= 0x10FFFF:
        gaps.append((after, 0x10FFFF))
    return tuple(gaps)


def _intersection(a: _Ranges, b: _Ranges) -> _Ranges:
    both = ((max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b)
    return tuple(sorted((low, high) for low, high in both if low <= high))


def _expression(name: Name, *, groups: str) -> str:
    """Return the regular expression of one segment; its groups are called `groups` and a number.

    Text between two stars is taken at its first occurrence and kept (a look-ahead is atomic), as
    fnmatch does it, or else `*a*a*a*a*b` would try every combination.
    """
    if name.literal is not None:
        return re.escape(name.literal)
    if name == _CONTENT:
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


_CONTENT: Final = Name("", None, (_ANY, None))
"""Anything in a folder; hidden too, which no pattern of one segment can say."""


# -- meeting -----------------------------------------------------------------------------------


def _meet(a: tuple[Part | _Unknown, ...], b: tuple[Part | _Unknown, ...]) -> bool:
    """Walk both automata at once; a pair of places is looked at once."""
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
        if x is not None and y is not None and _parts_meet(x, y):
            steps.append((i + (not isinstance(x, Loop)), j + (not isinstance(y, Loop))))
        for step in steps:
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _parts_meet(x: Part | _Unknown, y: Part | _Unknown) -> bool:
    """Tell whether one segment is taken by both parts."""
    if isinstance(x, Name) and isinstance(y, Name):
        if x.literal is not None:
            return y.matches(x.literal)
        return x.matches(y.literal) if y.literal is not None else _names_meet(x, y)
    if isinstance(y, Name):
        x, y = y, x
    if not isinstance(x, Name):
        return True  # loops and unknown names
    if y is _Unknown.NAME:
        return x.literal is None
    if x.literal is not None:
        return y is Loop.ALL or not x.literal.startswith(".")
    return _names_meet(x, _CONTENT if y is Loop.ALL else _name("*"))


@lru_cache(maxsize=1 << 16)
def _names_meet(x: Name, y: Name) -> bool:
    """Tell whether one segment is taken by both; "." and ".." are no segments.

    A state is the place in both token lists and how the segment began: 0 nothing yet, 1 ".",
    2 "..", 3 a name.
    """
    dots = all(name == _CONTENT or name.text.startswith(".") for name in (x, y))
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
        common = _intersection(_ANY if s is None else s, _ANY if t is None else t)
        after = (i + (s is not None), j + (t is not None))
        if _intersection(common, _NOT_DOT) or (common and begun >= 2):
            steps.append((*after, 3))
        if begun < 2 and _intersection(common, _ONLY_DOT) and (begun or dots):
            steps.append((*after, begun + 1))
        for step in steps:
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


# -- the beginning of a pattern ------------------------------------------------------------------


def _literal_lead(pattern: Pattern) -> list[str]:
    names = []
    for part in pattern.parts:
        if not isinstance(part, Name) or part.literal is None:
            break
        names.append(part.literal)
    return names


def _climbs(pattern: Pattern) -> bool:
    """Tell whether the pattern may come down again into the folders that it climbed out of."""
    return pattern.ups > 0 and not _literal_lead(pattern)


def _plain_lead(pattern: Pattern) -> str:
    """Return the text that every path of the pattern begins with."""
    names = _literal_lead(pattern)
    lead = "".join(f"{name}/" for name in [_UP] * pattern.ups + names)
    if pattern.literal and not pattern.folder:
        return lead[:-1]
    after = pattern.parts[len(names)]
    if isinstance(after, Loop):
        return lead
    plain = re.match(r"[^*?[]*", after.text)
    return lead + plain.group() if plain else lead
