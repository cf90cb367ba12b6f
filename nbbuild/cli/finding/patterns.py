"""The fewest patterns that match exactly the notebooks that were found."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nbbuild.cli.finding.tree import MADE, FoundTree, joined, without
from nbbuild.paths.patterns import Pattern, can_meet, escape

_NOT_MADE = "**/_build/**"

PROSE = (".md", ".myst", ".mystnb", ".mnb", ".markdown", ".Rmd", ".qmd")
"""Suffixes of text notebooks that are mostly text; the others are those of programs."""


class Writer:
    """Writes down notebooks of `tree` as patterns."""

    def __init__(self, tree: FoundTree) -> None:
        self._tree = tree

    def written(
        self, found: Sequence[str], exclude: Mapping[str, str], *, everything: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Return the shortest patterns that mean `found`, and what to exclude with them, and why.

        With `everything`, what was found is all that there is, so that globs may be wide.
        """
        literal = [escape(path) for path in found]
        without_made = {**exclude, **self._tree.made}
        ways = [self._by_folder(found, without_made), literal]
        if everything:
            ways.insert(0, self._widest(found, without_made))
        patterns, left_out = literal, dict(exclude)
        for way in ways:
            made = {**self._to_come(way), **self._met(way)}
            if everything and way is ways[0] and any("**" in pattern for pattern in way):
                made = {_NOT_MADE: MADE["_build"], **made}
            if self._means(way, {**exclude, **made}) == {*found}:
                patterns, left_out = way, {**exclude, **made}
                break
        return [*map(said, patterns)], {said(text): why for text, why in left_out.items()}

    def _met(self, patterns: Iterable[str]) -> dict[str, str]:
        """Return which of the patterns of what tools made are needed beside `patterns`."""
        globs = [text for text in patterns if not Pattern.parse(text).literal]
        met = self._tree.walker.match_all(globs)
        made = self._tree.made
        return {text: why for text, why in made.items() if len(without(met, [text])) < len(met)}

    def _to_come(self, patterns: Iterable[str]) -> dict[str, str]:
        """Return the output folders of the book that `patterns` could enter one day."""
        wide = [pattern for pattern in map(Pattern.parse, patterns) if not pattern.literal]
        outputs = {f"{escape(folder)}/**": why for folder, why in self._tree.outputs.items()}
        return {
            text: why
            for text, why in outputs.items()
            if any(can_meet(pattern, Pattern.parse(text)) for pattern in wide)
        }

    def _widest(self, chosen: Sequence[str], exclude: Iterable[str]) -> list[str]:
        """Return a glob for each suffix, from the deepest folder that holds all of them."""
        patterns: list[str] = []
        for suffix, paths in _grouped((posixpath.splitext(path)[1], path) for path in chosen):
            if _is_program(suffix):
                # A glob would also open every module, in each build, to look for a header.
                patterns += self._by_folder(paths, exclude)
                continue
            folders = {posixpath.dirname(path) for path in paths}
            deep = "" if len(folders) == 1 else "**/"
            common = "" if "" in folders else posixpath.commonpath(folders)
            patterns.append(joined(escape(common), f"{deep}*{suffix}"))
        return patterns

    def _by_folder(self, chosen: Sequence[str], exclude: Iterable[str]) -> list[str]:
        """Return a glob for each folder that is all in it, and else the paths; in their order."""
        patterns: dict[str, str] = {}
        key_of = {path: (posixpath.dirname(path), posixpath.splitext(path)[1]) for path in chosen}
        for (folder, suffix), paths in _grouped((key, path) for path, key in key_of.items()):
            glob = joined(escape(folder), f"*{suffix}")
            whole = len(paths) > 1 and self._means([glob], exclude) == {*paths}
            if _is_program(suffix):
                whole = whole and {*self._tree.walker.match(glob)} == {*paths}
            patterns.update((path, glob if whole else escape(path)) for path in paths)
        return list(dict.fromkeys(patterns[path] for path in chosen))

    def _means(self, patterns: Iterable[str], exclude: Iterable[str]) -> set[str]:
        """Return what nbbuild will take for notebooks when these are in jcache.toml."""
        found: set[str] = set()
        for pattern in map(Pattern.parse, patterns):
            met = self._tree.walker.match(pattern)
            in_full = pattern.literal and met == [pattern.path]  # then it need not say so itself
            found.update(met if in_full else filter(self._tree.tell, met))
        return {*without(found, exclude)}


def said(pattern: str) -> str:
    """Return the pattern as it is written in jcache.toml."""
    # That takes a "~" that comes first for somebody's home.
    return f"./{pattern}" if pattern.startswith("~") else pattern


def _is_program(suffix: str) -> bool:
    return suffix not in (".ipynb", *PROSE)


def _grouped(pairs: Iterable[tuple[object, str]]) -> Iterator[tuple[Any, list[str]]]:
    groups: dict[object, list[str]] = {}
    for key, path in pairs:
        groups.setdefault(key, []).append(path)
    return iter(groups.items())
