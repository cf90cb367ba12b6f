"""Turn the imports of one run into trace items: its local modules, and the packages it used."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbbuild.disk.digests import digest_lines
from nbbuild.interpreter.installed import normalised
from nbbuild.interpreter.resolving import Resolver
from nbbuild.model import TraceItem
from nbbuild.watching.observed import ImportUse, LoadedModule, Observed
from nbbuild.watching.traces import LINES, SITE, STDLIB, joined
from nbbuild.watching.traces import origin as origin_now
from nbbuild.watching.watched import Watching, via_cell

_SYNTHETIC = frozenset({"__main__", "__mp_main__"})


@dataclass(frozen=True, slots=True)
class _LocalModule:
    """A local module that was loaded, and how Python's path finder found it, if it did."""

    name: str
    origin: str  # root-relative
    how: ImportUse | None


class RunImports:
    """The imports of one run: which are local, and which distributions the others come from.

    `made` holds the paths (root-relative) that the run made itself.
    """

    def __init__(self, watching: Watching, observed: Observed, made: Collection[str]) -> None:
        self._watching = watching
        self._scope = watching.scope
        self._probe = watching.before
        self._observed = observed
        self._made = made
        self._resolver = Resolver(self._probe.suffixes)  # as the disk is at the end of the run
        self._found: list[_LocalModule] = []
        # How installed modules were imported, in each process.
        self._tops: dict[str, list[ImportUse | None]] = {}
        self._kernel = kernel = observed.processes[0].pid if observed.processes else 0
        seen = [one for one in observed.imports if one.kind != "missing"]
        how = {one.name: one for one in seen if one.pid == kernel}
        self._base = {name.partition(".")[0] for name in observed.base}
        for module in observed.modules:
            if module.name not in _SYNTHETIC:
                self._sort(module, how.get(module.name), base=self._base)
        loaded = {module.name for module in observed.modules}
        # Looked for but not loaded: by find_spec, or because the import failed.
        self._looked: list[_LocalModule] = []
        for one in how.values():
            if one.name not in loaded and (found := self._locally(one, one)) is not None:
                self._looked.append(found)
        for one in seen:
            if one.pid != kernel:  # a child reports imports only, and all of them count
                self._sort(one, one, base=())
        self.local: dict[str, str] = {}  # dotted name → root-relative origin
        for found in self._found:
            self.local.setdefault(found.name, found.origin)
        met = [*self._found, *self._looked]
        self._packages = {found.name.partition(".")[0] for found in met}
        self.texts = [
            text
            for place in dict.fromkeys(found.origin for found in met)
            for text in self._text(place)
        ]
        self.path = self._path(observed.paths[-1] if observed.paths else ())

    def items(self, changed: list[str], rewritten: Collection[str]) -> Iterator[TraceItem]:
        """Yield the items for the imports; the run wrote the files `rewritten` back unchanged."""
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
            if found.origin.endswith(".py"):  # Python reads its source by lines
                yield TraceItem("file", found.origin, digest_lines(path, digest), via, LINES)
            else:
                yield TraceItem("file", found.origin, digest, via)
        for found in self._looked:
            yield from self._import(found, self._via(found), changed)
        yield from self._missing(changed)
        yield from self._installed(changed)
        yield from self._distributions(changed)

    def _sort(
        self, module: LoadedModule | ImportUse, how: ImportUse | None, *, base: Collection[str]
    ) -> None:
        """File a loaded module under local or installed."""
        top = module.name.partition(".")[0]
        origin = self._origin(module)
        if module.kind in ("builtin", "frozen") or origin is None:
            return
        settled = top in self._probe.owners or self._in_stdlib(origin)
        if settled and self._scope.installed(origin):
            if top not in base:  # else a bare kernel has it anyway
                hows = self._tops.setdefault(top, [])
                pid = self._kernel if how is None else how.pid
                if all(pid != (self._kernel if one is None else one.pid) for one in hows):
                    hows.append(how)
            return
        if (found := self._locally(module, how)) is not None:
            self._found.append(found)

    def _origin(self, module: LoadedModule | ImportUse) -> str | None:
        """Return where a module came from, absolute: a zip file on the path may be relative."""
        origin = module.origin or (module.locations[0] if module.locations else None)
        if origin is None or module.kind != "zip":
            return origin
        return os.path.join(self._watching.cwd, origin)  # noqa: PTH118

    def _locally(
        self, module: LoadedModule | ImportUse, how: ImportUse | None
    ) -> _LocalModule | None:
        """Return where a module was found, None when that is no place that counts."""
        origin = self._origin(module)
        if module.kind in ("builtin", "frozen") or origin is None:
            return None
        name = self._scope.name(origin)
        if name is None or name in self._made:
            return None
        return _LocalModule(module.name, name, how)

    def _import(self, found: _LocalModule, via: str, changed: list[str]) -> Iterator[TraceItem]:
        """Yield an item for where a module is found, if searching a path finds it there.

        Another finder (of an editable install, say) or a package's own `__path__` may have found
        it. Then its file counts, but nobody can say what else could be found instead.
        """
        other = ""
        for path, way in self._paths(found.how):
            now = self._finds(found.name, path)
            if now and self._same(now, found.origin):
                yield TraceItem("import", found.name, now, via, way)
                return
            other = now
        if found.how is not None and other and "." not in found.name:
            changed.append(f"the result of `import {found.name}` changed")

    def _finds(self, name: str, path: Sequence[str]) -> str:
        root = Path(self._scope.root)
        return origin_now(name, path, root=root, probe=self._probe, resolver=self._resolver)

    def _paths(self, how: ImportUse | None) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield search paths and their names for an item; the path at the import comes first.

        In the kernel, the path at the end of the run is tried too: if the earlier one is unknown,
        or no longer finds the same. A child process has a path of its own.
        """
        then = self._path(how.path) if how is not None else ()
        if how is not None and how.path and (then != self.path or how.pid != self._kernel):
            yield then, joined(then)
        if how is None or how.pid == self._kernel:
            yield self.path, ""

    def _same(self, one: str, other: str) -> bool:
        root = self._scope.root
        places = (os.path.realpath(os.path.join(root, name)) for name in (one, other))  # noqa: PTH118
        return one == other or next(places) == next(places)

    def _in_stdlib(self, origin: str) -> bool:
        return "-packages/" not in origin

    def _owned(self, name: str, path: str) -> bool:
        """Whether a distribution outside the interpreter's folders holds the module."""
        if name.partition(".")[0] not in self._probe.owners:
            return False
        return any(path.startswith(f"{entry}/") for entry in self._probe.path)

    def _path(self, path: Iterable[str]) -> tuple[str, ...]:
        """Return a sys.path as names, with marks for the interpreter's own folders."""
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

    def _via(self, found: _LocalModule) -> str:
        """Return who imported a module: "imported by In [2], through mylib/__init__.py"."""
        how = found.how
        if how is None:
            return ""
        by = f"imported by {via_cell(how.cell)}" if how.cell else "imported"
        through = self.local.get(how.importer)
        return f"{by}, through {through}" if through else by

    def _missing(self, changed: list[str]) -> Iterator[TraceItem]:
        for one in self._observed.missing:
            if not self._tells(one):
                continue
            for path, way in self._paths(one):
                now = self._finds(one.name, path)
                if not now:
                    via = f"looked for by {via_cell(one.cell)}" if one.cell else ""
                    yield TraceItem("missing-import", one.name, "", via, way)
                    break
            else:
                changed.append(f"the result of `import {one.name}` changed")

    def _installed(self, changed: list[str]) -> Iterator[TraceItem]:
        """Yield, for each search path, an item that nothing local hides the installed modules."""
        unhidden: dict[str, dict[str, None]] = {}
        imports = ((top, how) for top, hows in sorted(self._tops.items()) for how in hows)
        for top, how in imports:
            for path, way in self._paths(how):
                now = self._finds(top, path)
                if now in (STDLIB, SITE, ""):
                    unhidden.setdefault(way, {}).setdefault(top)
                    break
            else:
                changed.append(f"the result of `import {top}` changed")
        for way, tops in unhidden.items():
            yield TraceItem("installed", " ".join(tops), way=way)

    def _tells(self, one: ImportUse) -> bool:
        """Whether an import that found nothing matters, and not only to a distribution itself."""
        top, _, rest = one.name.partition(".")
        if rest and top not in self._packages:
            return False  # its version says which submodules it has
        if top in self._probe.stdlib:
            return False  # for another system: the standard library tries those, too
        return top not in self._probe.owners or top in self._packages

    def _text(self, origin: str) -> Iterator[str]:
        try:
            yield (Path(self._scope.root) / origin).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return

    def _distributions(self, changed: list[str]) -> Iterator[TraceItem]:
        """Yield the distributions that count, with their versions when the run began."""
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
        while todo:  # what a bare kernel has counts if a counted distribution requires it
            needs = [n for n in probe.requires.get(todo.pop(), ()) if n in loaded]
            todo += [need for need in needs if need not in counted]
            counted.update(dict.fromkeys(needs))
        told: dict[str, str] = {}
        for one in self._observed.distributions:  # the first one of a name is in effect
            told.setdefault(normalised(one.name), one.version)
        for name in counted:
            version = probe.distributions.get(name, "")
            now = watching.after.distributions.get(name, "")
            if now != version or not version.startswith(told.get(name, version)):
                changed.append(f"the package '{name}' changed")
            yield TraceItem("distribution", name, version)
