"""Which paths a glob pattern means, and whether two patterns can mean the same path; no I/O.

A pattern is relative to the root, with `/` between its segments, and may begin with `../`:

    data/a.csv        literal: this file, or this folder with everything in it
    data/             literal: this folder with everything in it
    data/*.csv        `*`, `?`, `[abc]`, `[a-z]`, `[!a]` stay within a segment; files only
    data/**/*.csv     `**` is any number of folders, including none
    run-*/            folders with everything in them

A wildcard matches a leading dot only when its segment begins with one. `[*]`, `[?]` and `[[]` are
the plain characters, as `glob.escape` writes them.

A pattern is compiled to parts: `Name` takes one segment, `Loop` any number of them. So it is a
small automaton over segments, whose names are automata over characters, and "can they meet" is
the emptiness of an intersection, decided exactly on both levels.

The names of the root and of the folders above it are not known here. A wildcard after `../` may
match them (`../*/a.csv` meets `a.csv`), but a literal does not: write paths inside the root without
`../` (config does so for the paths of jcache.toml).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from nbbuild.errors import ConfigError
from nbbuild.paths.meeting import Loop, Part, UnknownName, parts_meet
from nbbuild.paths.segments import CONTENT, Name, name_expression, name_part

_UP: Final = ".."


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern; make it with `Pattern.parse`. Two with the same meaning are mostly equal.

    `text` is the normal form; `ups` counts the leading `..` of `segments`; `parts` is the rest,
    compiled.
    """

    text: str
    segments: tuple[str, ...]
    literal: bool  # no wildcard: a file, or a folder with everything in it
    folder: bool  # ended with "/": folders with everything in them, never a file
    ups: int = field(repr=False, compare=False)
    parts: tuple[Part, ...] = field(repr=False, compare=False)

    @staticmethod
    def parse(text: str) -> Pattern:
        """Parse a pattern, and remember the result.

        Raises ConfigError if it is empty or absolute, or climbs (`..`) after a wildcard.
        """
        return _parse(text)

    @property
    def path(self) -> str:
        """The path that a literal pattern names, "." for the root; ValueError for others."""
        if not self.literal:
            raise ValueError(f"{self.text!r} has wildcards")
        return "/".join([_UP] * self.ups + literal_lead(self)) or "."

    def __str__(self) -> str:
        return self.text


def escape(text: str) -> str:
    """Return `text` with its wildcards turned into plain characters."""
    return re.sub(r"([*?[])", r"[\1]", text)


def has_magic(text: str) -> bool:
    """Return whether any segment of `text` has a wildcard."""
    return any(segment == "**" or name_part(segment).literal is None for segment in text.split("/"))


def matches(pattern: Pattern, path: str) -> bool:
    """Return whether `pattern` means the file `path` (root-relative, normal form).

    Only names decide here; a Walker leaves out more, such as virtual environments.
    """
    segments = path.split("/")
    ups = _leading_ups(segments)
    if ups < pattern.ups:
        names = [name_part(escape(segment)) for segment in segments[ups:]]
        return parts_meet(pattern.parts, (*[UnknownName.NAME] * (pattern.ups - ups), *names))
    if ups > pattern.ups:
        return False
    if pattern.literal and pattern.parts[0] is not Loop.ALL:
        named = pattern.path
        return path.startswith(f"{named}/") or (path == named and not pattern.folder)
    return _path_expression(pattern).fullmatch(path) is not None


def can_meet(a: Pattern, b: Pattern) -> bool:
    """Return whether both patterns mean some path, whatever is on the disk. Exact."""
    if a.ups < b.ups:
        a, b = b, a
    unknown = [UnknownName.NAME] * (a.ups - b.ups)
    return parts_meet(a.parts, (*unknown, *b.parts))


def literal_prefix(pattern: Pattern) -> str:
    """Return the folder that a walk for `pattern` must begin in; "" is the root."""
    names = literal_lead(pattern)
    if pattern.literal and not pattern.folder:
        names = names[:-1]
    return "/".join([_UP] * pattern.ups + names)


@lru_cache(maxsize=1 << 16)
def _parse(text: str) -> Pattern:
    if not text or "\0" in text:
        raise ConfigError(f"{text!r} is not a path or pattern", hint="write a path such as 'data'")
    if text.startswith("/"):
        raise ConfigError(f"pattern '{text}' is absolute", hint="write it relative to the root")
    segments = _normal(text)
    folder = text.rsplit("/", 1)[-1] in ("", ".", _UP)
    ups = _leading_ups(segments)
    below = segments[ups:]
    parts: list[Part] = [Loop.VISIBLE if s == "**" else name_part(s) for s in below]
    literal = all(isinstance(part, Name) and part.literal is not None for part in parts)
    if not below:
        parts.append(Loop.ALL)
    elif folder:
        parts += [CONTENT, Loop.ALL]
    elif literal:
        parts.append(Loop.ALL)
    elif parts[-1] is Loop.VISIBLE:
        parts.append(name_part("*"))
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
    """Return the regular expression that matches whole paths."""
    parts = pattern.parts
    pieces = [r"\.\./" * pattern.ups]
    for place, part in enumerate(parts):
        if part is Loop.VISIBLE:
            pieces.append(r"(?:(?!\.)[^/]+/)*")
        elif part is Loop.ALL:  # always the last; at the top the path may not climb
            pieces.append(r"(?:/.+)?" if place else r"(?!\.\./).+")
        else:
            pieces.append(name_expression(part, groups=f"g{place}_"))
            if place + 1 < len(parts) and parts[place + 1] is not Loop.ALL:
                pieces.append("/")
    return re.compile("".join(pieces), re.DOTALL)


def literal_lead(pattern: Pattern) -> list[str]:
    """Return the segments after any `../` and before the first one with a wildcard."""
    names = []
    for part in pattern.parts:
        if not isinstance(part, Name) or part.literal is None:
            break
        names.append(part.literal)
    return names


def climbs(pattern: Pattern) -> bool:
    """Return whether the pattern may lead back down into the folders that it climbed out of."""
    return pattern.ups > 0 and not literal_lead(pattern)


def plain_lead(pattern: Pattern) -> str:
    """Return the text with which every path of the pattern begins."""
    names = literal_lead(pattern)
    lead = "".join(f"{name}/" for name in [_UP] * pattern.ups + names)
    if pattern.literal and not pattern.folder:
        return lead[:-1]
    after = pattern.parts[len(names)]
    if isinstance(after, Loop):
        return lead
    plain = re.match(r"[^*?[]*", after.text)
    return lead + plain.group() if plain else lead
