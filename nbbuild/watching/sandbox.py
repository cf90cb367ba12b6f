"""Stage a sandbox for a run, and find what the run used that was not declared.

A sandbox is a temporary folder that repeats the project's path (`<temporary>/home/me/project`), so
that each `..` in the notebook leads somewhere, and each path in it stands for one of the project.

The action key holds only the declared inputs, and nothing in a sandbox is a trace item. So no key
knows about anything else that the run looked for and would have found in the project: a file that
was read or asked for, a name missing from a listing or a glob, a module that was not found or was
found elsewhere. Reading the project around the sandbox, by an absolute path, is the same.
`BeyondSandbox` finds all this from what the kernel was watched to do, not from its errors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from nbbuild.disk import temporary
from nbbuild.interpreter.resolving import Resolver
from nbbuild.model import Failure
from nbbuild.paths.patterns import escape
from nbbuild.paths.scratch import LEFT_OUT
from nbbuild.watching.changes import READING, read_first
from nbbuild.watching.literals import is_file, literals
from nbbuild.watching.observed import Child, FileUse, Glob, ImportUse, Listing, Observed
from nbbuild.watching.scope import Scope
from nbbuild.watching.traces import NOT_LISTED, glob_matches, parted

_SHOWN = 5  # names in a hint
_Stamp: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class UndeclaredUse:
    """A use of something in the project that the sandbox lacked; `path` is root-relative."""

    path: str
    how: str  # "reads", "looks for", "lists", "imports", "names"
    cell: int = 0  # from 1 among the cells that ran; 0 = unknown
    module: str = ""  # for an import: its name in `modules`

    def __str__(self) -> str:
        return f"{f'In [{self.cell}]' if self.cell else 'it'} {self.how} '{self.path}'"


class Sandbox:
    """The folder `root`, which stands for the project's `home`; made by `stage`."""

    def __init__(self, home: Path, above: Path, inputs: Collection[str]) -> None:
        self.home = home
        self.above = above
        self.root = above.joinpath(*home.parts[1:])
        self.held = frozenset(inputs)
        self._stamps: dict[str, _Stamp] = {}

    def fill(self, folders: Iterable[str]) -> None:
        """Make `folders`, and copy each input to its place."""
        for folder in (".", *folders):
            self._place(folder).mkdir(parents=True, exist_ok=True)
        for path in self.held:
            target = self._place(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.home / path, target)
            self._stamps[os.path.relpath(target, self.above)] = _stamp(target)

    def changed(self, path: str) -> bool:
        """Whether the run wrote the file `path`, relative to the root."""
        place = self._place(path)
        return self._stamps.get(os.path.relpath(place, self.above)) != _stamp(place)

    def lost(self, kept: Collection[str]) -> list[str]:
        """Return the files other than `kept` that the run wrote here, root-relative, sorted."""
        found: list[str] = []
        for folder, folders, names in os.walk(self.above):
            folders[:] = [name for name in folders if name not in NOT_LISTED]
            for name in names:
                place = os.path.join(folder, name)  # noqa: PTH118
                path = os.path.relpath(place, self.root)
                if path not in kept and Path(place).is_file() and self.changed(path):
                    found.append(path)
        return sorted(found)

    def stands_for(self, path: str) -> str | None:
        """Return the path that `path`, absolute, stands for; None if it is outside."""
        normal = os.path.normpath(path)
        inside = normal.startswith(f"{self.above}/")
        return normal[len(str(self.above)) :] if inside else None

    def _place(self, path: str) -> Path:
        return Path(os.path.normpath(self.root / path))


