"""Read jcache.toml: find it, check all of it, and give it as frozen types."""

from __future__ import annotations

import os.path
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from nbbuild.config import paths, values
from nbbuild.config.paths import check_artefact
from nbbuild.config.types import (
    DEFAULTS,
    CacheTable,
    Config,
    EnvironmentTable,
    ExecutionTable,
    ExportTable,
    NotebookEntry,
    ProjectTable,
    ReportTable,
    VerifyTable,
)
from nbbuild.errors import ConfigError, NbbuildError, Problems, did_you_mean, raise_all
from nbbuild.model import Settings
from nbbuild.paths.patterns import Pattern, escape, literal_prefix

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "DEFAULTS",
    "LATER",
    "CacheTable",
    "Config",
    "EnvironmentTable",
    "ExecutionTable",
    "ExportTable",
    "NotebookEntry",
    "ProjectTable",
    "ReportTable",
    "VerifyTable",
    "check_artefact",
    "expand",
    "find",
    "find_above",
    "load",
    "notices",
    "read",
    "readers",
    "with_environment",
]

LATER: Final = {
    "cache": ("remote",),
    "report": ("junit", "html"),
}
"""Keys that are read and checked, but not acted on in this version."""

_SETTINGS: Final = tuple(setting.name for setting in fields(Settings))

_Readers = Mapping[str, Mapping[str, values.Reader[Any]]]


def find(start: Path, name: str = "jcache.toml") -> Path:
    """Return the path of `name` in the folder `start`; ConfigError when it is not there.

    As with make, folders above are not built by accident: they are looked at for the hint only.
    """
    path = start / name
    if path.is_file():
        return path
    start = Path(os.path.abspath(start))  # noqa: PTH100 - not through links: what the user sees
    above = find_above(start, name)
    if above is None or Path(name).is_absolute():
        hint = "`nbbuild init` writes one" if not path.exists() else "it has to be a file"
    else:
        hint = f"there is one in '{above}': use `nbbuild -C {shlex.quote(os.path.relpath(above))}`"
    raise ConfigError(f"there is no '{name}' in '{start}'", hint=hint)


def find_above(start: Path, name: str = "jcache.toml") -> Path | None:
    """Return the nearest folder above `start`, an absolute path, that holds the file `name`."""
    return next((folder for folder in start.parents if (folder / name).is_file()), None)


