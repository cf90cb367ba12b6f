"""Read jcache.toml, check all of it, and return it as frozen types."""

from __future__ import annotations

import os.path
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nbbuild.config import values
from nbbuild.config.keys import readers
from nbbuild.config.remotes import check as check_remote
from nbbuild.config.tables import Collected, read_entries, read_table, unknown_table
from nbbuild.config.types import (
    CacheTable,
    CommandTable,
    Config,
    DaskTable,
    EnvironmentTable,
    ExecutionTable,
    ExecutorTable,
    ExportTable,
    NotebookEntry,
    ProjectTable,
    ReportTable,
    VerifyTable,
)
from nbbuild.disk.project_folder import DOT
from nbbuild.errors import ConfigError, did_you_mean, raise_all
from nbbuild.paths.patterns import Pattern, literal_prefix

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
        _check_integers(data)
    except RecursionError:
        raise ConfigError(f"'{path.name}' is nested too deep to be read") from None
    except tomllib.TOMLDecodeError as error:
        raise _bad_syntax(path.name, text, str(error)) from None
    except ValueError:  # Python reads and writes no integer of thousands of digits
        raise ConfigError(f"'{path.name}' holds an integer that is too long to be read") from None
    return read(data, path)


def _check_integers(value: object) -> None:
    """Raise ValueError for an integer that no text can show: hexadecimal ones have no limit."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _check_integers(one)
    elif isinstance(value, int):
        str(value)


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
    problems = Collected(path.name)
    tables: dict[str, dict[str, Any]] = {}
    entries: list[NotebookEntry] = []
    for name, value in data.items():
        if name not in known:
            problems.add(unknown_table(name, value, known))
        elif name == "notebook":
            entries = read_entries(value, known, problems)
        elif isinstance(value, dict):
            where = f"[{name}]"
            tables[name] = read_table(value, name, partial(problems.add, where=where), known)
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
        dask=DaskTable(**tables.get("dask", {})),
        command=CommandTable(**tables.get("command", {})),
        executor=ExecutorTable(**tables.get("executor", {})),
        notebooks=tuple(entries),
    )
    check_folders(config, problems)
    _check_resources(config, problems)
    try:
        check_remote(config)
    except ConfigError as error:
        problems.add(error)
    raise_all(problems.errors)
    return config


def _check_resources(config: Config, problems: Collected) -> None:
    """Check that there are pools for all that the notebooks take, and enough in each."""
    pools = config.execution.resources
    enough = dict(pools)
    for entry in config.notebooks:
        for name, units in entry.resources.items():
            enough[name] = max(enough.get(name, 1), units)
    hint = f"write, in [execution]: resources = {values.spelled_resources(enough)}"
    for entry in config.notebooks:
        for name, units in entry.resources.items():
            if name not in pools:
                what = f"'resources' names '{name}', which [execution] resources does not"
                problems.add(ConfigError(what, hint=did_you_mean(name, pools) or hint), entry.where)
            elif units > pools[name]:
                taken, there = (values.spelled_units(name, of) for of in (units, pools[name]))
                what = f"'resources' takes {taken} of '{name}', and [execution] has only {there}"
                problems.add(ConfigError(what, hint=hint), entry.where)


def check_folders(config: Config, problems: Collected) -> None:
    """Check that output, store, what is exported and sources do not overlap."""
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
            ("nbbuild itself", DOT),
        )
        near = [name for name, path in taken if _meet(given, path)]
        if near:
            problems.add(
                ConfigError(
                    f"'jupyter_cache' '{config.export.jupyter_cache}' and the folder of "
                    f"{near[0]} overlap",
                    hint="give each a folder of its own",
                ),
                "[export]",
            )
    if _meet(store, output):
        problems.add(
            ConfigError(
                f"[cache] path '{config.cache.path}' and [project] output '{output}' overlap",
                hint="give each a folder of its own",
            )
        )
    elif folder.startswith(f"{DOT}/"):
        problems.add(
            ConfigError(
                f"'output' '{output}' lies in nbbuild's own folder", hint="choose another folder"
            ),
            "[project]",
        )


def _meet(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    """Return `config` with what NBBUILD_CACHE, NBBUILD_JOBS and NBBUILD_EXECUTOR say.

    An empty variable says nothing; a relative NBBUILD_CACHE is relative to the root. Raises
    ConfigError, or Problems, that name the variable.
    """
    known = readers(config.root)
    problems = Collected("the environment")
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
        check_folders(config, problems)
    raise_all(problems.errors)
    return config
