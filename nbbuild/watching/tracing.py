"""Turn what a run was seen to do into a trace: what counts, and what it was worth then.

The tracer reports everything that a kernel touched. Most of it decides nothing: the interpreter's
own files, temporary ones, what the run made itself. DESIGN §2, *Trace items*, says what is left;
`Scope` draws that line for paths, `watched` for everything else.
"""

from __future__ import annotations

import ast
import glob
import os
import posixpath
import re
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbbuild.disk.digests import Digests
from nbbuild.interpreter.environment import Probe
from nbbuild.interpreter.installed import normalised
from nbbuild.interpreter.resolving import Resolver
from nbbuild.model import ArtefactFile, Trace, TraceItem
from nbbuild.watching import changes
from nbbuild.watching.answers import LINK, WAYS, answer, answered
from nbbuild.watching.observed import FileUse, Glob, Import, Listing, Module, Observed, Variable
from nbbuild.watching.traces import (
    NOT_LISTED,
    SITE,
    STDLIB,
    Own,
    digest_matches,
    digest_names,
    glob_matches,
    joined,
    left_at,
)
from nbbuild.watching.traces import listing as listing_now
from nbbuild.watching.traces import origin as origin_now

_LINUX = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin")
_MACOS = ("/System", "/Library", "/private/etc", "/private/var")
_SYSTEM = (*_LINUX, "/sys", "/usr", "/var", *_MACOS)
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")