@contextmanager
def stage(home: Path, inputs: Collection[str], folders: Iterable[str]) -> Iterator[Sandbox]:
    """Yield a sandbox for the project at `home`; it is removed at the end.

    It holds the files `inputs`, which may begin with `../`, and the `folders`, otherwise empty.
    """
    with temporary.folder() as made:
        sandbox = Sandbox(home, made.resolve(), inputs)
        sandbox.fill(folders)
        yield sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class BeyondSandbox:
    """Finds what a run used beyond its `sandbox`.

    `scope` is the project's, not the sandbox's. `folder` is the working folder, and `search` are
    the folders in which `modules` are found, relative to the root. `suffixes` are those of the
    interpreter's module files.
    """

    sandbox: Sandbox
    scope: Scope
    folder: str
    search: Sequence[str]
    suffixes: Sequence[str] = ()

    def used(self, observed: Observed) -> list[UndeclaredUse]:
        """Return what the run used that the sandbox lacked, in order, each path once."""
        found: dict[str, UndeclaredUse] = {}
        for use in (
            *self._imports(observed),
            *self._files(observed.files),
            *self._listings(observed.listings),
            *self._globs(observed.globs),
            *self._arguments(observed.children),
        ):
            found.setdefault(use.path, use)
        return sorted(found.values(), key=lambda use: use.cell)

    def named(self, cells: Iterable[str]) -> list[UndeclaredUse]:
        """Return the files that string literals of `cells` name: C code may have looked for them.

        A literal may mean something else, so this is only for runs that have failed anyway.
        """
        names: dict[str, UndeclaredUse] = {}
        for literal in (one for text in cells for one in literals(text)):
            place = os.path.normpath(self.sandbox.home / self.folder / literal)
            name = self._undeclared(place)
            if name is not None and is_file(place):
                names.setdefault(name, UndeclaredUse(name, "names"))
        return list(names.values())

    def _undeclared(self, place: str, *, listed: bool = False) -> str | None:
        """Return the name of `place` if it is an undeclared input, in or around the project.

        A folder above the task's own artefacts, or above nbbuild's files, may exist only for them.
        So it does not count, and neither does its name when `listed`.
        """
        name = self.scope.counts(place)
        if name is None or name in self.sandbox.held:
            return None
        if (listed or not is_file(place)) and self.scope.own.name(name):
            return None
        # A sandbox is no working copy, so files of version control are not missed there.
        return name if LEFT_OUT.isdisjoint(name.split("/")) else None

    def _in_the_project(self, path: str) -> bool:
        return path.startswith(f"{self.scope.root}/")

    def _files(self, files: Iterable[FileUse]) -> Iterator[UndeclaredUse]:
        for use in files:
            if use.made or READING.isdisjoint(use.uses):
                continue
            place = self.sandbox.stands_for(use.path)
            if place is None:
                there = use.first is not None and use.first.type == "f"
                if there and self._in_the_project(os.path.realpath(use.path)):
                    yield from self._use(os.path.realpath(use.path), "reads", use.cell)
                continue
            if use.first is not None or not os.path.lexists(place):
                continue
            if use.written and not read_first(use):
                continue  # only looked for and then written, as libraries do
            how = "reads" if {"read", "open"}.intersection(use.uses) else "looks for"
            yield from self._use(place, how, use.cell)

    def _use(self, place: str, how: str, cell: int) -> Iterator[UndeclaredUse]:
        name = self._undeclared(place)
        if name is not None:
            yield UndeclaredUse(name, how, cell)

    def _listings(self, listings: Iterable[Listing]) -> Iterator[UndeclaredUse]:
        for one in listings:
            place = self.sandbox.stands_for(one.path)
            seen: Collection[str] = ()
            if place is not None:
                if one.names is None:
                    continue
                seen = [name[1:] for name in one.names]
            elif self._in_the_project(f"{os.path.realpath(one.path)}/"):
                place = os.path.realpath(one.path)
            else:
                continue
            folder = self.scope.name(place)
            if folder is None or not Path(place).is_dir():
                continue
            lacks = [name for name in os.listdir(place) if name not in seen]  # noqa: PTH208
            if any(self._undeclared(f"{place}/{name}", listed=True) for name in lacks):
                yield UndeclaredUse(folder, "lists", one.cell)

    def _globs(self, globs: Iterable[Glob]) -> Iterator[UndeclaredUse]:
        for one in globs:
            if one.matches is None:
                continue
            folder, pattern = parted(one.base, one.pattern)
            place = self.sandbox.stands_for(folder)
            if place is None:
                if self._in_the_project(f"{os.path.realpath(folder)}/"):
                    for match in one.matches:
                        yield from self._use(os.path.realpath(match), "looks for", one.cell)
                continue
            flags = [one.way, *(["recursive"] * one.recursive), *(["hidden"] * one.hidden)]
            seen = {self.sandbox.stands_for(match) for match in one.matches}
            for match in sorted(glob_matches(Path(place), f".:{pattern}", " ".join(flags))):
                if os.path.normpath(match) not in seen and Path(match).is_file():
                    yield from self._use(os.path.normpath(match), "looks for", one.cell)

    def _arguments(self, children: Iterable[Child]) -> Iterator[UndeclaredUse]:
        """Yield the files named in programs' arguments that the programs cannot have found."""
        for child in children:
            for path in child.lacks:
                place = self.sandbox.stands_for(path)
                if place is None:
                    around = self._in_the_project(os.path.realpath(path))
                    place = os.path.realpath(path) if around else None
                elif os.path.lexists(path):  # the program made it
                    place = None
                if place is not None and is_file(place):
                    yield from self._use(place, "names", child.cell)

    # -- modules -------------------------------------------------------------------------------

    def _imports(self, observed: Observed) -> Iterator[UndeclaredUse]:
        missing = {one.name for one in observed.missing}
        resolver = Resolver(self.suffixes)
        for one in observed.imports:
            if one.kind == "missing" and one.name not in missing:
                continue
            before = self._folders_before(one)
            found = resolver.find(one.name, before) if before else None
            if found is None or (Path(found).is_dir() and one.kind != "missing"):
                continue  # a mere folder loses to a module that is found later on the path
            yield from self._module(one.name, found, one.cell)
        for one in observed.imports:
            yield from self._from_around(one.name, one.origin, one.cell)
        for module in observed.modules:
            yield from self._from_around(module.name, module.origin, 0)

    def _from_around(self, name: str, origin: str | None, cell: int) -> Iterator[UndeclaredUse]:
        """Yield a module that came from the project itself, for example by an editable install."""
        place = os.path.realpath(origin) if origin is not None else ""
        if self.sandbox.stands_for(place) is None and self._in_the_project(place):
            yield from self._module(name, place, cell)

    def _folders_before(self, one: ImportUse) -> list[str]:
        """Return the project's folders that were searched before the module was found."""
        folders: list[str] = []
        top = one.name.partition(".")[0]
        for listed in one.path:
            entry = str(self.sandbox.root / self.folder / listed)
            found = f"{entry.rstrip('/')}/{top}"
            if one.origin is not None and one.origin.startswith((f"{found}/", f"{found}.")):
                break
            place = self.sandbox.stands_for(entry)
            if place is not None:
                folders.append(place)
        return folders

    def _module(self, name: str, origin: str, cell: int) -> Iterator[UndeclaredUse]:
        path = self._undeclared(origin)
        if path is None:
            return
        if Path(origin).is_dir():
            yield UndeclaredUse(path, "imports", cell)
            return
        # `modules` in jcache.toml takes a dotted name if that can be found, otherwise the file.
        stem = name.replace(".", "/")
        places = {
            os.path.normpath(f"{folder}/{stem}{ending}")
            for folder in self.search
            for ending in (".py", "/__init__.py")
        }
        yield UndeclaredUse(path, "imports", cell, name if path in places else path)


