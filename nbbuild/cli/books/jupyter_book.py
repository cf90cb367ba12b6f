"""Jupyter Book 1: `_toc.yml`, and the `_config.yml` or Sphinx `conf.py` beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbbuild.cli.books import sphinx
from nbbuild.cli.books.book import Book, ContentsLine
from nbbuild.cli.books.content import load, table, unbraced

_NESTED = ("parts", "chapters", "sections", "subtrees", "entries", "items", "children")
"""Keys under which a table of contents goes on, of all its formats."""

_SETTINGS = {
    "execute_notebooks": "nb_execution_mode",
    "exclude_patterns": "nb_execution_excludepatterns",
    "timeout": "nb_execution_timeout",
    "allow_errors": "nb_execution_allow_errors",
}
"""What Jupyter Book calls the settings of MyST-NB, in its table `execute`."""


def read(path: Path) -> Book:
    """Return what the book with the table of contents `path` says. Raises ConfigError."""
    book = Book(named_in=path, entries=tuple(entries(load(path, typed=False))))
    config, conf = path.with_name("_config.yml"), path.with_name("conf.py")
    if config.is_file():
        return sphinx.with_settings(book, _settings(load(config)), config.name, names=_NAMES)
    # Sphinx with the extension sphinx-external-toc has no _config.yml.
    return sphinx.with_conf(book, conf) if conf.is_file() else book


_NAMES: Mapping[str, str] = {theirs: ours for ours, theirs in _SETTINGS.items()}


def _settings(config: object) -> Mapping[str, Any]:
    """Return a `_config.yml` as Sphinx's settings; those under `sphinx: config` win."""
    execute = table(config, "execute")
    settings = {theirs: execute[ours] for ours, theirs in _SETTINGS.items() if ours in execute}
    if isinstance(config, Mapping) and "exclude_patterns" in config:
        settings["exclude_patterns"] = config["exclude_patterns"]
    return {**settings, **table(config, "sphinx", "config")}


def entries(node: object) -> Iterator[ContentsLine]:
    """Walk a table of contents of any format, in its order."""
    if isinstance(node, list):
        for item in node:
            yield from entries(item)
    elif isinstance(node, Mapping):
        for key in ("root", "file"):
            if isinstance(node.get(key), str):
                yield ContentsLine(node[key])
        for key in ("glob", "pattern"):
            if isinstance(node.get(key), str):
                yield from (ContentsLine(text, is_glob=True) for text in unbraced(node[key]))
        for key in _NESTED:
            yield from entries(node.get(key))