_OWN = frozenset({"lexists", "lstat"})
_SYNTHETIC = frozenset({"__main__", "__mp_main__"})
_LONGEST_LITERAL = 4096
_SETTERS = frozenset({"IPython", "dotenv", "environs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a run turned out to use and to write."""

    trace: Trace
    undeclared: tuple[ArtefactFile, ...] = ()  # changed in the root, under no artefact pattern
    changed: tuple[str, ...] = ()  # inputs that were not the same when the run ended
    altered: tuple[str, ...] = ()  # those of `undeclared` that lay there before
    rewritten: tuple[str, ...] = ()  # written back with the bytes that they had
    removed: tuple[str, ...] = ()  # that lay there before the run, and do not now
    scratch: tuple[str, ...] = ()  # made by the run, and private to it
    left: tuple[Left, ...] = ()  # what its next run may find
    own: tuple[str, ...] = ()  # read, and left there undeclared by an earlier run of the task
    touched: frozenset[str] = frozenset()  # all that it used or wrote, its own files too


@dataclass(frozen=True, slots=True)
class Left:
    """A file that a run changed without declaring it, and left."""

    path: str  # root-relative
    digest: str
    anew: bool  # the run writes it whatever lies there, and would tell that it did
    scratch: bool
    asked: bool  # the run looked for it, or read it, before it wrote it
    shared: bool = False  # another task had left it, and this one changed it


class Scope:
    """Which paths count for a trace, and by which names (root-relative, POSIX).

    `folders` are the interpreter's, `closed` those that never count, such as the store.
    """

    def __init__(
        self,
        root: Path,
        *,
        folders: Iterable[str] = (),
        closed: Iterable[Path] = (),
        own: Own,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.root = os.path.realpath(root)
        self.own = own
        folders = tuple(folders)
        self._interpreter = self._but_those_around_the_root(folders)
        outside = (*_SYSTEM, tempfile.gettempdir(), *_TEMPORARY)
        self._left_out = self._interpreter + self._but_those_around_the_root(outside)
        self._links_left_out = frozenset(_SYSTEM)  # where `/bin` and its like are links
        self._above = frozenset(
            above for folder in (*folders, *outside) for above in _above(folder)
        )
        self._closed = tuple(f"{os.path.realpath(folder)}/" for folder in closed)
        environ = environ or os.environ
        self._shell = {environ.get("PWD"), environ.get("OLDPWD")}
        self._temporary = os.path.realpath(tempfile.gettempdir())
        home = environ.get("HOME", "")
        self._home = os.path.realpath(home).rstrip("/") if home else None
        hidden = f"{os.path.realpath(home).rstrip('/')}/." if home else ""
        self._hidden = hidden if hidden and not f"{self.root}/".startswith(hidden) else None
        self._real_folders: dict[str, str] = {}  # of one run's thousands of paths, few

    def _but_those_around_the_root(self, folders: Iterable[str]) -> tuple[str, ...]:
        # A folder that holds the project cannot be left out: the project would be, too.
        real = dict.fromkeys(os.path.realpath(folder) for folder in folders)
        return tuple(f"{f}/" for f in real if not f"{self.root}/".startswith(f"{f}/"))

    def surrounds(self, path: str) -> bool:
        """Whether `path` is the root, home, or a folder around them or the interpreter's own.

        Such are there on every machine.
        """
        real = os.path.realpath(path).rstrip("/")
        return (
            f"{self.root}/".startswith(f"{real}/")
            or real == self._home
            or path.rstrip("/") in self._above
            or real in self._above
        )

    def is_of_the_shell(self, path: str, name: str) -> bool:
        """Whether a folder outside the root is one that shells look at as they begin."""
        return name.startswith("../") and path in self._shell

    def installed(self, path: str) -> bool:
        """Whether `path`, links followed, lies in the interpreter's own folders."""
        folder, _, last = path.rpartition("/")
        real = f"{self._real_folder(folder)}/{last}"
        if last and os.path.islink(real):  # noqa: PTH114, thousands of them
            real = os.path.realpath(real)
        return real.startswith(self._interpreter)

    def name(self, path: str) -> str | None:
        """Return the name by which `path` (absolute) counts, None when it does not."""
        if path in self._links_left_out:
            return None
        path = self._real_parent(path)
        inside = f"{path}/".startswith(f"{self.root}/")
        if self._is_left_out(path, inside=inside):
            return None
        parts = path.split("/")
        if not NOT_LISTED.isdisjoint(parts):
            return None
        if any(part.startswith("ipykernel_") for part in parts) and not inside:
            return None
        return os.path.relpath(path, self.root)

    def _is_left_out(self, path: str, *, inside: bool) -> bool:
        folder = f"{path.rstrip('/')}/"
        if folder.startswith(self._left_out) or folder.startswith(self._closed):
            return True
        if inside:
            return False
        # Beside a project that lies in the temporary folder itself.
        temporary = path.rpartition("/")[0] == self._temporary
        return temporary or (self._hidden is not None and path.startswith(self._hidden))

    def counts(self, path: str) -> str | None:
        """Like `name`, but None also for what is the task's or nbbuild's own."""
        name = self.name(path)
        return None if name is None or self.own.file(name) else name

    def _real_parent(self, path: str) -> str:
        """Follow links to the folder, so that one file has one name; the last part may be one."""
        folder, _, last = os.path.normpath(path).rpartition("/")
        if path.startswith(f"{self.root}/"):
            return os.path.normpath(path)
        return f"{self._real_folder(folder)}/{last}"

    def _real_folder(self, folder: str) -> str:
        """Return an absolute folder with links followed, "" for the topmost one.

        os.path.realpath looks at each folder above, each time.
        """
        real = self._real_folders.get(folder)
        if real is None:
            above, _, name = folder.rpartition("/")
            if name in (".", "..", "") or not folder.startswith("/"):
                real = os.path.realpath(folder or "/").rstrip("/")
            else:
                real = f"{self._real_folder(above)}/{name}"
                if os.path.islink(real):  # noqa: PTH114
                    real = os.path.realpath(real)
            self._real_folders[folder] = real
        return real


def _above(folder: str) -> Iterator[str]:
    """Yield the folders above one, as it is written and with links followed."""
    for path in {os.path.normpath(folder), os.path.realpath(folder)}:
        above = path.rpartition("/")[0]
        while above:
            yield above
            above = above.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """All that turning an account into a trace takes; `watched` does it.

    `named` says which modules a text imports, by their dotted names. `declared` are the files that
    the action key holds and looks at itself. `cells` are the sources of the cells, `cwd` is the
    folder the kernel started in, and `began_ns` when, on the clock of file times (see
    digests.now_ns). `before` and `after` are what the interpreter had installed. `scratch` says
    which names are private to a run, `left` what earlier runs of the task left undeclared and lies
    there still, by name, with its digest; `tracked` are the names that any task left so.
    """

    scope: Scope
    digests: Digests
    cells: tuple[str, ...]
    cwd: Path
    began_ns: int
    before: Probe
    after: Probe
    named: Callable[[str], Iterable[str]]
    declared: Collection[str] = ()
    scratch: Callable[[str], bool] = lambda name: False
    left: Mapping[str, str] = field(default_factory=dict)
    tracked: Collection[str] = ()

    def watched(self, observed: Observed) -> Watched:
        """Return the trace of a run from what its kernel and its children reported."""
        made = self._made(observed)
        done = self._changes(observed)
        made.update(dict.fromkeys(done.scratch, ""))
        ours = _Ours(self.scope, made)
        items: dict[tuple[str, str, str], TraceItem] = {}
        changed: list[str] = []
        modules = _Modules(self, observed, made)
        for item in (
            *modules.items(changed, done.rewritten),
            *self._files(observed, changed, done.scratch),
            *self._listings(observed.listings, ours, changed),
            *self._globs(observed.globs, ours, changed),
        ):
            items.setdefault((item.kind, item.name, item.way), item)
        for item in self._literals(observed, modules.texts, changed):
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
                made=tuple(sorted(name for name, path in made.items() if path and is_folder(path))),
            ),
            undeclared=tuple(done.changed),
            changed=tuple(dict.fromkeys(changed)),
            altered=tuple(done.altered),
            rewritten=tuple(sorted(done.rewritten)),
            removed=tuple(done.removed),
            scratch=tuple(done.scratch),
            left=tuple(done.left),
            own=tuple(self._own(observed)),
            touched=frozenset(done.touched),
        )

    def _made(self, observed: Observed) -> dict[str, str]:
        """Return name → path of what the run made, or that it found absent and then made."""
        found = (
            (self.scope.name(use.path), use.path)
            for use in observed.files
            if use.made or (use.first is None and use.written)
        )
        return {name: path for name, path in found if name is not None}

    # -- files ---------------------------------------------------------------------------------

    def _files(
        self, observed: Observed, changed: list[str], scratch: Collection[str]
    ) -> Iterator[TraceItem]:
        for use in observed.files:
            name = self.scope.counts(use.path)
            if name is None or name in self.declared or name in scratch or use.made:
                continue
            if not changes.found(use) or self.scope.is_of_the_shell(use.path, name):
                continue
            yield from self._file(use, name, changed)

    def _file(self, use: FileUse, name: str, changed: list[str]) -> Iterator[TraceItem]:
        """Yield what the questions about one path were answered."""
        via = _cell(use.cell)
        if not use.written and not _OWN.isdisjoint(use.uses):
            yield from self._own_answer(use, name, via, changed)
        followed = [kind for kind in use.uses if kind not in _OWN]
        if not followed:
            if use.own is None:
                yield from self._absent(use, name, via, changed, way=LINK)
            return
        if use.first is None:
            yield from self._absent(use, name, via, changed)
        elif use.first.type == "f" and changes.read_first(use):
            yield from self._content(use, name, via, changed)
            if "stat" in use.uses and not use.written:
                yield TraceItem("stat", name, answered(use.first, "stat", use.path), via, "stat")
        elif not use.written:
            # What is looked for and then written anew, as libraries do, an earlier run left there.
            yield from self._answer(use, name, via, changed)

    def _absent(
        self, use: FileUse, name: str, via: str, changed: list[str], *, way: str = ""
    ) -> Iterator[TraceItem]:
        left = left_at(use.path, self.digests.digest, way=way)
        if left.startswith("d") and len(left) < 9 and self.scope.own.name(name):
            return  # a folder of its own artefacts comes back with them
        if left and not use.written:
            changed.append(f"'{name}' appeared")
        yield TraceItem("absent", name, left, via, way)

    def _content(
        self, use: FileUse, name: str, via: str, changed: list[str]
    ) -> Iterator[TraceItem]:
        path = Path(use.path)
        look = self.digests.look(path)
        if use.path.endswith("-shm") and use.written:
            return  # SQLite's shared memory, which holds nothing that lasts
        if not changes.untouched(use, look) and not (use.written and changes.unchanged(use, look)):
            by_itself = f"it read '{name}' and then changed it itself"
            deed = "went away" if look is None else "changed"
            changed.append(by_itself if use.written else f"'{name}' {deed}")
        if look is not None:
            yield TraceItem("file", name, self.digests.fresh(path) or "", via)

    def _answer(self, use: FileUse, name: str, via: str, changed: list[str]) -> Iterator[TraceItem]:
        """Yield what `stat` and its like told of a file, or of what is none."""
        way = next((way for way in reversed(WAYS) if way in use.uses), "exists")
        assert use.first is not None
        folder = use.first.type == "d"
        if folder and (self.scope.own.name(name) or self.scope.surrounds(use.path)):
            # A folder of its own artefacts comes back with them; one around the project is there.
            return
        value = answered(use.first, way, use.path)
        if answer(use.path, way) != value:
            changed.append(f"'{name}' changed")
        yield TraceItem("stat", name, value, via, way)
        if "enter" in use.uses or way == "stat":
            # From here on names are those of where the links led; and an inode tells, too.
            yield from self._links(use.path, via)

    def _own_answer(
        self, use: FileUse, name: str, via: str, changed: list[str]
    ) -> Iterator[TraceItem]:
        """Yield what was told of a path itself, where it may be a link."""
        if use.own is None:
            return
        if use.own.type == "d" and (self.scope.own.name(name) or self.scope.surrounds(use.path)):
            return
        way = f"{'stat' if 'lstat' in use.uses else 'exists'} {LINK}"
        value = answered(use.own, way, use.path)
        if answer(use.path, way) != value:
            changed.append(f"'{name}' changed")
        yield TraceItem("stat", name, value, via, way)

    def _links(self, path: str, via: str) -> Iterator[TraceItem]:
        """Yield where the links on the way to `path` lead."""
        done = ""
        for part in os.path.normpath(path).split("/")[1:]:
            done += f"/{part}"
            if not os.path.islink(done):  # noqa: PTH114
                continue
            name = self.scope.counts(done)
            if name is not None:
                way = f"exists {LINK}"
                yield TraceItem("stat", name, answer(done, way), via, way)

    def _listings(
        self, listings: Iterable[Listing], ours: _Ours, changed: list[str]
    ) -> Iterator[TraceItem]:
        for one in listings:
            name = self.scope.name(one.path)
            if name is None or one.names is None or ours.made(name):
                continue
            value = digest_names(one.names, name, own=ours)
            if listing_now(one.path, name, own=ours) != value:
                changed.append(f"the names in the folder '{name}' changed")
            yield TraceItem("listing", name, value, _cell(one.cell))
            yield from self._links(one.path, _cell(one.cell))

    def _globs(self, globs: Iterable[Glob], ours: _Ours, changed: list[str]) -> Iterator[TraceItem]:
        for one in globs:
            folder, pattern = parted(one.base, one.pattern)
            base = self.scope.name(folder)
            if base is None or one.matches is None:
                continue
            flags = [one.way, *(["recursive"] * one.recursive), *(["hidden"] * one.hidden)]
            way = " ".join(flags)
            name = f"{base}:{pattern}"
            value = digest_matches(one.matches, self.scope.root, own=ours)
            now = glob_matches(Path(self.scope.root), name, way)
            if digest_matches(now, self.scope.root, own=ours) != value:
                changed.append(f"what '{pattern}' matches changed")
            yield TraceItem("glob", name, value, _cell(one.cell), way)

    def _literals(
        self, observed: Observed, texts: Iterable[str], changed: list[str]
    ) -> Iterator[TraceItem]:
        """Yield the existing files that string literals name: C code may have opened them."""
        if observed.level == "syscalls":
            return  # what was not opened was not read
        written = {use.path for use in observed.files if use.made or use.written}
        for text in (*self.cells, *texts):
            for literal in literals(text):
                path = os.path.normpath(self.cwd / literal)
                name = self.scope.counts(path)
                if name is None or name in self.declared or path in written:
                    continue
                if not is_file(path):
                    continue
                if self.digests.changed_since(Path(path), self.began_ns):
                    changed.append(f"'{name}' changed")
                digest = self.digests.digest(Path(path))
                if digest is not None:
                    yield TraceItem("file", name, digest, "named in a string")

    # -- what it changed -----------------------------------------------------------------------

    def _changes(self, observed: Observed) -> _Changes:
        """Return what the run changed in the root, under no artefact pattern."""
        done = _Changes()
        by_magic = {
            os.path.normpath(self.cwd / name) for name in changes.written_by_magic(self.cells)
        }
        listed = {self.scope.name(one.path) for one in observed.listings}
        listed |= {self.scope.name(parted(one.base, one.pattern)[0]) for one in observed.globs}
        for use in observed.files:
            name = self.scope.counts(use.path)
            if name is None or name.startswith("../"):
                continue
            done.touched.add(name)
            if not use.written:
                continue
            self._change(use, name, done, named=use.path in by_magic, listed=listed)
        return done

    def _change(
        self,
        use: FileUse,
        name: str,
        done: _Changes,
        *,
        named: bool,
        listed: Collection[str | None],
    ) -> None:
        look = self.digests.look(Path(use.path))
        if look is None:
            if use.first is not None and use.first.type == "f" and not os.path.lexists(use.path):
                done.removed.append(name)
            return
        if changes.untouched(use, look):
            return
        ours = use.first is None or name in self.left
        # What an earlier run of the task has put there counts as made by each run that writes it.
        same = not ours and changes.unchanged(use, look)
        scratch = ours and self.scratch(name)
        if ours or name in self.tracked:
            inside = posixpath.dirname(name) or "."
            sure = ours and changes.anew(use, named=named, listed=inside in listed)
            asked = ours and bool(changes.found(use))
            done.left.append(Left(name, look.digest, sure, scratch, asked, shared=not ours))
        if scratch:
            done.scratch.append(name)
        elif not same:
            done.changed.append(ArtefactFile(name, look.digest, look.size, look.executable))
            if not ours:
                done.altered.append(name)
        else:
            done.rewritten.add(name)

    def _own(self, observed: Observed) -> Iterator[str]:
        """Yield what the run read and an earlier run of the task had left, undeclared."""
        for use in observed.files:
            name = self.scope.counts(use.path)
            if name is None or name in self.declared or name not in self.left:
                continue
            if use.first is not None and use.first.type == "f" and changes.read_first(use):
                yield name


@dataclass(slots=True)
class _Changes:
    """What a run changed, by name."""

    changed: list[ArtefactFile] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    rewritten: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    scratch: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


class _Ours:
    """Own paths, and those that the run made beside them."""

    def __init__(self, scope: Scope, made: Collection[str]) -> None:
        self._own = scope.own
        self._made = made

    def __call__(self, path: str) -> bool:
        return path in self._made or self._own.name(path)

    def made(self, path: str) -> bool:
        """Whether the run made just this."""
        return path in self._made


@dataclass(frozen=True, slots=True)
class _Found:
    """A local module that was loaded, and how Python's path finder had come to it, if it had."""

    name: str
    origin: str  # root-relative
    how: Import | None


class _Modules:
    """The imports of one run: which are local, which distributions they come from.

    `made` are the paths (root-relative) that the run made itself.
    """

    def __init__(self, watching: Watching, observed: Observed, made: Collection[str]) -> None:
        self._watching = watching
        self._scope = watching.scope
        self._probe = watching.before
        self._observed = observed
        self._made = made
        self._resolver = Resolver(self._probe.suffixes)  # as the disk is at the end of the run
        self._found: list[_Found] = []
        # Of installed modules that were imported: how, in each process.
        self._tops: dict[str, list[Import | None]] = {}
        self._kernel = kernel = observed.processes[0].pid if observed.processes else 0
        seen = [one for one in observed.imports if one.kind != "missing"]
        how = {one.name: one for one in seen if one.pid == kernel}
        self._base = {name.partition(".")[0] for name in observed.base}
        for module in observed.modules:
            if module.name not in _SYNTHETIC:
                self._sort(module, how.get(module.name), base=self._base)
        loaded = {module.name for module in observed.modules}
        self._looked: list[_Found] = []  # for, but not loaded: by find_spec, or the import failed
        for one in how.values():
            if one.name not in loaded and (found := self._locally(one, one)) is not None:
                self._looked.append(found)
        for one in seen:
            if one.pid != kernel:  # a child tells no modules, and holds none that do not count
                self._sort(one, one, base=())
        self.local: dict[str, str] = {}  # dotted name → root-relative origin
        for found in self._found:
            self.local.setdefault(found.name, found.origin)
        self.texts = [
            text
            for place in dict.fromkeys(found.origin for found in self._found)
            for text in self._text(place)
        ]
        self.path = self._path(observed.paths[-1] if observed.paths else ())

    def items(self, changed: list[str], rewritten: Collection[str]) -> Iterator[TraceItem]:
        """Yield what the imports come to; the run wrote `rewritten` back as they were."""
        for found in self._found:
            via = self._via(found)
            yield from self._import(found, via, changed)
            path = Path(os.path.normpath(Path(self._scope.root) / found.origin))
            digest = self._watching.digests.fresh(path)
            if digest is None or self._owned(found.name, str(path)):
                continue
            if found.origin in self._watching.declared:
                continue
            since = self._watching.began_ns
            if found.origin not in rewritten and self._watching.digests.changed_since(path, since):
                changed.append(f"'{found.origin}' changed")
            yield TraceItem("file", found.origin, digest, via)
        for found in self._looked:
            yield from self._import(found, self._via(found), changed)
        yield from self._missing(changed)
        yield from self._installed(changed)
        yield from self._distributions(changed)

    def _sort(self, module: Module | Import, how: Import | None, *, base: Collection[str]) -> None:
        """Say of a loaded module whether it is local or installed."""
        top = module.name.partition(".")[0]
        origin = module.origin or (module.locations[0] if module.locations else None)
        if module.kind in ("builtin", "frozen") or origin is None:
            return
        settled = top in self._probe.owners or self._in_stdlib(origin)
        if settled and self._scope.installed(origin):
            if top not in base:  # else part of what a bare kernel holds anyway
                hows = self._tops.setdefault(top, [])
                pid = self._kernel if how is None else how.pid
                if all(pid != (self._kernel if one is None else one.pid) for one in hows):
                    hows.append(how)
            return
        if (found := self._locally(module, how)) is not None:
            self._found.append(found)

    def _locally(self, module: Module | Import, how: Import | None) -> _Found | None:
        """Return where a module was found, None when that is no place that counts."""
        origin = module.origin or (module.locations[0] if module.locations else None)
        if module.kind in ("builtin", "frozen") or origin is None:
            return None
        name = self._scope.name(origin)
        if name is None or name in self._made:
            return None
        return _Found(module.name, name, how)

    def _import(self, found: _Found, via: str, changed: list[str]) -> Iterator[TraceItem]:
        """Yield that a module is found where it is, if it is searching a path that finds it there.

        A finder of its own (of an editable install, say) or a package's own `__path__` may have
        found it: its file counts, and what else could be found in its stead cannot be told.
        """
        other = ""
        for path, way in self._paths(found.how):
            now = self._finds(found.name, path)
            if now and self._same(now, found.origin):
                yield TraceItem("import", found.name, now, via, way)
                return
            other = now
        if found.how is not None and other and "." not in found.name:
            changed.append(f"what `import {found.name}` finds changed")

    def _finds(self, name: str, path: Sequence[str]) -> str:
        root = Path(self._scope.root)
        return origin_now(name, path, root=root, probe=self._probe, resolver=self._resolver)

    def _paths(self, how: Import | None) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield search paths, and as what an item is to name them: that of then comes first.

        The path at the end of the run may do where nothing else is known, or where that of then
        no longer gives what it gave; but for another process than the kernel, which has its own.
        """
        then = self._path(how.path) if how is not None else ()
        if how is not None and how.path and (then != self.path or how.pid != self._kernel):
            yield then, joined(then)
        if how is None or how.pid == self._kernel:
            yield self.path, ""

    def _same(self, one: str, other: str) -> bool:
        root = self._scope.root
        return one == other or os.path.realpath(f"{root}/{one}") == os.path.realpath(
            f"{root}/{other}"
        )

    def _in_stdlib(self, origin: str) -> bool:
        return "-packages/" not in origin

    def _owned(self, name: str, path: str) -> bool:
        """Whether a distribution outside the interpreter's folders holds the module."""
        if name.partition(".")[0] not in self._probe.owners:
            return False
        return any(path.startswith(f"{entry}/") for entry in self._probe.path)

    def _path(self, path: Iterable[str]) -> tuple[str, ...]:
        """Return a sys.path by names, the interpreter's own folders as marks."""
        entries: dict[str, None] = {}
        for entry in path:
            place = os.path.normpath(self._watching.cwd / entry)
            if self._scope.installed(f"{place}/"):
                entries.setdefault(STDLIB if self._in_stdlib(f"{place}/") else SITE)
                continue
            name = self._scope.name(place)
            if name is not None:
                entries.setdefault(name)
        return tuple(entries)

    def _via(self, found: _Found) -> str:
        """Say who imported a module: "imported by cell 2, through mylib/__init__.py"."""
        how = found.how
        if how is None:
            return ""
        by = f"imported by {_cell(how.cell)}" if how.cell else "imported"
        through = self.local.get(how.importer)
        return f"{by}, through {through}" if through else by

    def _missing(self, changed: list[str]) -> Iterator[TraceItem]:
        for one in self._observed.missing:
            if not self._tells(one):
                continue
            for path, way in self._paths(one):
                now = self._finds(one.name, path)
                if not now:
                    via = f"looked for by {_cell(one.cell)}" if one.cell else ""
                    yield TraceItem("missing-import", one.name, "", via, way)
                    break
            else:
                changed.append(f"what `import {one.name}` finds changed")

    def _installed(self, changed: list[str]) -> Iterator[TraceItem]:
        """Yield that nothing local hides the installed modules, for each search path."""
        unhidden: dict[str, dict[str, None]] = {}
        imports = ((top, how) for top, hows in sorted(self._tops.items()) for how in hows)
        for top, how in imports:
            for path, way in self._paths(how):
                now = self._finds(top, path)
                if now in (STDLIB, SITE, ""):
                    unhidden.setdefault(way, {}).setdefault(top)
                    break
            else:
                changed.append(f"what `import {top}` finds changed")
        for way, tops in unhidden.items():
            yield TraceItem("installed", " ".join(tops), way=way)

    def _tells(self, one: Import) -> bool:
        """Whether an import that found nothing is more than a distribution's own affair."""
        top, _, rest = one.name.partition(".")
        if rest and top not in self.local:
            return False  # its version says which submodules it has
        if top in self._probe.stdlib:
            return False  # of another system: the standard library asks for such, too
        return top not in self._probe.owners or top in self.local

    def _text(self, origin: str) -> Iterator[str]:
        try:
            yield (Path(self._scope.root) / origin).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return

    def _distributions(self, changed: list[str]) -> Iterator[TraceItem]:
        """Yield the distributions that count, with the version that the run began with."""
        watching, probe = self._watching, self._probe
        named = {
            name.partition(".")[0]
            for text in (*watching.cells, *self.texts)
            for name in watching.named(text)
        }
        tops = (
            set(self._tops) | {name.partition(".")[0] for name in self.local} | (named & self._base)
        )
        counted = dict.fromkeys(
            owner for top in sorted(tops) for owner in probe.owners.get(top, ())
        )
        held = self._base | {one.name.partition(".")[0] for one in self._observed.modules}
        loaded = {owner for top in held for owner in probe.owners.get(top, ())}
        todo = list(counted)
        while todo:  # what a bare kernel holds counts when a counted distribution names it
            needs = [n for n in probe.requires.get(todo.pop(), ()) if n in loaded]
            todo += [need for need in needs if need not in counted]
            counted.update(dict.fromkeys(needs))
        told: dict[str, str] = {}
        for one in self._observed.distributions:  # the first of a name is the one in effect
            told.setdefault(normalised(one.name), one.version)
        for name in counted:
            version = probe.distributions.get(name, "")
            now = watching.after.distributions.get(name, "")
            if now != version or not version.startswith(told.get(name, version)):
                changed.append(f"the package '{name}' changed")
            yield TraceItem("distribution", name, version)


def _sets(one: Variable, readers: Collection[str]) -> bool:
    """Whether it was the notebook that set a variable, by itself or through what is meant for it.

    What a package sets as it is imported is its own affair.
    """
    by = one.reader.partition(".")[0]
    return one.deed == "set" and (one.reader in readers or by in _SETTERS)


def literals(text: str) -> Iterator[str]:
    """Yield what could be file names in a cell or a module: string literals, words of commands."""
    lines = text.splitlines()
    commands = [line.strip() for line in lines if line.strip()[:1] in ("!", "%")]
    plain = "\n".join("pass" if line.strip()[:1] in ("!", "%") else line for line in lines)
    seen: set[str] = set()
    try:
        nodes = ast.walk(ast.parse(plain))
        seen.update(
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
    except (SyntaxError, ValueError, RecursionError):
        seen.update(found[2] for found in re.finditer(r"""(['"])(.*?)\1""", text))
    shell = lines[1:] if lines and lines[0].startswith(("%%bash", "%%sh", "%%script")) else []
    for line in (*commands, *shell):
        try:
            words = shlex.split(line)
        except ValueError:
            words = line.split()
        seen.update(word.lstrip("!%<>") for word in words)
    for word in sorted(seen):
        if 0 < len(word) <= _LONGEST_LITERAL and "\0" not in word and "\n" not in word:
            yield word


def is_file(path: str) -> bool:
    """Whether a path that a text may mean is a file; any text will do."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for a name that is too long


def is_folder(path: str) -> bool:
    """Whether a path is a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def parted(base: str, pattern: str) -> tuple[str, str]:
    """Return a glob's folder and pattern, of an absolute pattern those that it comes to."""
    if not pattern.startswith("/"):
        return base, pattern
    parts = pattern.split("/")
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:plain]) or "/", "/".join(parts[plain:])


def _cell(number: int) -> str:
    return f"In [{number}]" if number else ""
