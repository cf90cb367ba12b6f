"""Turn a configuration and the files it names into a project: its tasks, and their contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbbuild.config.types import Config, NotebookEntry
from nbbuild.errors import ConfigError, NbbuildError, NotebookError, did_you_mean, raise_all
from nbbuild.model import Parsed, Task
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.walk import Walker
from nbbuild.project.expanding import EntryIndex, tasks_of
from nbbuild.project.listing import listed, not_excluded
from nbbuild.project.pairing import Contents, pairs_of
from nbbuild.project.readings import Readings
from nbbuild.project.selecting import resolve_depends_on


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded `jcache.toml`: its tasks, and the contents of their notebooks.

    `unreadable` holds the error of each notebook that could not be read. Its tasks are still among
    `tasks`, so that only the targets that need them stop.
    """

    root: Path
    config: Config
    tasks: tuple[Task, ...]
    parsed: Mapping[str, Parsed]  # source → its contents
    unreadable: Mapping[str, NotebookError]  # source → why not
    output: str = field(default="_build/executed")


def load(
    config: Config,
    *,
    walker: Walker,
    readings: Readings,
    pair: Callable[[str, str], tuple[str, ...]],
    built: Callable[[], frozenset[str]] = frozenset,
) -> Project:
    """Expand `config` into tasks.

    `pair(source, formats)` gives the other files of a Jupytext pair. `built()` are the notebooks
    that nbbuild itself wrote; no glob makes them sources. Raises `ConfigError`, or `Problems` with
    all errors: patterns that match nothing, two tasks with the same name or the same file.
    """
    errors: list[NbbuildError] = []
    if not config.project.notebooks and not config.notebooks:
        errors.append(_lists_nothing(config))
    wanted = not_excluded(config)
    sources = tuple(
        listed(
            config,
            walker=walker,
            readers=readings.readers,
            is_notebook=readings.is_notebook,
            built=built,
            errors=errors,
        )
    )
    contents = Contents(config.root, readings, pair)
    for source in sources:
        contents.read(source)
    pairs = pairs_of(sources, contents, wanted)
    if sources and not pairs:
        errors.append(_all_excluded(sources))
    tasks: list[Task] = []
    used: set[str] = set()
    entries = EntryIndex(config.notebooks)
    for source, paired in pairs.items():
        tasks += tasks_of(source, paired, config, entries, used, errors)
    known = [path for source, paired in pairs.items() for path in (source, *paired)]
    errors += [
        _matches_no_notebook(entry, known) for entry in config.notebooks if entry.where not in used
    ]
    errors += readings.readers.problems(known)
    errors += _clashes(tasks)
    if config.project.render:
        errors += _reports_over_pages(config, tasks)
    raise_all(errors)
    tasks = resolve_depends_on(tasks)
    return Project(
        root=config.root,
        config=config,
        tasks=tuple(tasks),
        parsed=contents.parsed,
        unreadable=contents.unreadable,
        output=config.project.output,
    )


def _lists_nothing(config: Config) -> NbbuildError:
    return ConfigError(
        f"'{config.path.name}' lists no notebooks",
        facts=[("in", str(config.path))],
        hint="name them in [project] notebooks; `nbbuild init --force` writes a file that "
        "does, and keeps a copy of this one",
    )


def _all_excluded(sources: Sequence[str]) -> NbbuildError:
    return ConfigError(
        "[project] exclude leaves no notebook",
        facts=[("listed", ", ".join(sources[:3]))],
        hint="exclude leaves out a Jupytext pair when it matches the pair's text",
    )


def _matches_no_notebook(entry: NotebookEntry, sources: Sequence[str]) -> NbbuildError:
    near = did_you_mean(entry.path, sources)
    literal = Pattern.parse(entry.path).literal
    return ConfigError(
        f"the notebook '{entry.path}' does not exist"
        if literal
        else f"no notebook of the project matches '{entry.path}'",
        facts=[("declared in", f"jcache.toml, {entry.where}")],
        hint=near or "paths are relative to the folder of jcache.toml; see also [project] exclude",
    )


def _clashes(tasks: Sequence[Task]) -> list[NbbuildError]:
    """Return an error for any two tasks that share a name or write the same built notebook."""
    errors: list[NbbuildError] = []
    for what, of in (("are both named", "name"), ("would both write", "built")):
        seen: dict[str, Task] = {}
        for task in tasks:
            other = seen.setdefault(getattr(task, of), task)
            if other is task or (of == "built" and other.name == task.name):
                continue
            errors.append(
                ConfigError(
                    f"'{other.source}' and '{task.source}' {what} '{getattr(task, of)}'"
                    if other.source != task.source
                    else f"two tasks of '{task.source}' {what} '{getattr(task, of)}'",
                    facts=[("declared in", other.declared_in), ("and in", task.declared_in)],
                    hint="give one of them another `name`, or leave it out with [project] exclude",
                )
            )
    return errors


def _reports_over_pages(config: Config, tasks: Sequence[Task]) -> list[NbbuildError]:
    """Return an error for each path of [report] at which a page goes."""
    pages = {os.path.join(config.root, task.page): task for task in tasks}  # noqa: PTH118
    places = {
        key: os.path.normpath(os.path.join(config.root, path))  # noqa: PTH118
        for key, path in config.report.wanted.items()
    }
    return [
        ConfigError(
            f"'{key}' '{config.report.wanted[key]}' is where the page of '{pages[place].name}' "
            "goes",
            facts=[("declared in", "jcache.toml, [report]")],
            hint="write the report to another file",
        )
        for key, place in places.items()
        if place in pages
    ]
