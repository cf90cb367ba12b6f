"""Find the project's own files that declared modules bring in, without running anything.

A declared module stands for its file, those of its parent packages, and everything they import
inside the project, however deep. Names are resolved as in Python: the folders of sys.path in order,
a package before a module of the same name, and a folder without `__init__.py` only if nothing else
is found (a namespace package, whose folders add up). Anything not found in these folders is not the
project's: it is in the standard library or in an installed package, which counts by its version.
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from blake3 import blake3

from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.errors import ConfigError, NbbuildError, did_you_mean, raise_all
from nbbuild.interpreter.imports import Import, Imports, imports_of_cell, imports_of_file
from nbbuild.paths.patterns import escape
from nbbuild.paths.walk import Walker

Read: TypeAlias = Callable[[str], str | None]
"""Root-relative path → the file's text, or None if there is no such file."""

_PACKAGE = "__init__.py"
_IMPORTS: Shape[Imports] = Shape(Imports)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a dotted name turned out to be."""

    file: str  # "" for a namespace package
    folders: tuple[str, ...] = ()  # where its submodules are; () for a plain module


@dataclass(frozen=True, slots=True)
class _Module:
    """A file, and the package that its relative imports start from."""

    file: str
    package: str


class ModuleGraph:
    """The imports of the project in `root`; all state it keeps follows from the files' bytes.

    `recall(kind, key)` and `remember(kind, key, data)` may keep that state between builds. Safe to
    share between threads.
    """

    def __init__(
        self,
        root: Path,
        read: Read,
        *,
        recall: Callable[[str, str], bytes | None] | None = None,
        remember: Callable[[str, str, bytes], None] | None = None,
    ) -> None:
        self._root = root
        self._read = read
        self._recall = recall
        self._remember = remember
        self._known: dict[str, Imports] = {}
        self.looked: set[str] = set()
        """The root-relative paths where files and folders have been looked for so far."""

    def closure(
        self,
        declared: Sequence[str],
        *,
        search: Sequence[str],
        cells: Sequence[str] = (),
        where: str = "",
    ) -> tuple[str, ...]:
        """Return the files, sorted and root-relative, that the modules `declared` bring in.

        `search` holds root-relative folders in the order of sys.path. What the `cells` import
        from a declared package counts too. A declared package from which they import nothing
        counts with every .py file in it, and so does a namespace package. Raises ConfigError (or
        Problems) for missing modules, which `where` declares.
        """
        folders = tuple(dict.fromkeys("" if folder == "." else folder for folder in search))
        files: set[str] = set()
        errors: list[NbbuildError] = []
        look = _Look(self._root, self._read, self.looked)
        used = [one for cell in cells for one in imports_of_cell(cell).found]
        by_name = _Closure(self, look, folders)
        for module in dict.fromkeys(declared):
            try:
                if module.endswith(".py"):
                    files |= self._of_path(module, look, folders)
                else:
                    by_name.declare(module, used)
            except ConfigError as error:
                facts = [("declared in", where)] if where else []
                errors.append(
                    ConfigError(error.what, facts=[*facts, *error.facts], hint=error.hint)
                )
        raise_all(errors)
        return tuple(sorted(files | by_name.files()))

    def imports(self, text: str) -> Imports:
        """Return what a file with this text imports."""
        key = blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._recalled(key) or self._parsed(key, text)
        return known

    def _recalled(self, key: str) -> Imports | None:
        data = self._recall(_KIND, key) if self._recall else None
        try:
            return _IMPORTS.unpack(data) if data else None
        except Misshapen:  # written by another version
            return None

    def _parsed(self, key: str, text: str) -> Imports:
        imports = imports_of_file(text)
        if self._remember:
            self._remember(_KIND, key, packed(imports))
        return imports

    def _of_path(self, path: str, look: _Look, folders: tuple[str, ...]) -> set[str]:
        """Return the closure of a file declared by its path.

        It may be run as a script, so the folder above its packages goes first on sys.path.
        """
        if look.text(path) is None:
            folder, _, name = path.rpartition("/")
            raise ConfigError(
                f"module '{path}' does not exist",
                hint=did_you_mean(name, (f"{stem}.py" for stem in look.modules(folder)))
                or "paths are relative to the folder of jcache.toml",
            )
        top, name = posixpath.split(path[: -len(".py")])
        packages: list[str] = []
        while top and look.text(_join(top, _PACKAGE)) is not None:
            top, package = posixpath.split(top)
            packages.insert(0, package)
        closure = _Closure(self, look, tuple(dict.fromkeys((top, *folders))))
        closure.add_name(".".join([*packages, name]))
        closure.add(_Module(path, ".".join(packages)))
        return closure.files()


_KIND = f"imports-{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that parses: what is remembered depends on its grammar."""


class _Look:
    """The disk as one closure sees it; everything is looked at only once."""

    def __init__(self, root: Path, read: Read, looked: set[str]) -> None:
        self._root = root
        self._read = read
        self._looked = looked
        self._texts: dict[str, str | None] = {}
        self._folders: dict[str, bool] = {}
        self._walker = Walker(root)

    def text(self, path: str) -> str | None:
        if path not in self._texts:
            self._looked.add(path)
            self._texts[path] = self._read(path)
        return self._texts[path]

    def is_folder(self, path: str) -> bool:
        if path not in self._folders:
            self._looked.add(path)
            self._folders[path] = (self._root / path).is_dir()
        return self._folders[path]

    def modules(self, folder: str) -> Iterator[str]:
        """Yield the names that could be imported from `folder`."""
        for entry in self._walker.entries(folder):
            stem = entry.name if entry.folder else entry.name.removesuffix(".py")
            if stem.isidentifier() and (entry.folder or stem != entry.name):
                yield stem

    def below(self, folder: str, package: str) -> Iterator[_Module]:
        """Yield every .py file below `folder`, the folder of `package`."""
        paths = self._walker.match(f"{escape(folder)}/**/*.py")
        self._looked.update(self._walker.listed)
        for path in paths:
            inner = posixpath.dirname(path[len(folder) + 1 :])
            yield _Module(path, ".".join([package, *filter(None, inner.split("/"))]))


