"""Turn what a run was seen to do into a trace: the answers that it got.

`Scope` decides which paths count; this module records the answers about them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from nbbuild.disk.digests import UNREADABLE
from nbbuild.model import Trace, TraceItem
from nbbuild.watching import changes
from nbbuild.watching.answers import LINK, WAYS, answer, answered
from nbbuild.watching.imported import RunImports
from nbbuild.watching.literals import is_file, literals
from nbbuild.watching.observed import FileUse, Glob, Listing, Observed, Variable
from nbbuild.watching.scope import Scope
from nbbuild.watching.traces import (
    LINES,
    digest_matches,
    digest_names,
    glob_matches,
    left_at,
    parted,
)
from nbbuild.watching.traces import listing as listing_now
from nbbuild.watching.watched import Watched, Watching, via_cell
from nbbuild.watching.written import read_of_earlier_runs, written

_OWN = frozenset({"lexists", "lstat"})
_SETTERS = frozenset({"IPython", "dotenv", "environs"})


def traced(watching: Watching, observed: Observed) -> Watched:
    """Return the trace of a run from what its kernel and its children reported."""
    made = _made(watching, observed)
    done = written(watching, observed)
    made.update(dict.fromkeys(done.scratch, ""))
    ours = _OwnOrMade(watching.scope, made)
    items: dict[tuple[str, str, str], TraceItem] = {}
    changed: list[str] = []
    modules = RunImports(watching, observed, made)
    imported: set[str] = set()
    for item in modules.items(changed, done.rewritten):
        items.setdefault((item.kind, item.name, item.way), item)
        if item.way == LINES:
            imported.add(item.name)
    for item in (
        *_files(watching, observed, changed, done.scratch),
        *_listings(watching, observed.listings, ours, changed),
        *_globs(watching, observed.globs, ours, changed),
        *_literals(watching, observed, modules.texts, changed),
    ):
        if item.kind != "file" or item.name not in imported:  # the import read it
            items.setdefault((item.kind, item.name, item.way), item)
    hosts = dict.fromkeys(host.name for host in observed.hosts)
    readers = ("__main__", *modules.local)
    variables = dict.fromkeys(
        one.name
        for one in observed.variables
        if one.deed == "read" and one.name != "*" and one.reader in readers
    )
    return Watched(
        trace=Trace(
            level=observed.level,
            items=tuple(items[key] for key in sorted(items)),
            path=modules.path,
            hosts=tuple(hosts),
            variables=tuple(variables),
            partial=observed.partial,
            set_variables=tuple(
                sorted({one.name for one in observed.variables if _sets(one, readers)})
            ),
            made=tuple(sorted(name for name, path in made.items() if path and _is_folder(path))),
        ),
        undeclared=tuple(done.changed),
        changed=tuple(dict.fromkeys(changed)),
        altered=tuple(done.altered),
        rewritten=tuple(sorted(done.rewritten)),
        removed=tuple(done.removed),
        scratch=tuple(done.scratch),
        left=tuple(done.left),
        own=tuple(read_of_earlier_runs(watching, observed)),
        touched=frozenset(done.touched),
    )


def _made(watching: Watching, observed: Observed) -> dict[str, str]:
    """Return name → path of everything that the run made, even if it had looked for it before."""
    found = (
        (watching.scope.name(use.path), use.path)
        for use in observed.files
        if use.made or (use.first is None and use.written)
    )
    return {name: path for name, path in found if name is not None}


class _OwnOrMade:
    """A task's own paths, and the others that the run made."""

    def __init__(self, scope: Scope, made: Collection[str]) -> None:
        self._own = scope.own
        self._made = made

    def __call__(self, path: str) -> bool:
        return path in self._made or self._own.name(path)

    def made(self, path: str) -> bool:
        """Whether the run made exactly this path."""
        return path in self._made


def _sets(one: Variable, readers: Collection[str]) -> bool:
    """Whether the notebook set a variable, by itself or through a package that is made for it.

    Variables that other packages set when they are imported do not count.
    """
    by = one.reader.partition(".")[0]
    return one.deed == "set" and (one.reader in readers or by in _SETTERS)


def _files(
    watching: Watching, observed: Observed, changed: list[str], scratch: Collection[str]
) -> Iterator[TraceItem]:
    for use in observed.files:
        name = watching.scope.counts(use.path)
        if name is None or name in watching.declared or name in scratch or use.made:
            continue
        if not changes.found(use) or watching.scope.is_of_the_shell(use.path, name):
            continue
        yield from _file(watching, use, name, changed)


def _file(watching: Watching, use: FileUse, name: str, changed: list[str]) -> Iterator[TraceItem]:
    """Yield items for the answers about one path."""
    via = via_cell(use.cell)
    if not use.written and not _OWN.isdisjoint(use.uses):
        yield from _own_answer(watching, use, name, via, changed)
    followed = [kind for kind in use.uses if kind not in _OWN]
    if not followed:
        if use.own is None:
            yield from _absent(watching, use, name, via, changed, way=LINK)
        return
    if use.first is None:
        yield from _absent(watching, use, name, via, changed)
    elif use.first.type == "f" and changes.read_first(use):
        yield from _content(watching, use, name, via, changed)
        if "stat" in use.uses and not use.written:
            value = answered(use.first, "stat", use.path, watching.scope.masks)
            yield TraceItem("stat", name, value, via, "stat")
    elif not use.written:
        # A file that was looked for and then rewritten, as libraries do, is from an earlier run.
        yield from _answer(watching, use, name, via, changed)


