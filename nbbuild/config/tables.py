"""Read one table of jcache.toml, and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from nbbuild.config import values
from nbbuild.config.keys import SETTINGS, Keys
from nbbuild.config.placeholders import check_braces
from nbbuild.config.types import NotebookEntry
from nbbuild.errors import ConfigError, NbbuildError, Problems, did_you_mean
from nbbuild.model import Settings
from nbbuild.paths.patterns import Pattern


class Collected:
    """The problems of one file, each with the place where it is."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.errors: list[NbbuildError] = []

    def add(self, error: NbbuildError, where: str = "") -> None:
        """Keep an error, or all that a `Problems` holds, with `where` it is."""
        if isinstance(error, Problems):
            for one in error.errors:
                self.add(one, where)
        else:
            place = f"{self._file}, {where}" if where else self._file
            self.errors.append(
                ConfigError(error.what, facts=[("in", place), *error.facts], hint=error.hint)
            )


def read_table(
    data: Mapping[str, Any], name: str, problem: Callable[[NbbuildError], None], known: Keys
) -> dict[str, Any]:
    """Read the keys of one table; what is wrong goes to `problem` and is left out."""
    found: dict[str, Any] = {}
    said: dict[str, Any] = {}
    has_settings = known[name].keys() >= {*SETTINGS}  # [report] has a `trace` of its own
    for key, value in data.items():
        reader = known[name].get(key)
        if reader is None:
            problem(_unknown_key(key, name, known))
            continue
        try:
            (said if has_settings and key in SETTINGS else found)[key] = reader(key, value)
        except (ConfigError, Problems) as error:
            problem(error)
    if said:
        found["settings"] = Settings(**said)
    return found


def read_entries(value: object, known: Keys, problems: Collected) -> list[NotebookEntry]:
    """Read all [[notebook]] entries; what is wrong goes to `problems`."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        problems.add(
            ConfigError(
                f"'notebook' must be a list of tables, not {values.described(value)}",
                hint="write [[notebook]], with two brackets, above each entry",
            )
        )
        return []
    entries = []
    for number, data in enumerate(value, 1):
        where = f"[[notebook]] {number}"
        path = data.get("path")
        shown = f"{where} (path = {values.quoted(path)})" if isinstance(path, str) else where
        problem = partial(problems.add, where=shown)
        found = read_table(data, "notebook", problem, known)
        if "path" not in data:
            problem(ConfigError("there is no 'path'", hint='write path = "chapters/a.ipynb"'))
        if "path" not in found:
            continue
        if "name" in found and not Pattern.parse(found["path"]).literal:
            problem(
                ConfigError(
                    f"'name' {values.quoted(found['name'])} needs the path of one notebook",
                    hint="write its path without wildcards, or use `matrix` instead of `name`",
                )
            )
        for key in ("assets", "artefacts", "scratch"):
            check_braces(found.get(key, ()), problem)
        entries.append(NotebookEntry(where=where, **found))
    return entries


def unknown_table(name: str, value: object, known: Keys) -> ConfigError:
    """Return the error for a name that is not a table, with the table that may be meant."""
    tables = value if isinstance(value, list) and value else [value]
    if not all(isinstance(one, dict) for one in tables):
        owners = _owners(name, known)
        hint = f"'{name}' belongs to {owners}" if owners else did_you_mean(name, known)
        return ConfigError(
            f"unknown key '{name}' outside all tables",
            hint=hint or f"the tables are {_shown(known)}",
        )
    near = did_you_mean(name, known)
    if near:
        meant = near.split("'")[1]
        hint = f"did you mean {_shown([meant])}?"
    elif owners := _owners(name, known):
        hint = f"'{name}' belongs to {owners}"
    else:
        hint = f"the tables are {_shown(known)}"
    return ConfigError(f"unknown table [{name}]", hint=hint)


def _unknown_key(key: str, table: str, known: Keys) -> ConfigError:
    owners = _owners(key, known)
    hint = f"'{key}' belongs to {owners}" if owners else did_you_mean(key, known[table])
    keys = ", ".join(known[table])
    return ConfigError(f"unknown key '{key}'", hint=hint or f"the keys here are {keys}")


def _owners(key: str, known: Keys) -> str:
    return _shown([name for name, keys in known.items() if key in keys], " or ")


def _shown(tables: Iterable[str], comma: str = ", ") -> str:
    return comma.join("[[notebook]]" if name == "notebook" else f"[{name}]" for name in tables)