class _Closure:
    """Follows imports over one sys.path, from module to module."""

    def __init__(self, graph: ModuleGraph, look: _Look, search: tuple[str, ...]) -> None:
        self._graph = graph
        self._look = look
        self._search = search
        self._resolved: dict[str, _Found | None] = {}
        self._seen: set[_Module] = set()
        self._todo: list[_Module] = []

    def files(self) -> set[str]:
        """Follow everything that was added, and return every file found."""
        while self._todo:
            self._follow(self._todo.pop())
        return {module.file for module in self._seen}

    def declare(self, name: str, used: Iterable[Import]) -> None:
        """Add the module `name`, and what the cells use of it."""
        found = self.add_name(name)
        if found is None:
            raise self._not_found(name)
        below = {one for one in self._dotted(used) if f"{one}.".startswith(f"{name}.")}
        for one in below:
            self.add_name(one)
        if found.folders and not (below and found.file):
            for folder in found.folders:
                for module in self._look.below(folder, name):
                    self.add(module)

    def _dotted(self, used: Iterable[Import]) -> Iterator[str]:
        """Yield every dotted name of absolute imports: `from a import b` gives "a" and "a.b"."""
        for one in used:
            if one.level == 0:
                yield one.module
                names = one.names
                if "*" in names:
                    package = self._resolve_all(one.module)
                    names = tuple(self._names(names, package)) if package else ()
                yield from (f"{one.module}.{name}" for name in names)

    def add(self, module: _Module) -> None:
        """Add one file."""
        if module not in self._seen:
            self._seen.add(module)
            self._todo.append(module)

    def add_name(self, name: str) -> _Found | None:
        """Add the files that importing `name` runs, including those of its parents, if any."""
        found: _Found | None = None
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            one = ".".join(parts[:length])
            found = self._resolve(one)
            if found is None:
                return None
            if found.file:
                self.add(_Module(found.file, one if found.folders else one.rpartition(".")[0]))
        return found

    def _follow(self, module: _Module) -> None:
        text = self._look.text(module.file)
        imports = self._graph.imports(text) if text is not None else Imports()
        for one in imports.found:
            base = _absolute(one.level, one.module, module.package)
            if base is None:
                continue
            found = self.add_name(base) if base else None
            if found is not None and found.folders:
                for name in self._names(one.names, found):
                    self.add_name(f"{base}.{name}")

    def _names(self, names: Sequence[str], package: _Found) -> Iterable[str]:
        """Return the names imported from a package; `*` means those in its `__all__`."""
        if "*" not in names:
            return names
        text = self._look.text(package.file) if package.file else None
        return self._graph.imports(text).exported if text is not None else ()

    def _resolve_all(self, name: str) -> _Found | None:
        """Resolve parents first, which keeps the recursion flat."""
        parts = name.split(".")
        found = None
        for length in range(1, len(parts) + 1):
            found = self._resolve(".".join(parts[:length]))
            if found is None:
                break
        return found

    def _resolve(self, name: str) -> _Found | None:
        if name not in self._resolved:
            parent, _, last = name.rpartition(".")
            if parent:
                package = self._resolve(parent)
                self._resolved[name] = self._find(last, package.folders) if package else None
            else:
                found = self._find(last, self._search)
                # A standard library module comes before any folder without __init__.py.
                hidden = found and not found.file and last in sys.stdlib_module_names
                self._resolved[name] = None if hidden else found
        return self._resolved[name]

    def _find(self, name: str, folders: Sequence[str]) -> _Found | None:
        portions = []
        for folder in folders:
            path = _join(folder, name)
            if self._look.is_folder(path):
                if self._look.text(_join(path, _PACKAGE)) is not None:
                    return _Found(_join(path, _PACKAGE), (path,))
                portions.append(path)
            if self._look.text(f"{path}.py") is not None:
                return _Found(f"{path}.py")
        return _Found("", tuple(portions)) if portions else None

    def _not_found(self, name: str) -> ConfigError:
        parts = name.split(".")
        length = next(n for n in range(1, len(parts) + 1) if not self._resolve(".".join(parts[:n])))
        parent = ".".join(parts[: length - 1])
        package = self._resolve(parent) if parent else None
        folders = package.folders if package else self._search
        near = did_you_mean(
            ".".join(parts[:length]),
            [
                f"{parent}.{one}".lstrip(".")
                for folder in folders
                for one in self._look.modules(folder)
            ],
        )
        looked = ", ".join(folder or "." for folder in folders)
        if package and not folders:
            looked = f"{package.file}, which is no package"
        return ConfigError(
            f"module '{name}' is not in the project",
            facts=[("looked in", looked)],
            hint=near
            or "name a module of the project; installed ones belong to `packages`, "
            "and folders of modules to [project] python_path",
        )


def _absolute(level: int, module: str, package: str) -> str | None:
    """Return the dotted name that an import means; None if it climbs out of its package."""
    if level == 0:
        return module
    parts = package.split(".") if package else []
    if level > len(parts):
        return None
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, module] if module else base)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
