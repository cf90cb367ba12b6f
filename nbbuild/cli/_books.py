"""Read what a book's own files say: Jupyter Book's `_toc.yml` and `_config.yml`, or `myst.yml`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard, cast

import yaml

from nbbuild.errors import ConfigError

_NESTED = ("parts", "chapters", "sections", "subtrees", "entries", "items", "children")
"""Keys under which a table of contents goes on, of all its formats."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table of contents: a path, with or without suffix, or a glob of such."""

    text: str  # relative to the book's folder
    is_glob: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What a book says; `entries` is None when it has no table of contents: then all is in it."""

    named_in: Path
    entries: tuple[Entry, ...] | None = None
    exclude: tuple[str, ...] = ()  # globs in the book's folder, for what it does not name itself
    never: tuple[str, ...] = ()  # globs from the root: never executed
    timeout: float | None = None  # seconds a cell, 0 = no limit
    allow_errors: bool | None = None
    env: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what a user should know


def find(folder: Path) -> Path | None:
    """Return the file in `folder` with a table of contents, else a `myst.yml`, else None."""
    myst, toc = folder / "myst.yml", folder / "_toc.yml"
    if myst.is_file() and (not toc.is_file() or "toc" in _table(_load(myst), "project")):
        return myst
    return toc if toc.is_file() else None


def read(path: Path) -> Book:
    """Return what the book of `path`, a table of contents, says. Raises ConfigError."""
    content = _load(path)
    if isinstance(content, Mapping) and "project" in content:
        return _myst(path, _table(content, "project"))
    book = Book(named_in=path, entries=tuple(_entries(content)))
    config = path.parent / "_config.yml"
    return _with_config(book, config) if config.is_file() else book


def _myst(path: Path, project: Mapping[str, Any]) -> Book:
    exclude = project.get("exclude", [])
    patterns = [exclude] if isinstance(exclude, str) else _texts(exclude)
    entries = tuple(_entries(project["toc"])) if "toc" in project else None
    return Book(
        named_in=path,
        entries=entries,
        exclude=tuple(one for pattern in patterns for one in _unbraced(pattern)),
        env=tuple(_texts(_table(project, "execute").get("depends_on_env"))),
    )


def _with_config(book: Book, path: Path) -> Book:
    """Add what `execute` in Jupyter Book's `_config.yml` says."""
    execute = _table(_load(path, yaml.SafeLoader), "execute")
    timeout, allow_errors = execute.get("timeout"), execute.get("allow_errors")
    notes = []
    # YAML reads an unquoted `off` as false.
    if execute.get("execute_notebooks") in ("off", False):
        notes.append(f"{path.name} has execute_notebooks off; nbbuild executes all that it builds")
    said = [_anywhere(text) for text in _texts(execute.get("exclude_patterns"))]
    return replace(
        book,
        never=tuple(text for text in said if text),
        # Jupyter Book's -1 is "no limit".
        timeout=max(0, timeout) if _is_number(timeout) else None,
        allow_errors=allow_errors if isinstance(allow_errors, bool) else None,
        notes=tuple(notes),
    )


def _anywhere(pattern: str) -> str:
    """Return a pattern of Jupyter Book, matched from the right, as one from the root.

    MyST-NB asks `PurePath.match`, for which `**` is a `*`. "" for one that means nothing.
    """
    parts = ["*" if part == "**" else part for part in PurePosixPath(pattern).parts]
    parts = [part for part in parts if part != "/"]
    return "/".join(["**", *parts]) if parts else ""


def _is_number(value: object) -> TypeGuard[int | float]:
    return type(value) in (int, float) and math.isfinite(cast("float", value))


def _entries(node: object) -> Iterator[Entry]:
    """Walk a table of contents of any format, in its order."""
    if isinstance(node, list):
        for item in node:
            yield from _entries(item)
    elif isinstance(node, Mapping):
        for key in ("root", "file"):
            if isinstance(node.get(key), str):
                yield Entry(node[key])
        for key in ("glob", "pattern"):
            if isinstance(node.get(key), str):
                yield from (Entry(text, is_glob=True) for text in _unbraced(node[key]))
        for key in _NESTED:
            yield from _entries(node.get(key))


def _unbraced(pattern: str) -> list[str]:
    """Return the patterns that `a.{b,c}` stands for: nbbuild's own have no braces."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    return [
        one
        for choice in found[1].split(",")
        for one in _unbraced(pattern[: found.start()] + choice + pattern[found.end() :])
    ]


def _load(path: Path, loader: type[yaml.BaseLoader | yaml.SafeLoader] = yaml.BaseLoader) -> object:
    """Return the content of a YAML file; by the base loader, for which `file: 01` is a text."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"'{path}' cannot be read",
            facts=[("reason", " ".join(str(error).split()))],
            hint="it should be YAML; --toc FILE names another table of contents",
        ) from error


def _table(content: object, key: str) -> Mapping[str, Any]:
    value = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