def load(path: Path) -> Config:
    """Read and check the file `path`. Raises ConfigError, or Problems with all that is wrong."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"'{path}' cannot be read", facts=[("because", error.strerror or str(error))]
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"'{path.name}' is not UTF-8",
            facts=[("at", f"{path.name}, byte {error.start}")],
            hint="save it as UTF-8 text",
        ) from None
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"'{path.name}' is nested too deep to be read") from None
    except tomllib.TOMLDecodeError as error:
        raise _bad_syntax(path.name, text, str(error)) from None
    except ValueError:  # Python reads no integer of thousands of digits
        raise ConfigError(f"'{path.name}' holds an integer that is too long to be read") from None
    return read(data, path)


def _bad_syntax(name: str, text: str, message: str) -> ConfigError:
    lines = text.splitlines() or [""]
    what, _, where = message.partition(" (at ")
    found = re.search(r"line (\d+), column (\d+)", where)
    line, column = (int(found[1]), int(found[2])) if found else (len(lines), len(lines[-1]) + 1)
    facts = [("at", f"{name}, line {line}, column {column}")]
    if line <= len(lines):
        facts.append(("line", lines[line - 1].strip()))
    return ConfigError(
        f"'{name}' is not TOML: {what[:1].lower()}{what[1:]}",
        facts=facts,
        hint="quote strings, put lists in brackets, and give every key and table once",
    )


def read(data: Mapping[str, Any], path: Path) -> Config:
    """Check what the TOML of `path` holds. Raises ConfigError, or Problems with all of them."""
    root = path.parent.resolve()
    known = readers(root)
    problems = _Collected(path.name)
    tables: dict[str, dict[str, Any]] = {}
    entries: list[NotebookEntry] = []
    for name, value in data.items():
        if name not in known:
            problems.add(_unknown_table(name, value, known))
        elif name == "notebook":
            entries = _entries(value, known, problems)
        elif isinstance(value, dict):
            where = f"[{name}]"
            tables[name] = _table(value, name, partial(problems.add, where=where), known)
        else:
            twice = isinstance(value, list) and all(isinstance(item, dict) for item in value)
            hint = f"write [{name}], with single brackets, once" if twice else f"write [{name}]"
            problems.add(
                ConfigError(f"'{name}' must be a table, not {values.described(value)}", hint=hint)
            )
    config = Config(
        root=root,
        path=root / path.name,
        project=ProjectTable(**tables.get("project", {})),
        execution=ExecutionTable(**tables.get("execution", {})),
        environment=EnvironmentTable(**tables.get("environment", {})),
        cache=CacheTable(**tables.get("cache", {})),
        report=ReportTable(**tables.get("report", {})),
        export=ExportTable(**tables.get("export", {})),
        verify=VerifyTable(**tables.get("verify", {})),
        notebooks=tuple(entries),
    )
    _check_folders(config, problems)
    raise_all(problems.errors)
    return config


def readers(root: Path) -> _Readers:
    """Return table → key → how its value is read; this is all that jcache.toml may hold."""
    strings = values.listed(values.filled)
    patterns = values.listed(paths.pattern(root))
    settings: dict[str, values.Reader[Any]] = {
        "kernel": values.string,
        "timeout": values.seconds,
        "notebook_timeout": values.seconds,
        "allow_errors": values.boolean,
        "retries": values.count,
        "sandbox": values.boolean,
        "cwd": values.choice("notebook", "project"),
        "trace": values.trace,
        "warm": values.warm,
    }
    return {
        "project": {
            "notebooks": patterns,
            "exclude": patterns,
            "output": paths.inside(root),
            "readers": paths.readers(root),
            "scratch": values.listed(paths.scratch(root)),
            "python_path": values.listed(paths.path(root)),
        },
        "execution": {
            "executor": values.filled,
            "jobs": values.jobs,
            "kernel_aliases": values.aliases,
            "keep_going": values.boolean,
            "max_memory": values.memory,
            **settings,
        },
        "environment": {
            "packages": strings,
            "env": values.listed(paths.variable),
            "files": patterns,
            "commands": strings,
            "python": values.choice("minor", "patch"),
        },
        "cache": {
            "path": paths.store(root),
            "max_size": values.size,
            "remote": values.string,
        },
        "report": {"junit": values.string, "html": values.string},
        "export": {
            "jupyter_cache": paths.handed_over(root),
            "doctrees": values.listed(paths.path(root)),
            "mystmd": values.boolean,
        },
        "verify": {"ignore": values.listed(values.expression)},
        "notebook": {
            "path": paths.pattern(root),
            "name": paths.task_name,
            "assets": patterns,
            "modules": values.listed(paths.module(root)),
            "packages": strings,
            "env": values.listed(paths.variable),
            "artefacts": values.listed(paths.artefact(root)),
            "scratch": values.listed(paths.scratch(root)),
            "depends_on": strings,
            "parameters": values.parameters,
            "matrix": values.matrix,
            "groups": strings,
            "max_age": values.duration,
            "cache": values.boolean,
            **settings,
        },
    }


# -- tables ------------------------------------------------------------------------------------


class _Collected:
    """The problems of one file, each with the place where it is."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.errors: list[NbbuildError] = []

    def add(self, error: NbbuildError, where: str = "") -> None:
        if isinstance(error, Problems):
            for one in error.errors:
                self.add(one, where)
        else:
            place = f"{self._file}, {where}" if where else self._file
            self.errors.append(
                ConfigError(error.what, facts=[("in", place), *error.facts], hint=error.hint)
            )


def _table(
    data: Mapping[str, Any], name: str, problem: Callable[[NbbuildError], None], known: _Readers
) -> dict[str, Any]:
    """Read the keys of one table; what is wrong goes to `problem` and is left out."""
    found: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for key, value in data.items():
        reader = known[name].get(key)
        if reader is None:
            problem(_unknown_key(key, name, known))
            continue
        try:
            (said if key in _SETTINGS else found)[key] = reader(key, value)
        except (ConfigError, Problems) as error:
            problem(error)
    if said:
        found["settings"] = Settings(**said)
    return found


def _entries(value: object, known: _Readers, problems: _Collected) -> list[NotebookEntry]:
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
        found = _table(data, "notebook", problem, known)
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
            _check_braces(found.get(key, ()), problem)
        entries.append(NotebookEntry(where=where, **found))
    return entries


def _unknown_table(name: str, value: object, known: _Readers) -> ConfigError:
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


def _unknown_key(key: str, table: str, known: _Readers) -> ConfigError:
    owners = _owners(key, known)
    hint = f"'{key}' belongs to {owners}" if owners else did_you_mean(key, known[table])
    keys = ", ".join(known[table])
    return ConfigError(f"unknown key '{key}'", hint=hint or f"the keys here are {keys}")


def _owners(key: str, known: _Readers) -> str:
    return _shown([name for name, keys in known.items() if key in keys], " or ")


def _shown(tables: Iterable[str], comma: str = ", ") -> str:
    return comma.join("[[notebook]]" if name == "notebook" else f"[{name}]" for name in tables)


