"""Edit the text of a jcache.toml; comments, order and layout stay as they are.

The text is cut into sections: a table's header with its keys, the comment lines right above it, and
the blank lines and comments that follow. Only the section that changes goes through tomlkit; to the
whole file it would do more than it is asked to: it gathers all [[notebook]] in one place, and puts
a new key below the comment that belongs to the next table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tomlkit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


@dataclass(slots=True)
class _Section:
    """A table with its keys; the first section of a file has no header."""

    above: str  # comment lines that touch the header
    body: str  # from the header, if there is one, to the last key
    below: str  # blank lines and comments, up to what belongs to the next section
    known: dict[str, Any] | None = None

    def data(self) -> dict[str, Any]:
        """Return what the section says, as if it stood alone."""
        if self.known is None:
            self.known = tomllib.loads(self.body)
        return self.known

    def edit(self, change: Callable[[Any], object]) -> None:
        """Let `change` change the section, as tomlkit sees it."""
        document = tomlkit.parse(self.body)
        change(document)
        self.body, self.known = tomlkit.dumps(document), None


class ConfigFile:
    """The text of a valid jcache.toml, and the means to change it.

    Values come and go as they stand in the file; whoever knows what they mean, compares them.
    """

    def __init__(self, text: str) -> None:
        # What has Windows' line ends throughout keeps them; a mixed file keeps its mix.
        self._windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        text = text.removeprefix("\ufeff")
        self._sections = list(_sections(text.replace("\r\n", "\n") if self._windows else text))

    @property
    def text(self) -> str:
        """The whole file as it is now."""
        parts = [part for one in self._sections for part in (one.above, one.body, one.below)]
        text = "".join(parts)
        return self._mark + (text.replace("\n", "\r\n") if self._windows else text)

    @property
    def data(self) -> dict[str, Any]:
        """What the file says now."""
        return tomllib.loads("".join(one.body for one in self._sections))

    # -- [project] -------------------------------------------------------------------------------

    def append(self, key: str, values: Sequence[str]) -> None:
        """Add `values` at the end of the list `key` of [project], which is made if need be."""
        if values:
            self._in_project(key, list, lambda found: found.extend(values))

    def take(self, key: str, unwanted: Callable[[str], bool]) -> list[str]:
        """Take all `unwanted` values out of the list `key` of [project]; return them."""
        values = self.data.get("project", {}).get(key, [])
        gone = [value for value in values if unwanted(value)]

        def remove(found: Any) -> None:
            for place in reversed(range(len(values))):
                if unwanted(values[place]):
                    del found[place]

        if gone:
            self._in_project(key, list, remove)
        return gone

    def put(self, key: str, values: Mapping[str, str]) -> None:
        """Set `values` as the last ones of the table `key` of [project]."""

        def change(found: Any) -> None:
            for name, value in values.items():
                if name in found:
                    del found[name]
                found[name] = value

        if values:
            self._in_project(key, tomlkit.inline_table, change)

    def drop(self, key: str, unwanted: Callable[[str], bool]) -> list[str]:
        """Take all `unwanted` names out of the table `key` of [project]; return them."""
        gone = [name for name in self.data.get("project", {}).get(key, {}) if unwanted(name)]

        def remove(found: Any) -> None:
            for name in gone:
                del found[name]

        if gone:
            self._in_project(key, tomlkit.inline_table, remove)
        return gone

    def _in_project(
        self, key: str, empty: Callable[[], Any], change: Callable[[Any], object]
    ) -> None:
        """Let `change` change the value of `key` in [project]; `empty()` is what it starts from."""
        tables = [one for one in self._sections if "project" in one.data()]
        holder = next((one for one in tables if key in one.data()["project"]), None)
        # Not below [project.readers], where the key would be another one.
        plain = (one for one in tables if not re.match(r"[ \t]*\[ *project *\.", one.body))
        section = holder or next(plain, None) or self._new_project()

        def edit(document: Any) -> None:
            if key not in document["project"]:
                document["project"][key] = empty()
            change(document["project"][key])

        section.edit(edit)

    def _new_project(self) -> _Section:
        """Put a [project] table before all others, and return it."""
        section = _Section("", "[project]\n", "\n" if len(self._sections) > 1 else "")
        first = self._sections[0]
        if (first.body or first.below) and not (first.body + first.below).endswith("\n\n"):
            first.below += "\n"
        self._sections.insert(1, section)
        return section

    # -- [[notebook]] ----------------------------------------------------------------------------

    def extend(self, number: int, key: str, values: Sequence[str]) -> None:
        """Add `values` at the end of the list `key` of the [[notebook]] `number`, from 0."""
        section, place = self._entries()[number]

        def edit(document: Any) -> None:
            table = document["notebook"][place]
            if key in table:
                table[key].extend(values)
            else:
                table[key] = list(values)

        section.edit(edit)

    def add_entry(self, entry: Mapping[str, Any]) -> None:
        """Add a [[notebook]] after all others."""
        entries = self._entries()
        if entries and not _is_header(entries[-1][0]):  # notebook = [{ path = … }, …]

            def edit(document: Any) -> None:
                table = tomlkit.inline_table()
                table.update(entry)
                document["notebook"].append(table)

            entries[-1][0].edit(edit)
            return
        lines = "".join(
            f"{key} = {tomlkit.item(value).as_string()}\n" for key, value in entry.items()
        )
        place = len(self._sections)
        if entries:
            place = self._end_of(entries[-1][0])
        before = self._sections[place - 1]
        if (before.body or before.below) and not (before.body + before.below).endswith("\n\n"):
            before.below += "\n"
        below = "\n" if place < len(self._sections) else ""
        self._sections.insert(place, _Section("", f"[[notebook]]\n{lines}", below))

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        """The [[notebook]] entries as they stand, without tables that follow below them."""
        return [section.data()["notebook"][place] for section, place in self._entries()]

    def drop_entries(
        self, unwanted: Callable[[Mapping[str, Any]], bool]
    ) -> list[Mapping[str, Any]]:
        """Remove and return each unwanted [[notebook]], with the comment right above it."""
        tables = self.entries
        gone = [number for number, table in enumerate(tables) if unwanted(table)]
        for number in reversed(gone):
            section, place = self._entries()[number]
            if _is_header(section):
                start = self._sections.index(section)
                end = self._end_of(section)
                # Comments further below are not part of the entry.
                kept = "".join(one.below for one in self._sections[start:end]).lstrip("\n")
                self._sections[start - 1].below += kept
                del self._sections[start:end]
            else:
                section.edit(partial(_drop, place))
        return [tables[number] for number in gone]

    def _entries(self) -> list[tuple[_Section, int]]:
        """Return, for each [[notebook]], the section that holds it and its place there."""
        return [
            (section, place)
            for section in self._sections
            if isinstance(entries := section.data().get("notebook"), list)
            for place in range(len(entries))
        ]

    def _end_of(self, section: _Section) -> int:
        """Return the number of the section after an entry and its own tables."""
        end = self._sections.index(section) + 1
        while end < len(self._sections) and isinstance(
            self._sections[end].data().get("notebook"), dict
        ):
            end += 1
        return end


def _sections(text: str) -> Iterator[_Section]:
    if text and not text.endswith("\n"):
        text += "\n"
    starts = [0]
    for found in _HEADER.finditer(text):
        # What begins like a header may be in a list or a text of several lines: then what is
        # before it is no whole TOML.
        if _is_whole(text[starts[-1] : found.start()]):
            starts.append(found.start())
    above = ""
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        body, below, next_above = _tail(text[start:end], is_last=end == len(text))
        yield _Section(above, body, below)
        above = next_above


def _tail(text: str, *, is_last: bool) -> tuple[str, str, str]:
    """Split a section: its keys, what follows, and the comment that touches the next header."""
    lines = text.splitlines(keepends=True)
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    while not _is_whole("".join(lines[:end])):  # the end of a text may look like a comment
        end += 1
    touching = len(lines)
    while not is_last and touching > end and lines[touching - 1].strip():
        touching -= 1
    return "".join(lines[:end]), "".join(lines[end:touching]), "".join(lines[touching:])


def _is_header(section: _Section) -> bool:
    return section.body.lstrip().startswith("[")


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _drop(place: int, document: Any) -> None:
    del document["notebook"][place]
