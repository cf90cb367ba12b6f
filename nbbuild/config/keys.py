"""Every table and key that jcache.toml may hold, and how its value is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from nbbuild.config import paths, remotes, values
from nbbuild.model import Settings

_REPORTS: Final = {"junit": ".xml", "html": ".html", "markdown": ".md", "trace": ".json"}

_REMOTE: Final[Mapping[str, values.Reader[Any]]] = {
    "remote": remotes.url,
    "mode": values.choice("auto", "read", "readwrite"),
    "heads": values.listed(remotes.head),
    "public_keys": remotes.public_keys,
    "unsigned": values.boolean,
    "push_wait": values.duration,
}

SETTINGS: Final = tuple(setting.name for setting in fields(Settings))

Keys = Mapping[str, Mapping[str, values.Reader[Any]]]


def readers(root: Path) -> Keys:
    """Return table → key → how its value is read; this is all that jcache.toml may hold."""
    strings = values.listed(values.filled)
    patterns = values.listed(paths.pattern(root))
    return {
        "project": {
            "notebooks": patterns,
            "exclude": patterns,
            "output": paths.inside(root),
            "readers": paths.readers(root),
            "scratch": values.listed(paths.scratch(root)),
            "python_path": values.listed(paths.path(root)),
            "render": values.listed(values.choice("html")),
        },
        "execution": {
            "executor": values.filled,
            "jobs": values.jobs,
            "kernel_aliases": values.aliases,
            "keep_going": values.boolean,
            "max_memory": values.memory,
            "resources": values.resources,
            **_settings(),
        },
        "environment": {
            "packages": strings,
            "env": values.listed(paths.variable),
            "files": patterns,
            "commands": strings,
            "python": values.choice("minor", "patch"),
        },
        "cache": {"path": paths.store(root), "max_size": values.size, **_REMOTE},
        "report": {key: paths.written(root, suffix) for key, suffix in _REPORTS.items()},
        "export": {
            "jupyter_cache": paths.handed_over(root),
            "doctrees": values.listed(paths.path(root)),
            "mystmd": values.boolean,
        },
        "verify": {"ignore": values.listed(values.expression)},
        "notebook": _notebook(root),
    }


def _notebook(root: Path) -> dict[str, values.Reader[Any]]:
    """Return those of [[notebook]]."""
    strings = values.listed(values.filled)
    patterns = values.listed(paths.pattern(root))
    return {
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
        "resources": values.resources,
        "max_age": values.duration,
        "cache": values.boolean,
        "push": values.boolean,
        **_settings(),
    }


def _settings() -> dict[str, values.Reader[Any]]:
    """Return those that [execution] and [[notebook]] both may hold."""
    return {
        "kernel": values.string,
        "timeout": values.seconds,
        "notebook_timeout": values.seconds,
        "allow_errors": values.boolean,
        "retries": values.count,
        "sandbox": values.boolean,
        "cwd": values.choice("notebook", "project"),
        "trace": values.trace,
        "warm": values.warm,
        "cores": values.count,
    }
