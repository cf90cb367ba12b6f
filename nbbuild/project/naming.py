"""What the targets of a project are called, found out without reading a notebook.

This is for a shell that completes a word. It is quick, and takes no notice of what a notebook
says: the files of a Jupytext pair are all named. A text file is a notebook if an earlier build
found that it is one; otherwise its beginning is looked at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nbbuild.config import load as configuration
from nbbuild.config.find import find
from nbbuild.config.here import Here
from nbbuild.config.types import Config
from nbbuild.disk.digests import Digests
from nbbuild.disk.project_folder import DOT
from nbbuild.disk.state import State
from nbbuild.errors import NbbuildError
from nbbuild.model import Parsed
from nbbuild.notebook.readers import Readers
from nbbuild.paths.patterns import Pattern
from nbbuild.paths.walk import Walker
from nbbuild.project.expanding import EntryIndex, tasks_of
from nbbuild.project.listing import listed
from nbbuild.project.readings import Readings


@dataclass(frozen=True, slots=True)
class Names:
    """What may be typed as a target."""

    here: Here
    paths: tuple[str, ...]  # of notebooks and artefacts, seen from the root
    names: tuple[str, ...]  # of tasks and groups: the same in every folder


def names_at(directory: Path, file: Path | None = None) -> Names:
    """Return the names in the project that `directory` lies in; writes nothing.

    `file` is as for `open_session`. What cannot be right in jcache.toml is left out where the rest
    can be read, and raises `ConfigError` or `Problems` otherwise.
    """
    config = configuration.load(find(directory, file))
    config = configuration.with_environment(config, dict(os.environ))
    errors: list[NbbuildError] = []
    entries, used = EntryIndex(config.notebooks), set[str]()
    tasks = [
        task
        for source in _sources(config, errors)
        for task in tasks_of(source, (), config, entries, used, errors)
    ]
    artefacts = [text for task in tasks for text in task.artefacts if Pattern.parse(text).literal]
    return Names(
        here=Here.at(directory, config.root),
        paths=tuple(dict.fromkeys([*(task.source for task in tasks), *artefacts])),
        names=tuple(
            dict.fromkeys(
                [
                    *(task.name for task in tasks if task.name != task.source),
                    *(group for task in tasks for group in task.groups),
                ]
            )
        ),
    )


def _sources(config: Config, errors: list[NbbuildError]) -> list[str]:
    """Return the paths of the notebooks, seen from the root."""
    state = State(config.root / DOT)
    try:
        readings = Readings(
            config.root,
            digests=Digests(state),
            recall=state.recall,
            remember=_remember_nothing,
            parse=_read_nothing,
            readers=Readers(config.project.readers),
        )
        walker = Walker(config.root, closed=config.closed_inside)
        return list(
            listed(
                config,
                walker=walker,
                readers=readings.readers,
                is_notebook=readings.is_notebook,
                built=frozenset,
                errors=errors,
            )
        )
    finally:
        state.close()


def _remember_nothing(kind: str, key: str, value: bytes) -> None:
    """Leave the state as it is."""


def _read_nothing(source: str) -> Parsed:
    raise AssertionError(f"'{source}' is read")
