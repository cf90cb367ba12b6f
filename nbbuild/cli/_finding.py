"""Find the notebooks of a folder or a book, and the fewest patterns that mean just these."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbbuild.cli import _pages
from nbbuild.cli._pages import Page
from nbbuild.cli.books import Book, Entry
from nbbuild.errors import ConfigError
from nbbuild.notebook.formats import is_notebook, is_text
from nbbuild.patterns import Pattern, escape, matches
from nbbuild.walk import Walker

OUTPUT = "_build/executed"

_MADE: Mapping[str, str] = {
    "_build": "what renderers made",
    "_site": "what Quarto or Jekyll made",
    "_book": "what Quarto made",
    "_freeze": "what Quarto made",
    "_sources": "what Sphinx made",
    "jupyter_execute": "what MyST-NB made",
    "node_modules": "packages of npm",
    "__pypackages__": "installed packages",
}
"""Folders of what tools make or install: their notebooks are copies, or others'."""

_MADE_FILES: Mapping[str, str] = {".nbconvert.ipynb": "what jupyter nbconvert --execute made"}
"""Ends of names of what tools put beside a notebook."""

_MARKS = frozenset({".buildinfo", ".doctrees", "environment.pickle", "CACHEDIR.TAG"})
"""What marks a folder as made by Sphinx, or as a cache."""

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
    exclude: Mapping[str, str] = field(default_factory=dict)  # pattern → why, "" if nobody said
    pages: int = 0  # entries of the book that are no notebooks
    kernels: frozenset[str] = frozenset()  # names that the notebooks use
    notes: tuple[str, ...] = ()  # what a user should know