def failure(uses: Sequence[UndeclaredUse], *, config: str) -> Failure:
    """Return the failure of a run that ended well but made undeclared `uses`."""
    first, *rest = uses
    part = "of which its sandbox holds only a part"
    whole = "which is in the project but not in its sandbox"
    return Failure(
        "undeclared",
        f"{first}, {part if first.how == 'lists' else whole}",
        None,
        "\n".join(str(use) for use in rest),
        hint(uses, config=config),
    )


def hint(uses: Sequence[UndeclaredUse], *, config: str) -> str:
    """Return a hint: the lines to add to the file `config`, so that the sandbox holds `uses`."""
    assets = dict.fromkeys(escape(use.path) for use in uses if not use.module)
    modules = dict.fromkeys(use.module for use in uses if use.module)
    lists = [
        f"{key} = [{', '.join(_quoted(names))}]"
        for key, names in (("assets", assets), ("modules", modules))
        if names
    ]
    return (
        f"a sandbox holds only what is declared; in {config}, for this notebook: "
        f"{' and '.join(lists)}"
    )


def _quoted(names: Collection[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        if number == _SHOWN:
            yield "…"
            return
        yield f'"{name}"'


def _stamp(path: Path) -> _Stamp:
    stat = path.stat()
    return stat.st_ctime_ns, stat.st_ino
