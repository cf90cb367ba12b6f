"""Which reader reads a notebook: by its suffix, or by [project] readers; loads no notebook.

A reader that is not built in is an entry point of an installed distribution, in one of two groups:

- `nbbuild.readers`: a function of (the file's bytes, its `pathlib.Path`), which must not read any
  other file, since its result is remembered by the bytes;
- `jcache.readers`, jupyter-cache's own: a function of the file's path, as a string.

Both return a notebook, of any version of nbformat. Entry points are looked up only if some reader
is configured that is not built in: that takes longer than the rest of a build with nothing to do.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blake3

from nbbuild import optional_imports
from nbbuild.errors import ConfigError, NbbuildError, NotebookError, did_you_mean
from nbbuild.notebook.suffixes import is_text
from nbbuild.paths.patterns import Pattern, matches

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = ("nbbuild.readers", "jcache.readers")
"""Groups of entry points; a name in the first group wins over the same name in the second."""

BUILT_IN = ("jupytext", "nbformat")
"""Readers that need no entry point. jupyter-cache has these names too, with the same meaning."""


@dataclass(frozen=True, slots=True)
class CustomReader:
    """A reader that an installed distribution provides."""

    point: EntryPoint

    @property
    def label(self) -> str:
        """Its name for messages: "'myst_nb_md' of myst-nb 1.4.0"."""
        distribution = self.point.dist
        origin = f" of {distribution.name} {distribution.version}" if distribution else ""
        return f"'{self.point.name}'{origin}"

    def identity(self) -> str:
        """Return a string that changes when the reader may read the same bytes differently.

        That is its version and, since a version under development does not move, its file.
        """
        distribution = self.point.dist
        version = f"{distribution.name} {distribution.version}" if distribution else "none"
        file = _module_file(self.point.module)
        digest = blake3.blake3(file.read_bytes()).hexdigest(length=8) if file else ""
        return f"{self.point.group} {self.point.name}={self.point.value} {version} {digest}".strip()

    def rests_on(self) -> Iterator[str]:
        """Yield the folder and the file that `identity` looks at."""
        if self.point.dist is not None:
            yield str(self.point.dist.locate_file(""))
        file = _module_file(self.point.module)
        if file is not None:
            yield str(file)

    def __call__(self, source: str, path: Path, data: bytes) -> Mapping[str, Any]:
        """Return the notebook in `data`, read from `path`, as the reader gives it.

        Raises `NotebookError`, which calls the file `source`.
        """
        try:
            optional_imports.show()
            function = self.point.load()
            ours = self.point.group == GROUPS[0]
            found = function(data, path) if ours else function(str(path))
        except (Exception, SystemExit) as error:  # a reader is a program: it can raise anything
            said = next((line for line in str(error).splitlines() if line.strip()), "")
            kind = type(error).__name__
            raise NotebookError(
                f"'{source}' cannot be read by the reader {self.label}",
                facts=[("reason", f"{kind}: {said[:300]}" if said else kind)],
                hint="fix what it names, or choose another reader in [project] readers",
            ) from error
        if not isinstance(found, Mapping):
            raise NotebookError(
                f"the reader {self.label} returned no notebook for '{source}'",
                facts=[("gave", type(found).__name__)],
                hint="a reader returns a notebook, such as nbformat.v4.new_notebook()",
            )
        return found


class Readers:
    """The readers of a project: pattern → name, from `[project] readers`, for its sources.

    If several patterns match a source, the last one counts. Safe to share between threads; custom
    readers need not be, so they never get two notebooks at once.
    """

    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        self._chosen = [(Pattern.parse(text), name) for text, name in (chosen or {}).items()]
        self._found: dict[str, CustomReader] | None = None
        self.lock = threading.RLock()

    def configured(self, source: str) -> str:
        """Return the name of the reader configured for `source`, or ""."""
        chosen = (name for pattern, name in reversed(self._chosen) if matches(pattern, source))
        return next(chosen, "")

    def name(self, source: str) -> str:
        """Return the name of the reader of `source`, or "" if no reader takes it."""
        by_suffix = "jupytext" if is_text(source) else ""
        return self.configured(source) or ("nbformat" if source.endswith(".ipynb") else by_suffix)

    def label(self, source: str) -> str:
        """Return the name of the reader of `source`, with its package if it is not built in."""
        name = self.configured(source)
        found = self._custom().get(name) if name and name not in BUILT_IN else None
        return found.label if found is not None else self.name(source)

    def custom(self, source: str) -> CustomReader | None:
        """Return the reader of `source` if it is not built in; raise `NotebookError` if unknown."""
        name = self.configured(source)
        if not name or name in BUILT_IN:
            return None
        if name not in self._custom():
            raise NotebookError(f"'{source}' has no reader", facts=[("there is no", f"'{name}'")])
        return self._custom()[name]

    def problems(self, sources: Collection[str]) -> Iterator[NbbuildError]:
        """Yield an error for each unknown reader, and each pattern that matches no source."""
        yield from self.unknown()
        for pattern, _ in self._chosen:
            if not any(matches(pattern, source) for source in sources):
                yield ConfigError(
                    f"no notebook of the project matches '{pattern}'",
                    facts=[_declared(pattern)],
                    hint=did_you_mean(pattern.text, sources)
                    or "list it in [project] notebooks, or remove that reader",
                )

    def unknown(self) -> Iterator[NbbuildError]:
        """Yield an error for each reader that no installed distribution provides."""
        for pattern, name in self._chosen:
            if name not in BUILT_IN and name not in self._custom():
                known = sorted({*BUILT_IN, *self._custom()})
                yield ConfigError(
                    f"there is no reader '{name}'",
                    facts=[_declared(pattern), ("readers", ", ".join(known))],
                    hint=did_you_mean(name, known)
                    or "install the package that has it, where nbbuild itself is installed",
                )

    def _custom(self) -> dict[str, CustomReader]:
        with self.lock:
            if self._found is None:
                from importlib.metadata import entry_points

                self._found = {
                    point.name: CustomReader(point)
                    for group in reversed(GROUPS)
                    # Backwards: if two distributions share a name, the first on sys.path wins.
                    for point in reversed(tuple(entry_points(group=group)))
                }
            return self._found


def _declared(pattern: Pattern) -> tuple[str, str]:
    return ("declared in", f"jcache.toml, [project] readers, '{pattern}'")


def _module_file(module: str) -> Path | None:
    """Return the file of a module without importing any package; None if it has no such file."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = spec.submodule_search_locations
    if folders is None:
        return Path(spec.origin) if spec.origin and Path(spec.origin).is_file() else None
    names = ("/".join([*rest, "__init__.py"]), f"{'/'.join(rest)}.py")
    return next((p for f in folders for n in names if (p := Path(f, n)).is_file()), None)
