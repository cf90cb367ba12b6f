"""Find the notebooks of a folder or a book, and leave out those that are never executed."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbbuild.cli.books import Book, ContentsLine
from nbbuild.cli.finding.modules import python_path
from nbbuild.cli.finding.pages import PageSettings
from nbbuild.cli.finding.patterns import PROSE, Writer, said
from nbbuild.cli.finding.tree import FoundTree, joined, without
from nbbuild.errors import ConfigError
from nbbuild.paths.patterns import Pattern, escape, matches

_ENDINGS = ("", ".ipynb", *PROSE, ".py", ".R", ".jl", ".rst", ".tex", ".txt")
"""What a table of contents may leave out of a path, in the order in which it is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The notebooks found, in order, and how to write them down. Paths are root-relative."""

    notebooks: tuple[str, ...]
    patterns: tuple[str, ...]  # with `exclude` they match these notebooks and no others
    exclude: Mapping[str, str] = field(default_factory=dict)  # pattern → why, "" if nobody said
    pages: int = 0  # entries of the book that are not notebooks
    kernels: frozenset[str] = frozenset()  # names that the notebooks use
    own: Mapping[str, PageSettings] = field(
        default_factory=dict
    )  # notebooks with settings of their own
    python_path: Mapping[str, str] = field(default_factory=dict)  # folder → a module in it
    notes: tuple[str, ...] = ()  # what a user should know


@dataclass(slots=True)
class _Named:
    """What a table of contents names."""

    notebooks: dict[str, None] = field(default_factory=dict)  # in its order
    pages: int = 0
    knitted: list[str] = field(default_factory=list)  # pages with code in R
    missing: list[str] = field(default_factory=list)


def in_folder(root: Path, folder: str) -> Found:
    """Find all notebooks below `folder`, root-relative; "" is the root. Reads only."""
    tree = FoundTree(root)
    return _chosen(tree, tree.notebooks(folder), {}, everything=True)


def in_book(root: Path, book: Book, folder: str, place: str) -> Found:
    """Find the notebooks of a book whose pages are in `folder`, in its order. Reads only.

    `place` is the folder in which to look when the book has no table of contents.
    """
    tree = FoundTree(root, outputs=_outputs(book, folder), bare_code=book.bare_code)
    there = tree.notebooks(place)
    unseen = [joined(escape(folder), text) for text in book.unseen]
    unseen = [text for text in unseen if len(without(there, [text])) < len(there)]
    exclude, notes = _understood(joined(escape(folder), text) for text in book.exclude)
    exclude = [*unseen, *exclude]
    never: dict[str, str] = {}
    for rule in book.never:
        kept, more = _understood([rule.text])
        notes += more
        never.update((text, rule.why) for text in kept)
    if book.entries is None:
        named = _Named(dict.fromkeys(without(there, exclude)))
    else:
        named = _named(tree, book.entries, folder, exclude)
        notes += [
            f"{book.named_in.name} names '{text}', which does not exist" for text in named.missing
        ]
        if named.knitted:
            some = _some(named.knitted)
            notes.append(f"{len(named.knitted)} left out, which knitr executes: {some}")
        if folder:
            notes += _outside(there, folder)
    return _chosen(
        tree,
        list(named.notebooks),
        {**never, **dict.fromkeys(exclude, "")},
        everything=book.entries is None or all(entry.is_glob for entry in book.entries),
        notes=notes,
        pages=named.pages,
    )


def _outputs(book: Book, folder: str) -> dict[str, str]:
    """Return the folders that the tool of the book writes, root-relative, and what to say."""
    above = folder[: -len(book.pages_in)] if book.pages_in else folder
    outputs = (joined(above, made) for made in book.made)
    why = f"what is made from {book.named_in.name}"
    return {made: why for made in outputs if not made.startswith("..")}


def _named(
    tree: FoundTree, entries: Iterable[ContentsLine], folder: str, exclude: Sequence[str]
) -> _Named:
    """Look for what `entries` name; `exclude` is for globs."""
    named = _Named()
    for entry in entries:
        paths = _meant(tree, entry, folder)
        if not paths:
            named.missing.append(entry.text)
        if entry.is_glob:
            paths = without(paths, exclude)
        for path in paths:
            if tree.is_ours(path):
                named.notebooks[path] = None
            elif tree.is_knitted(path):
                named.knitted.append(path)
            else:
                named.pages += 1
    return named


def _meant(tree: FoundTree, entry: ContentsLine, folder: str) -> list[str]:
    """Return the files that an entry names: notebooks, or the one page."""
    if entry.is_glob:
        pattern = Pattern.parse(joined(escape(folder), entry.text))
        # A glob of Jupyter Book is for paths without suffix, one of MyST with it.
        return [
            one
            for one in tree.notebooks(folder)
            if matches(pattern, one) or matches(pattern, _stem(one))
        ]
    path = joined(folder, entry.text)
    if path.startswith("../"):
        return []
    there = (path + end for end in _ENDINGS if (tree.root / f"{path}{end}").is_file())
    return list(there)[:1]


def _chosen(
    tree: FoundTree,
    named: Sequence[str],
    excluded: Mapping[str, str],
    *,
    everything: bool,
    notes: Sequence[str] = (),
    pages: int = 0,
) -> Found:
    """Leave out what the book or a page says is never executed, and write down the rest.

    `excluded` is pattern → why, "" for one that shall only be written down.
    """
    rules = [(Pattern.parse(text), why) for text, why in excluded.items() if why]
    left_out: dict[str, list[str]] = {}  # why → pages
    rest: list[str] = []
    for path in named:
        why = next((why for pattern, why in rules if matches(pattern, path)), "")
        (left_out.setdefault(why, []) if why else rest).append(path)
    # The other files of a pair that Jupytext keeps in step are the same page.
    stems = {_stem(path): never for path in rest if (never := tree.page(path).never)}
    own = {path: f"'{stems[_stem(path)]}' in the page" for path in rest if _stem(path) in stems}
    for path, why in own.items():
        left_out.setdefault(why, []).append(path)
    chosen, unfit = _possible([path for path in rest if path not in own])
    exclude = {
        text: why
        for text, why in excluded.items()
        if len(without(chosen, [text])) == len(chosen) and _can_be_said(text)
    }
    exclude |= {escape(path): why for path, why in own.items() if _can_be_said(path)}
    patterns, exclude = Writer(tree).written(chosen, exclude, everything=everything)
    gone = [f"{len(paths)} left out by {why}: {_some(paths)}" for why, paths in left_out.items()]
    return Found(
        notebooks=tuple(chosen),
        patterns=tuple(patterns),
        exclude=exclude,
        pages=pages,
        kernels=frozenset(tree.page(path).kernel for path in chosen) - {""},
        own={said(escape(path)): page for path in chosen if (page := tree.page(path)).has_settings},
        python_path=python_path(tree, chosen),
        notes=(*notes, *gone, *unfit),
    )


def _outside(there: Iterable[str], folder: str) -> list[str]:
    """Return a note on the notebooks that are beside the book."""
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


def _can_be_said(pattern: str) -> bool:
    return "\\" not in pattern and pattern.isprintable()


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


def _possible(found: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the notebooks that can stand in one jcache.toml, and a note for each other one."""
    chosen: dict[str, str] = {}  # what it is built to → source
    notes: list[str] = []
    # Notebooks proper first: of a pair that Jupytext keeps in step, one file is enough.
    for path in sorted(found, key=lambda path: not path.endswith(".ipynb")):
        built = posixpath.splitext(path)[0]
        if not _can_be_said(path):
            notes.append(f"left out {path!r}: jcache.toml cannot hold such a name")
        elif built in chosen:
            notes.append(f"left out '{path}': it is built to the same file as '{chosen[built]}'")
        else:
            chosen[built] = path
    kept = set(chosen.values())
    return [path for path in found if path in kept], notes