def _check_folders(config: Config, problems: _Collected) -> None:
    """Check that output, store, what is exported and sources do not lie in each other."""
    output = config.project.output
    folder = f"{output}/"
    named = [("[project]", text) for text in config.project.notebooks]
    named += [(entry.where, entry.path) for entry in config.notebooks]
    for where, text in named:
        if f"{literal_prefix(Pattern.parse(text))}/".startswith(folder):
            problems.add(
                ConfigError(
                    f"the notebooks '{text}' lie in '{output}', where built notebooks go",
                    hint="choose another folder for [project] output",
                ),
                where,
            )
    store = os.path.relpath(config.store, config.root)
    if config.export.jupyter_cache:
        given = os.path.relpath(config.root / config.export.jupyter_cache, config.root)
        taken = (
            ("[project] output", output),
            ("[cache] path", store),
            ("nbbuild itself", ".nbbuild"),
        )
        near = [name for name, path in taken if _meet(given, path)]
        if near:
            problems.add(
                ConfigError(
                    f"'jupyter_cache' '{config.export.jupyter_cache}' and the folder of "
                    f"{near[0]} lie in each other",
                    hint="give each a folder of its own",
                ),
                "[export]",
            )
    if _meet(store, output):
        problems.add(
            ConfigError(
                f"[cache] path '{config.cache.path}' and [project] output '{output}' "
                "lie in each other",
                hint="give each a folder of its own",
            )
        )
    elif folder.startswith(".nbbuild/"):
        problems.add(
            ConfigError(
                f"'output' '{output}' lies in nbbuild's own folder", hint="choose another folder"
            ),
            "[project]",
        )


def _meet(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


# -- what comes from elsewhere -----------------------------------------------------------------


def with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    """Return `config` with what NBBUILD_CACHE, NBBUILD_JOBS and NBBUILD_EXECUTOR say.

    An empty variable says nothing; a relative NBBUILD_CACHE is relative to the root. Raises
    ConfigError, or Problems, that name the variable.
    """
    known = readers(config.root)
    problems = _Collected("the environment")
    jobs = environ.get("NBBUILD_JOBS", "").strip()
    number = int(jobs) if re.fullmatch(r"[0-9]{1,9}", jobs) else jobs
    given: dict[str, Any] = {}
    for table, key, variable, value in (
        ("cache", "path", "NBBUILD_CACHE", environ.get("NBBUILD_CACHE", "")),
        ("execution", "jobs", "NBBUILD_JOBS", number),
        ("execution", "executor", "NBBUILD_EXECUTOR", environ.get("NBBUILD_EXECUTOR", "")),
    ):
        if value == "":
            continue
        try:
            given[key] = known[table][key](variable, value)
        except ConfigError as error:
            # A hint about TOML's quotes would mislead here.
            hint = "" if error.hint.startswith("write ") else error.hint
            problems.add(ConfigError(error.what, facts=error.facts, hint=hint))
    path = given.pop("path", config.cache.path)
    config = replace(
        config,
        cache=replace(config.cache, path=path),
        execution=replace(config.execution, **given),
    )
    if not problems.errors:
        _check_folders(config, problems)
    raise_all(problems.errors)
    return config


def notices(config: Config) -> list[str]:
    """Return a sentence for each key that is said, not its default, and not yet acted on."""
    text = "{where} {key} is read but not acted on in this version"
    return [
        text.format(where=f"[{table}]", key=key)
        for table, default in (("cache", CacheTable()), ("report", ReportTable()))
        for key in LATER[table]
        if getattr(getattr(config, table), key) != getattr(default, key)
    ]


# -- placeholders ------------------------------------------------------------------------------

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def expand(text: str, known: Mapping[str, str], where: str) -> str:
    """Return the pattern `text` with `{name}` replaced by `known[name]`; `{{` and `}}` are braces.

    Wildcards in a value are made plain characters. `where` is for the ConfigError that an unknown
    name, or a brace without its other, raises.
    """

    def value(found: re.Match[str]) -> str:
        token = found.group()
        if token in ("{{", "}}"):
            return token[0]
        name = found[1]
        if name is None or not name.strip():
            raise _stray_brace(text, facts=[("in", where)])
        if name not in known:
            raise ConfigError(
                f"'{{{name}}}' in '{text}' is no parameter",
                facts=[("in", where), ("known", ", ".join(sorted(known)) or "none")],
                hint=did_you_mean(name, known)
                or "declare it in `parameters`, or write {{ and }} for plain braces",
            )
        return escape(known[name])

    return _BRACES.sub(value, text)


def _stray_brace(text: str, *, facts: Iterable[tuple[str, str]] = ()) -> ConfigError:
    return ConfigError(
        f"'{text}' has a brace that belongs to no {{parameter}}",
        facts=facts,
        hint="write {{ and }} for plain braces",
    )


def _check_braces(texts: Iterable[str], problem: Callable[[NbbuildError], None]) -> None:
    for text in texts:
        for found in _BRACES.finditer(text):
            plain = found.group() in ("{{", "}}")
            if not plain and not (found[1] or "").strip():
                problem(_stray_brace(text))
                break