class Finder:
    """Looks for notebooks in `root` and says how to write them down; reads only."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # As nbbuild itself will look when it reads what is written down.
        self._walker = Walker(root, closed=(OUTPUT, ".nbbuild/store"))
        self._known: dict[str, bool] = {}
        self._pages: dict[str, Page] = {}
        self._made: dict[str, str] = {}  # pattern → why, for what tools made here
        self._bare_code = False

    def in_folder(self, folder: str) -> Found:
        """Find all notebooks below `folder`, root-relative; "" is the root."""
        return self._chosen(self._all(folder), {}, everything=True)

    def in_book(self, book: Book, folder: str, place: str) -> Found:
        """Find the notebooks of a book whose pages lie in `folder`, in its order.

        `place` is the folder in which to look when the book has no table of contents.
        """
        self._bare_code = book.bare_code
        there = self._all(place)
        unseen = [_joined(escape(folder), text) for text in book.unseen]
        unseen = [text for text in unseen if len(_without(there, [text])) < len(there)]
        unnamed, notes = _understood(_joined(escape(folder), text) for text in book.exclude)
        unnamed = [*unseen, *unnamed]
        never: dict[str, str] = {}
        for rule in book.never:
            kept, more = _understood([rule.text])
            notes += more
            never.update((text, rule.why) for text in kept)
        pages = 0
        named: dict[str, None] = {}
        if book.entries is None:
            named.update(dict.fromkeys(_without(there, unnamed)))
        for entry in book.entries or ():
            paths = self._named(entry, folder)
            if not paths:
                notes.append(f"{book.named_in.name} names '{entry.text}', which is not there")
            if entry.is_glob:
                paths = _without(paths, unnamed)
            notebooks = [path for path in paths if self._is_ours(path)]
            pages += len(paths) - len(notebooks)
            named.update(dict.fromkeys(notebooks))
        if book.entries is not None and folder:
            notes += _outside(there, folder)
        excluded = {**never, **dict.fromkeys(unnamed, "")}
        globs = book.entries is None or all(entry.is_glob for entry in book.entries)
        found = self._chosen(list(named), excluded, everything=globs)
        return replace(found, pages=pages, notes=(*notes, *found.notes))

    # -- what there is -------------------------------------------------------------------------

    def _all(self, folder: str) -> list[str]:
        """Return all notebooks below `folder`, sorted as people do: 2 before 10."""
        found = self._walker.match(_joined(escape(folder), "**/*"))
        mine = [path for path in found if not self._is_made(path)]
        return sorted(filter(self._is_ours, mine), key=_natural)

    def _is_made(self, path: str) -> bool:
        """Whether a tool made the file, or the folder that it lies in; notes what means these."""
        folders = path.split("/")[:-1]
        for number, name in enumerate(folders, 1):
            if name in _MADE:
                self._made[f"**/{name}/**"] = _MADE[name]
                return True
            inside = "/".join(folders[:number])
            if self._is_marked(inside):
                self._made[f"{escape(inside)}/**"] = "what a tool made"
                return True
        for end, why in _MADE_FILES.items():
            if path.endswith(end):
                self._made[f"**/*{end}"] = why
                return True
        return False

    def _is_marked(self, folder: str) -> bool:
        return any(entry.name in _MARKS for entry in self._walker.entries(folder))

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

    def _is_ours(self, path: str) -> bool:
        """Whether the file `path` is a notebook for nbbuild, or one for the tool of the book."""
        if self._tell(path):
            return True
        bare = self._bare_code and path.endswith(".qmd")
        return bare and _pages.has_quarto_code(self._bytes(path))

    def _tell(self, path: str) -> bool:
        """Whether the file `path`, met by a glob, is a notebook, by its name or its header."""
        if path not in self._known:
            self._known[path] = path.endswith(".ipynb") or (
                is_text(path) and is_notebook(path, self._bytes(path))
            )
        return self._known[path]

    def _page(self, path: str) -> Page:
        if path not in self._pages:
            self._pages[path] = _pages.read(path, self._bytes(path))
        return self._pages[path]

    def _bytes(self, path: str) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except OSError:  # not ours to read
            return b""

    # -- what is never executed ----------------------------------------------------------------

    def _chosen(
        self, named: Sequence[str], excluded: Mapping[str, str], *, everything: bool
    ) -> Found:
        """Leave out what the book or a page says is never executed, and write down the rest."""
        rules = [(Pattern.parse(text), why) for text, why in excluded.items() if why]
        left_out: dict[str, list[str]] = {}  # why → pages
        rest: list[str] = []
        for path in named:
            why = next((why for pattern, why in rules if matches(pattern, path)), "")
            (left_out.setdefault(why, []) if why else rest).append(path)
        # The other files of a pair that Jupytext keeps in step are the same page.
        stems = {_stem(path): never for path in rest if (never := self._page(path).never)}
        own = {path: f"'{stems[_stem(path)]}' in the page" for path in rest if _stem(path) in stems}
        for path, why in own.items():
            left_out.setdefault(why, []).append(path)
        chosen = [path for path in rest if path not in own]
        notes = [
            f"{len(paths)} left out by {why}: {_some(paths)}" for why, paths in left_out.items()
        ]
        pages = {escape(path): why for path, why in own.items()}
        exclude = {
            text: why
            for text, why in {**excluded, **pages}.items()
            if len(_without(chosen, [text])) == len(chosen) and _can_be_said(text)
        }
        found = self._written_down(chosen, exclude, everything=everything)
        kernels = frozenset(self._page(path).kernel for path in found.notebooks) - {""}
        return replace(found, kernels=kernels, notes=(*notes, *found.notes))

    # -- how to write it down ------------------------------------------------------------------

    def _written_down(
        self, found: Sequence[str], exclude: Mapping[str, str], *, everything: bool
    ) -> Found:
        """Choose the shortest patterns that, read by nbbuild, mean what was found."""
        chosen, notes = _possible(found)
        without = {**exclude, **self._made}
        literal = [escape(path) for path in chosen]
        ways = [self._by_folder(chosen, without), literal]
        if everything:
            ways.insert(0, self._widest(chosen, without))
        patterns, left_out = literal, dict(exclude)
        for way in ways:
            made = self._met(way)
            if everything and way is ways[0] and any("**" in pattern for pattern in way):
                made = {_NOT_MADE: _MADE["_build"], **made}
            if self._means(way, {**exclude, **made}) == {*chosen}:
                patterns, left_out = way, {**exclude, **made}
                break
        return Found(
            notebooks=tuple(chosen),
            patterns=tuple(map(_said, patterns)),
            exclude={_said(text): why for text, why in left_out.items()},
            notes=tuple(notes),
        )

    def _met(self, patterns: Iterable[str]) -> dict[str, str]:
        """Return which of the patterns of what tools made are needed beside `patterns`."""
        met = self._walker.match_all(text for text in patterns if not Pattern.parse(text).literal)
        return {
            text: why for text, why in self._made.items() if len(_without(met, [text])) < len(met)
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
            patterns.append(_joined(escape(common), f"{deep}*{suffix}"))
        return patterns

    def _by_folder(self, chosen: Sequence[str], exclude: Iterable[str]) -> list[str]:
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
        found: set[str] = set()
        for pattern in map(Pattern.parse, patterns):
            met = self._walker.match(pattern)
            in_full = pattern.literal and met == [pattern.path]  # then it need not say so itself
            found.update(met if in_full else filter(self._tell, met))
        return {*_without(found, exclude)}


def _outside(there: Iterable[str], folder: str) -> list[str]:
    """Return a note on the notebooks that lie beside the book."""
    others = [path for path in there if not path.startswith(f"{folder}/")]
    if not others:
        return []
    lie = "notebook lies" if len(others) == 1 else "notebooks lie"
    return [
        f"{len(others)} {lie} outside '{folder}' and {'is' if len(others) == 1 else 'are'} not"
        f" listed: {_some(others)}; `nbbuild add` lists more"
    ]


def _stem(path: str) -> str:
    return posixpath.splitext(path)[0]


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")


def _said(pattern: str) -> str:
    # jcache.toml takes a "~" that comes first for somebody's home.
    return f"./{pattern}" if pattern.startswith("~") else pattern


def _can_be_said(pattern: str) -> bool:
    return "\\" not in pattern and pattern.isprintable()


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
