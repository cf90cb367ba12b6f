"""Find the notebooks of a folder or a book, and the fewest patterns that mean just these."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbbuild.cli._books import Book, Entry
from nbbuild.errors import ConfigError
from nbbuild.notebook.formats import is_notebook, is_text
from nbbuild.patterns import Pattern, escape, matches
from nbbuild.walk import Walker

OUTPUT = "_build/executed"

_MADE = frozenset({"_build", "node_modules"})
"""Folders of what books and their tools make: their notebooks are copies."""

_NOT_MADE = "**/_build/**"

_PROSE = (".md", ".myst", ".mystnb", ".mnb", ".markdown", ".Rmd", ".qmd")
"""Suffixes of text notebooks that are mostly text; the others are those of programs."""

_ENDINGS = ("", ".ipynb", *_PROSE, ".py", ".R", ".jl", ".rst", ".tex", ".txt")
"""What a table of contents may leave out of a path, in the order in which it is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The notebooks found, in order, and how to write them down. Paths are root-relative."""

    notebooks: tuple[str, ...]
    patterns: tuple[str, ...]  # with `exclude` they match these notebooks and no others
    exclude: tuple[str, ...] = ()
    pages: int = 0  # entries of the book that are no notebooks
    notes: tuple[str, ...] = ()  # what a user should know


class Finder:
    """Looks for notebooks in `root` and says how to write them down; reads only."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # As nbbuild itself will look when it reads what is written down.
        self._walker = Walker(root, closed=(OUTPUT, ".nbbuild/store"))
        self._known: dict[str, bool] = {}

    def in_folder(self, folder: str) -> Found:
        """Find all notebooks below `folder`, root-relative; "" is the root."""
        return self._written_down(self._all(folder), [], everything=True)

    def in_book(self, book: Book, folder: str) -> Found:
        """Find the notebooks of a book that lies in `folder`, in its order."""
        unnamed, notes = _understood(_joined(escape(folder), text) for text in book.exclude)
        never, more = _understood(book.never)
        notes += more
        pages = 0
        named: dict[str, None] = {}
        if book.entries is None:
            named.update(dict.fromkeys(_without(self._all(folder), unnamed)))
        for entry in book.entries or ():
            paths = self._named(entry, folder)
            if not paths:
                notes.append(f"{book.named_in.name} names '{entry.text}', which is not there")
            if entry.is_glob:
                paths = _without(paths, unnamed)
            notebooks = [path for path in paths if self._tell(path)]
            pages += len(paths) - len(notebooks)
            named.update(dict.fromkeys(notebooks))
        chosen = _without(named, never)
        if gone := [path for path in named if path not in set(chosen)]:
            some = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
            notes.append(f"{len(gone)} left out by exclude_patterns of _config.yml: {some}")
        exclude = [
            text for text in (*never, *unnamed) if len(_without(chosen, [text])) == len(chosen)
        ]
        found = self._written_down(chosen, exclude, everything=book.entries is None)
        return replace(found, pages=pages, notes=(*notes, *found.notes))

    # -- what there is -------------------------------------------------------------------------

    def _all(self, folder: str) -> list[str]:
        """Return all notebooks below `folder`, sorted as people do: 2 before 10."""
        found = self._walker.match(_joined(escape(folder), "**/*"))
        mine = (path for path in found if _MADE.isdisjoint(path.split("/")))
        return sorted(filter(self._tell, mine), key=_natural)

    def _named(self, entry: Entry, folder: str) -> list[str]:
        """Return the files that an entry names: notebooks, or the one page."""
        if entry.is_glob:
            pattern = Pattern.parse(_joined(escape(folder), entry.text))
            # A glob of Jupyter Book is for paths without suffix, one of MyST with it.
            return [
                one
                for one in self._all(folder)
                if matches(pattern, one) or matches(pattern, posixpath.splitext(one)[0])
            ]
        path = _joined(folder, entry.text)
        if path.startswith("../"):
            return []
        there = (path + end for end in _ENDINGS if (self._root / f"{path}{end}").is_file())
        return list(there)[:1]

    def _tell(self, path: str) -> bool:
        """Whether the file `path` is a notebook, by its name or its header."""
        if path not in self._known:
            self._known[path] = path.endswith(".ipynb") or (is_text(path) and self._says_so(path))
        return self._known[path]

    def _says_so(self, path: str) -> bool:
        try:
            return is_notebook(path, (self._root / path).read_bytes())
        except OSError:  # not ours to read
            return False

    # -- how to write it down ------------------------------------------------------------------

    def _written_down(
        self, found: Sequence[str], exclude: Sequence[str], *, everything: bool
    ) -> Found:
        """Choose the shortest patterns that, read by nbbuild, mean what was found."""
        chosen, notes = _possible(found)
        ways: list[tuple[list[str], list[str]]] = [
            (self._by_folder(chosen, exclude), list(exclude)),
            ([escape(path) for path in chosen], []),
        ]
        if everything:
            widest = self._widest(chosen, exclude)
            made = [_NOT_MADE] if any("**" in pattern for pattern in widest) else []
            ways.insert(0, (widest, [*exclude, *made]))
        patterns, left_out = next((way for way in ways if self._means(*way) == {*chosen}), ways[-1])
        return Found(
            notebooks=tuple(chosen),
            # jcache.toml takes a "~" that comes first for somebody's home.
            patterns=tuple(f"./{text}" if text.startswith("~") else text for text in patterns),
            exclude=tuple(left_out),
            notes=tuple(notes),
        )

    def _widest(self, chosen: Sequence[str], exclude: Sequence[str]) -> list[str]:
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
            patterns.append(_joined(escape(common), f"{deep}*{suffix}"))
        return patterns

    def _by_folder(self, chosen: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """Return a glob for each folder that is all in it, and else the paths; in their order."""
        patterns: dict[str, str] = {}
        key_of = {path: (posixpath.dirname(path), posixpath.splitext(path)[1]) for path in chosen}
        for (folder, suffix), paths in _grouped((key, path) for path, key in key_of.items()):
            glob = _joined(escape(folder), f"*{suffix}")
            whole = len(paths) > 1 and self._means([glob], exclude) == {*paths}
            if _is_program(suffix):
                whole = whole and {*self._walker.match(glob)} == {*paths}
            patterns.update((path, glob if whole else escape(path)) for path in paths)
        return list(dict.fromkeys(patterns[path] for path in chosen))

    def _means(self, patterns: Iterable[str], exclude: Iterable[str]) -> set[str]:
        """Return what nbbuild will take for notebooks when these are in jcache.toml."""
        found = _without(self._walker.match_all(patterns), exclude)
        return {path for path in found if self._tell(path)}


def _is_program(suffix: str) -> bool:
    return suffix not in (".ipynb", *_PROSE)


def _possible(found: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the notebooks that can stand in one jcache.toml, and a note for each other one."""
    chosen: dict[str, str] = {}  # what it is built to → source
    notes: list[str] = []
    # Notebooks proper first: of a pair that Jupytext keeps in step, one file is enough.
    for path in sorted(found, key=lambda path: not path.endswith(".ipynb")):
        built = posixpath.splitext(path)[0]
        if "\\" in path or not path.isprintable():
            notes.append(f"left out {path!r}: jcache.toml cannot hold such a name")
        elif built in chosen:
            notes.append(f"left out '{path}': it is built to the same file as '{chosen[built]}'")
        else:
            chosen[built] = path
    kept = set(chosen.values())
    return [path for path in found if path in kept], notes


def _understood(patterns: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the patterns that nbbuild has a meaning for, and a note for each other one."""
    kept: list[str] = []
    notes: list[str] = []
    for text in patterns:
        try:
            normal = Pattern.parse(text).text
        except ConfigError:
            normal = "\\"
        if "\\" in normal or normal.startswith("~"):
            notes.append(f"the pattern '{text}' to exclude is not carried over")
        else:
            kept.append(normal)
    return kept, notes


def _without(paths: Iterable[str], exclude: Iterable[str]) -> list[str]:
    patterns = [Pattern.parse(text) for text in exclude]
    return [path for path in paths if not any(matches(pattern, path) for pattern in patterns)]


def _grouped(pairs: Iterable[tuple[object, str]]) -> Iterator[tuple[Any, list[str]]]:
    groups: dict[object, list[str]] = {}
    for key, path in pairs:
        groups.setdefault(key, []).append(path)
    return iter(groups.items())


def _joined(folder: str, text: str) -> str:
    """Return a path or pattern of a book as one from the root, in normal form."""
    return posixpath.normpath(posixpath.join(folder, text.lstrip("/")))


def _natural(path: str) -> list[tuple[int, str]]:
    # Texts and numbers take turns, so a text is never compared with a number.
    pieces = re.split(r"([0-9]+)", path)
    return [(int(piece) if n % 2 else 0, piece) for n, piece in enumerate(pieces)]
