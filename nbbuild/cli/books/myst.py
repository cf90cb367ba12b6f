"""mystmd and Jupyter Book 2: `myst.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbbuild.cli.books.book import Book
from nbbuild.cli.books.content import load, name, table, texts, unbraced
from nbbuild.cli.books.jupyter_book import entries


def has_toc(path: Path) -> bool:
    """Tell whether a `myst.yml` has a table of contents. Raises ConfigError."""
    return "toc" in table(load(path, typed=False), "project")


def _skips(project: Mapping[str, Any]) -> bool:
    return table(project, "execute").get("skip") == "true"


def read(path: Path) -> Book:
    """Return what a `myst.yml` says. Raises ConfigError."""
    project = table(load(path, typed=False), "project")
    depends = table(project, "execute").get("depends_on_env")
    return Book(
        named_in=path,
        entries=tuple(entries(project["toc"])) if "toc" in project else None,
        exclude=tuple(
            one for pattern in texts(project.get("exclude")) for one in unbraced(pattern)
        ),
        settings_in=path.name,
        off=f"{path.name} has execute: skip" if _skips(project) else "",
        env=tuple(text for text in texts(depends) if name(text) and "=" not in text),
    )