def _absent(
    watching: Watching, use: FileUse, name: str, via: str, changed: list[str], *, way: str = ""
) -> Iterator[TraceItem]:
    left = left_at(use.path, watching.digests.digest, way=way)
    if left.startswith("d") and len(left) < 9 and watching.scope.own.name(name):
        return  # a folder for its own artefacts comes back with them
    if left and not use.written:
        changed.append(f"'{name}' appeared")
    yield TraceItem("absent", name, left, via, way)


def _content(
    watching: Watching, use: FileUse, name: str, via: str, changed: list[str]
) -> Iterator[TraceItem]:
    path = Path(use.path)
    look = watching.digests.look(path)
    if use.path.endswith("-shm") and use.written:
        return  # SQLite's shared memory, which holds nothing lasting
    if not changes.untouched(use, look) and not (use.written and changes.unchanged(use, look)):
        by_itself = f"it read '{name}' and then changed it itself"
        deed = "disappeared" if look is None else "changed"
        changed.append(by_itself if use.written else f"'{name}' {deed}")
    if look is not None:
        digest = watching.digests.fresh(path) or ""
        if (digest == UNREADABLE) != (look.digest == UNREADABLE):
            changed.append(f"'{name}' could be read only at times")
        yield TraceItem("file", name, digest, via)


def _answer(
    watching: Watching, use: FileUse, name: str, via: str, changed: list[str]
) -> Iterator[TraceItem]:
    """Yield an item for the answer of `stat` and its like about a path."""
    way = next((way for way in reversed(WAYS) if way in use.uses), "exists")
    assert use.first is not None
    folder = use.first.type == "d"
    if folder and (watching.scope.own.name(name) or watching.scope.surrounds(use.path)):
        # A folder for its own artefacts comes back with them; one around the project always exists.
        return
    value = answered(use.first, way, use.path, watching.scope.masks)
    if answer(use.path, way, watching.scope.masks) != value:
        changed.append(f"'{name}' changed")
    yield TraceItem("stat", name, value, via, way)
    if "enter" in use.uses or way == "stat":
        # From here on, names are relative to where the links lead; an inode shows that, too.
        yield from _links(watching, use.path, via)


def _own_answer(
    watching: Watching, use: FileUse, name: str, via: str, changed: list[str]
) -> Iterator[TraceItem]:
    """Yield an item for the answer about a path itself, which may be a link."""
    if use.own is None:
        return
    if use.own.type == "d" and (
        watching.scope.own.name(name) or watching.scope.surrounds(use.path)
    ):
        return
    way = f"{'stat' if 'lstat' in use.uses else 'exists'} {LINK}"
    value = answered(use.own, way, use.path, watching.scope.masks)
    if answer(use.path, way, watching.scope.masks) != value:
        changed.append(f"'{name}' changed")
    yield TraceItem("stat", name, value, via, way)


def _links(watching: Watching, path: str, via: str) -> Iterator[TraceItem]:
    """Yield an item for each link on the way to `path`: where it leads."""
    done = ""
    for part in os.path.normpath(path).split("/")[1:]:
        done += f"/{part}"
        if not os.path.islink(done):  # noqa: PTH114
            continue
        name = watching.scope.counts(done)
        if name is not None:
            way = f"exists {LINK}"
            yield TraceItem("stat", name, answer(done, way), via, way)


def _listings(
    watching: Watching, listings: Iterable[Listing], ours: _OwnOrMade, changed: list[str]
) -> Iterator[TraceItem]:
    for one in listings:
        name = watching.scope.name(one.path)
        if name is None or one.names is None or ours.made(name):
            continue
        value = digest_names(one.names, name, own=ours, virtual=watching.scope.virtual)
        if listing_now(one.path, name, own=ours, virtual=watching.scope.virtual) != value:
            changed.append(f"the names in the folder '{name}' changed")
        yield TraceItem("listing", name, value, via_cell(one.cell))
        yield from _links(watching, one.path, via_cell(one.cell))


def _globs(
    watching: Watching, globs: Iterable[Glob], ours: _OwnOrMade, changed: list[str]
) -> Iterator[TraceItem]:
    for one in globs:
        folder, pattern = parted(one.base, one.pattern)
        base = watching.scope.name(folder)
        if base is None or one.matches is None:
            continue
        flags = [one.way, *(["recursive"] * one.recursive), *(["hidden"] * one.hidden)]
        way = " ".join(flags)
        name = f"{base}:{pattern}"
        root, virtual = watching.scope.root, watching.scope.virtual
        value = digest_matches(one.matches, root, own=ours, virtual=virtual)
        now = glob_matches(Path(root), name, way)
        if digest_matches(now, root, own=ours, virtual=virtual) != value:
            changed.append(f"the matches of '{pattern}' changed")
        yield TraceItem("glob", name, value, via_cell(one.cell), way)


def _literals(
    watching: Watching, observed: Observed, texts: Iterable[str], changed: list[str]
) -> Iterator[TraceItem]:
    """Yield the existing files that string literals name: C code may have opened them."""
    if observed.level == "syscalls":
        return  # every open was seen, so nothing else was read
    rewritten = {use.path for use in observed.files if use.made or use.written}
    for text in (*watching.cells, *texts):
        for literal in literals(text):
            path = os.path.normpath(watching.cwd / literal)
            name = watching.scope.counts(path)
            if name is None or name in watching.declared or path in rewritten:
                continue
            if not is_file(path):
                continue
            if watching.digests.changed_since(Path(path), watching.began_ns):
                changed.append(f"'{name}' changed")
            digest = watching.digests.digest(Path(path))
            if digest is not None:
                yield TraceItem("file", name, digest, "named in a string")


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112
