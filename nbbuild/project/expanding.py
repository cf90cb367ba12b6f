"""Turn a notebook and the [[notebook]] entries that match it into tasks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from nbbuild.config.paths import check_artefact
from nbbuild.config.placeholders import expand
from nbbuild.config.types import Config, NotebookEntry
from nbbuild.errors import ConfigError, NbbuildError
from nbbuild.model import Settings, Task
from nbbuild.paths.pattern_indexes import PatternIndex
from nbbuild.paths.patterns import Pattern
from nbbuild.project.selecting import places_by_word

_LISTS = (
    "assets",
    "modules",
    "packages",
    "env",
    "artefacts",
    "scratch",
    "depends_on",
    "groups",
)


class EntryIndex:
    """The [[notebook]] entries, to find those that match."""

    def __init__(self, entries: Sequence[NotebookEntry]) -> None:
        self._entries = entries
        self._by_pattern = places_by_word([Pattern.parse(entry.path)] for entry in entries)
        self._index = PatternIndex(self._by_pattern)

    def matching(self, paths: Iterable[str]) -> list[NotebookEntry]:
        """Return the entries that match any of `paths`, in order."""
        places = {
            place
            for path in paths
            for pattern in self._index.matching(path)
            for place in self._by_pattern[pattern]
        }
        return [self._entries[place] for place in sorted(places)]


def tasks_of(
    source: str,
    paired: tuple[str, ...],
    config: Config,
    declared: EntryIndex,
    used: set[str],
    errors: list[NbbuildError],
) -> list[Task]:
    """Return the tasks of one notebook: the plain one, or those of its `name`s and `matrix`es."""
    entries = declared.matching((source, *paired))
    used.update(entry.where for entry in entries)
    own = [entry for entry in entries if entry.name or entry.matrix]
    general = [entry for entry in entries if not (entry.name or entry.matrix)]
    stem = PurePosixPath(source).stem
    tasks: list[Task] = []
    choices: list[NotebookEntry | None] = [*own] or [None]
    for entry in choices:
        merged = _Merged(config)
        for one in [*general, *([entry] if entry else [])]:
            merged.add(one)
        for chosen in _combinations(entry.matrix if entry else {}):
            name = _name(entry.name if entry else "", stem, chosen) if entry else ""
            try:
                tasks.append(merged.task(source, paired, name, chosen))
            except ConfigError as error:
                errors.append(error)
    return tasks


def _combinations(matrix: Mapping[str, Sequence[Any]]) -> Iterable[dict[str, Any]]:
    for values in itertools.product(*matrix.values()):
        yield dict(zip(matrix, values, strict=True))


def _name(declared: str, stem: str, chosen: Mapping[str, Any]) -> str:
    """Return `<name or stem>-<key>-<value>…`, safe in file names and make rules."""
    parts = [declared or stem, *(f"{key}-{value}" for key, value in chosen.items())]
    return re.sub(r"[^\w.+,-]+", "_", "-".join(parts))


class _Merged:
    """The combined entries that match one notebook: lists add up, and later scalars win."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lists: dict[str, tuple[str, ...]] = dict.fromkeys(_LISTS, ())
        self._lists["packages"] = config.environment.packages
        self._lists["env"] = config.environment.env
        self._lists["scratch"] = config.project.scratch
        self._parameters: dict[str, Any] = {}
        self._resources: dict[str, int] = {}
        self._settings = Settings()
        self._max_age: float | None = None
        self._cache = True
        self._push = True
        self._where = "jcache.toml, [project] notebooks"

    def add(self, entry: NotebookEntry) -> None:
        for name in _LISTS:
            self._lists[name] += tuple(getattr(entry, name))
        self._parameters.update(entry.parameters)
        self._resources.update(entry.resources)
        self._settings = entry.settings.over(self._settings)
        if entry.max_age is not None:
            self._max_age = entry.max_age
        if entry.cache is not None:
            self._cache = entry.cache
        if entry.push is not None:
            self._push = entry.push
        self._where = f"jcache.toml, {entry.where}"

    def task(
        self, source: str, paired: tuple[str, ...], name: str, chosen: Mapping[str, Any]
    ) -> Task:
        parameters = {**self._parameters, **chosen}
        path = PurePosixPath(source)
        values = {"stem": path.stem, **{key: str(value) for key, value in parameters.items()}}
        lists = {key: tuple(dict.fromkeys(values_)) for key, values_ in self._lists.items()}
        for key in ("assets", "artefacts", "scratch"):
            lists[key] = tuple(
                Pattern.parse(expand(text, values, self._where)).text for text in lists[key]
            )
        for text in lists["artefacts"]:
            check_artefact(text, facts=[("in", self._where)])
        for text in lists["scratch"]:
            check_artefact(text, what="scratch", facts=[("in", self._where)])
        built = path.with_name(f"{name}.ipynb") if name else path.with_suffix(".ipynb")
        return Task(
            name=name or source,
            source=source,
            built=str(PurePosixPath(self._config.project.output) / built),
            paired=paired,
            files=self._config.environment.files,
            commands=self._config.environment.commands,
            parameters=parameters,
            resources=dict(self._resources),
            max_age=self._max_age,
            cache=self._cache,
            push=self._push,
            python_path=self._config.project.python_path,
            settings=self._settings,
            declared_in=self._where,
            **lists,
        )
