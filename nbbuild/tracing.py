"""Turn what a run was seen to do into a trace: what counts, and what it was worth then.

The tracer reports everything that a kernel touched. Most of it decides nothing: the interpreter's
own files, temporary ones, what the run made itself. DESIGN §2, *Trace items*, says what is left;
`Scope` draws that line for paths, `watched` for everything else.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbbuild.digests import Digests
from nbbuild.environment import Probe, normalised
from nbbuild.kernels.observed import FileUse, Glob, Import, Listing, Module, Observed
from nbbuild.model import ArtefactFile, Trace, TraceItem
from nbbuild.traces import NOT_LISTED, SITE, STDLIB, Own, digest_matches, digest_names, glob_matches
from nbbuild.traces import listing as listing_now

_LINUX = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin")
_MACOS = ("/System", "/Library", "/private/etc", "/private/var")
_SYSTEM = (*_LINUX, "/sys", "/usr", "/var", *_MACOS)
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")

_READING = frozenset({"read", "probe", "named", "open"})
_SYNTHETIC = frozenset({"__main__", "__mp_main__"})
_LONGEST_LITERAL = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a run turned out to use and to write."""

    trace: Trace
    undeclared: tuple[ArtefactFile, ...] = ()  # written in the root, under no artefact pattern
    changed: tuple[str, ...] = ()  # inputs that were not the same when the run ended


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
        self._interpreter = self._but_those_around_the_root(folders)
        outside = (*_SYSTEM, tempfile.gettempdir(), *_TEMPORARY)
        self._left_out = self._interpreter + self._but_those_around_the_root(outside)
        self._closed = tuple(f"{os.path.realpath(folder)}/" for folder in closed)
        home = (environ or os.environ).get("HOME", "")
        hidden = f"{os.path.realpath(home).rstrip('/')}/." if home else ""
        self._hidden = hidden if hidden and not f"{self.root}/".startswith(hidden) else None

    def _but_those_around_the_root(self, folders: Iterable[str]) -> tuple[str, ...]:
        # A folder that holds the project cannot be left out: the project would be, too.
        real = dict.fromkeys(os.path.realpath(folder) for folder in folders)
        return tuple(f"{f}/" for f in real if not f"{self.root}/".startswith(f"{f}/"))

    def installed(self, path: str) -> bool:
        """Whether `path` lies in the interpreter's own folders."""
        return path.startswith(self._interpreter)

    def name(self, path: str) -> str | None:
        """Return the name by which `path` (absolute) counts, None when it does not."""
        path = self._real_parent(path)
        if path.startswith(self._left_out) or f"{path}/".startswith(self._closed):
            return None
        inside = f"{path}/".startswith(f"{self.root}/")
        if not inside and self._hidden and path.startswith(self._hidden):
            return None
        parts = path.split("/")
        if not NOT_LISTED.isdisjoint(parts):
            return None
        if any(part.startswith("ipykernel_") for part in parts) and not inside:
            return None
        return os.path.relpath(path, self.root)

    def counts(self, path: str) -> str | None:
        """Like `name`, but None also for what is the task's or nbbuild's own."""
        name = self.name(path)
        return None if name is None or self.own.file(name) else name

    def _real_parent(self, path: str) -> str:
        """Follow links to the folder, so that one file has one name; the last part may be one."""
        folder, _, last = os.path.normpath(path).rpartition("/")
        if path.startswith(f"{self.root}/"):
            return os.path.normpath(path)
        return os.path.join(os.path.realpath(folder or "/"), last)  # noqa: PTH118


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """All that turning an account into a trace takes; `watched` does it.

    `named` says which modules a text imports, by their dotted names. `declared` are the files that
    the action key holds and looks at itself. `cells` are the sources of the cells, `cwd` is the
    folder the kernel started in, and `began_ns` when, on the clock of file times (see
    digests.now_ns). `before` and `after` are what the interpreter had installed.
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

    def watched(self, observed: Observed) -> Watched:
        """Return the trace of a run from what its kernel and its children reported."""
        made = {self.scope.name(use.path) for use in observed.files if use.made}
        ours = _Ours(self.scope, {name for name in made if name})
        items: dict[tuple[str, str], TraceItem] = {}
        changed: list[str] = []
        modules = _Modules(self, observed)
        for item in (
            *modules.items(changed),
            *self._files(observed, changed),
            *self._listings(observed.listings, ours, changed),
            *self._globs(observed.globs, ours, changed),
        ):
            items.setdefault((item.kind, item.name), item)
        for item in self._literals(observed, modules.texts, changed):
            items.setdefault((item.kind, item.name), item)
        hosts = dict.fromkeys(host.name for host in observed.hosts)
        readers = ("__main__", *modules.local)
        variables = dict.fromkeys(
            one.name
            for one in observed.variables
            if one.deed == "read" and one.name != "*" and one.reader in readers
        )
        return Watched(
            trace=Trace(
                level="python",
                items=tuple(items[key] for key in sorted(items)),
                path=modules.path,
                hosts=tuple(hosts),
                variables=tuple(variables),
                partial=observed.partial,
            ),
            undeclared=tuple(self._undeclared(observed)),
            changed=tuple(dict.fromkeys(changed)),
        )

    # -- files ---------------------------------------------------------------------------------

    def _files(self, observed: Observed, changed: list[str]) -> Iterator[TraceItem]:
        for use in observed.files:
            name = self.scope.counts(use.path)
            if name is None or name in self.declared or use.made:
                continue
            if _READING.isdisjoint(use.uses):
                continue
            item = self._file(use, name, changed)
            if item is not None:
                yield item

    def _file(self, use: FileUse, name: str, changed: list[str]) -> TraceItem | None:
        via = _cell(use.cell)
        path = Path(use.path)
        if use.first is None:
            left = self.digests.digest(path) or ("folder" if os.path.lexists(path) else "")
            if left and not use.written:
                changed.append(f"'{name}' appeared")
            return TraceItem("absent", name, left, via)
        if use.first.type == "d":
            return TraceItem("folder", name, "", via)
        if use.first.type != "f":
            return None
        look = self.digests.look(path)
        if look is None:
            changed.append(f"'{name}' went away")
            return None
        then = (use.first.size, use.first.mtime_ns, use.first.ctime_ns, use.first.inode)
        if (look.size, look.mtime_ns, look.ctime_ns, look.inode) != then:
            changed.append(f"'{name}' changed")
        return TraceItem("file", name, self.digests.fresh(path) or "", via)

    def _listings(
        self, listings: Iterable[Listing], ours: _Ours, changed: list[str]
    ) -> Iterator[TraceItem]:
        for one in listings:
            name = self.scope.name(one.path)
            if name is None or one.names is None:
                continue
            value = digest_names(one.names, name, own=ours)
            if listing_now(Path(one.path), name, own=ours) != value:
                changed.append(f"the names in the folder '{name}' changed")
            yield TraceItem("listing", name, value, _cell(one.cell))

    def _globs(self, globs: Iterable[Glob], ours: _Ours, changed: list[str]) -> Iterator[TraceItem]:
        for one in globs:
            base = self.scope.name(one.base)
            if base is None or one.matches is None:
                continue
            flags = [one.way, *(["recursive"] * one.recursive), *(["hidden"] * one.hidden)]
            way = " ".join(flags)
            name = f"{base}:{one.pattern}"
            value = digest_matches(one.matches, self.scope.root, own=ours)
            now = glob_matches(Path(self.scope.root), name, way)
            if digest_matches(now, self.scope.root, own=ours) != value:
                changed.append(f"what '{one.pattern}' matches changed")
            yield TraceItem("glob", name, value, _cell(one.cell), way)

    def _literals(
        self, observed: Observed, texts: Iterable[str], changed: list[str]
    ) -> Iterator[TraceItem]:
        """Yield the existing files that string literals name: C code may have opened them."""
        written = {use.path for use in observed.files if use.made or use.written}
        for text in (*self.cells, *texts):
            for literal in literals(text):
                path = os.path.normpath(self.cwd / literal)
                name = self.scope.counts(path)
                if name is None or name in self.declared or path in written:
                    continue
                if not Path(path).is_file():
                    continue
                if self.digests.changed_since(Path(path), self.began_ns):
                    changed.append(f"'{name}' changed")
                digest = self.digests.digest(Path(path))
                if digest is not None:
                    yield TraceItem("file", name, digest, "named in a string")

    def _undeclared(self, observed: Observed) -> Iterator[ArtefactFile]:
        for use in observed.files:
            name = self.scope.counts(use.path) if use.written else None
            if name is None or name.startswith("../"):
                continue
            look = self.digests.look(Path(use.path))
            if look is not None:
                yield ArtefactFile(name, look.digest, look.size, look.executable)


class _Ours:
    """Own paths, and those that the run made beside them."""

    def __init__(self, scope: Scope, made: set[str]) -> None:
        self._own = scope.own
        self._made = made

    def __call__(self, path: str) -> bool:
        return path in self._made or self._own.name(path)


class _Modules:
    """The imports of one run: which are local, which distributions they come from."""

    def __init__(self, watching: Watching, observed: Observed) -> None:
        self._watching = watching
        self._scope = watching.scope
        self._probe = watching.before
        self._observed = observed
        self._how = {one.name: one for one in observed.imports if one.kind != "missing"}
        self.local: dict[str, str] = {}  # dotted name → root-relative origin
        self.texts: list[str] = []
        self._tops: set[str] = set()  # of installed modules that were imported
        loaded = [one for one in observed.modules if one.name not in _SYNTHETIC]
        self._base = {one.name.partition(".")[0] for one in loaded if one.base}
        for module in loaded:
            if not module.base:
                self._sort(module)
        self.texts = [
            text for origin in dict.fromkeys(self.local.values()) for text in self._text(origin)
        ]
        self.path = self._path()

    def items(self, changed: list[str]) -> Iterator[TraceItem]:
        """Yield what the imports come to."""
        for name, origin in self.local.items():
            via = self._via(name)
            yield TraceItem("import", name, origin, via)
            path = Path(os.path.normpath(Path(self._scope.root) / origin))
            digest = self._watching.digests.fresh(path)
            if digest is None or self._owned(name, str(path)):
                continue
            if origin in self._watching.declared:
                continue
            if self._watching.digests.changed_since(path, self._watching.began_ns):
                changed.append(f"'{origin}' changed")
            yield TraceItem("file", origin, digest, via)
        yield from self._missing()
        if self._tops:
            yield TraceItem("installed", " ".join(sorted(self._tops)))
        yield from self._distributions(changed)

    def _sort(self, module: Module) -> None:
        """Say of a loaded module whether it is local or installed."""
        top = module.name.partition(".")[0]
        origin = module.origin or (module.locations[0] if module.locations else None)
        if module.kind in ("builtin", "frozen") or origin is None:
            return
        settled = top in self._probe.owners or self._in_stdlib(origin)
        if settled and self._scope.installed(os.path.realpath(origin)):
            if top not in self._base:  # else part of what a bare kernel holds anyway
                self._tops.add(top)
            return
        name = self._scope.name(origin)
        if name is not None:
            self.local[module.name] = name

    def _in_stdlib(self, origin: str) -> bool:
        return "-packages/" not in origin

    def _owned(self, name: str, path: str) -> bool:
        """Whether a distribution outside the interpreter's folders holds the module."""
        if name.partition(".")[0] not in self._probe.owners:
            return False
        return any(path.startswith(f"{entry}/") for entry in self._probe.path)

    def _path(self) -> tuple[str, ...]:
        """Return the kernel's sys.path in the end, the interpreter's own folders as marks."""
        entries: dict[str, None] = {}
        for entry in self._observed.paths[-1] if self._observed.paths else ():
            path = os.path.normpath(self._watching.cwd / entry)
            if self._scope.installed(f"{os.path.realpath(path)}/"):
                entries.setdefault(STDLIB if self._in_stdlib(f"{path}/") else SITE)
                continue
            name = self._scope.name(path)
            if name is not None:
                entries.setdefault(name)
        return tuple(entries)

    def _via(self, name: str) -> str:
        """Say who imported a module: "imported by cell 2, through mylib/__init__.py"."""
        how = self._how.get(name)
        if how is None:
            return ""
        by = f"imported by {_cell(how.cell)}" if how.cell else "imported"
        through = self.local.get(how.importer)
        return f"{by}, through {through}" if through else by

    def _missing(self) -> Iterator[TraceItem]:
        for one in self._observed.missing:
            if self._tells(one):
                yield TraceItem("missing-import", one.name, "", self._via_missing(one))

    def _tells(self, one: Import) -> bool:
        """Whether an import that found nothing is more than a distribution's own affair."""
        top, _, rest = one.name.partition(".")
        if rest and top not in self.local:
            return False  # its version says which submodules it has
        return top not in self._probe.owners or top in self.local

    def _via_missing(self, one: Import) -> str:
        return f"looked for by {_cell(one.cell)}" if one.cell else ""

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
        tops = self._tops | {name.partition(".")[0] for name in self.local} | (named & self._base)
        counted = dict.fromkeys(
            owner for top in sorted(tops) for owner in probe.owners.get(top, ())
        )
        loaded = {
            owner
            for module in self._observed.modules
            for owner in probe.owners.get(module.name.partition(".")[0], ())
        }
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
            seen.update(word.lstrip("!%<>") for word in shlex.split(line))
        except ValueError:
            seen.update(line.split())
    for word in sorted(seen):
        if 0 < len(word) <= _LONGEST_LITERAL and "\0" not in word and "\n" not in word:
            yield word


def _cell(number: int) -> str:
    return f"cell {number}" if number else ""
