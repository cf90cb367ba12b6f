"""MkDocs with mkdocs-jupyter: `mkdocs.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbbuild.cli.books.book import Book, ContentsLine, Never
from nbbuild.cli.books.content import anywhere, boolean, load, name, table, texts

_PLUGIN = "mkdocs-jupyter"


def concerns_notebooks(path: Path) -> bool:
    """Tell whether this `mkdocs.yml` has the plugin for notebooks. Raises ConfigError."""
    return _plugin(load(path)) is not None


def read(path: Path) -> Book:
    """Return what a `mkdocs.yml` says. Raises ConfigError."""
    content = load(path)
    settings = _plugin(content) or {}
    folder = _text(content, "docs_dir", "docs")
    site = _text(content, "site_dir", "site")
    ignored = [anywhere(text) for text in texts(settings.get("ignore"))]
    executed = [anywhere(text) for text in texts(settings.get("execute_ignore"))]
    why = f"execute_ignore of {path.name}"
    return Book(
        named_in=path,
        pages_in="" if folder == "." else folder,
        entries=(ContentsLine("**/*", is_glob=True),),
        exclude=tuple(filter(None, ignored)),
        made=(site,) if site != "." else (),
        never=tuple(Never(text, why) for text in executed if text),
        settings_in=path.name,
        kernel=name(settings.get("kernel_name")),
        allow_errors=boolean(settings.get("allow_errors")),
    )


def _text(content: object, key: str, default: str) -> str:
    value = table(content).get(key)
    return value.removeprefix("./").strip("/") or "." if isinstance(value, str) else default


def _plugin(content: object) -> Mapping[str, Any] | None:
    """Return the settings of the plugin, None when it is not there."""
    plugins = table(content).get("plugins")
    if isinstance(plugins, Mapping):
        plugins = [{name: settings} for name, settings in plugins.items()]
    for plugin in plugins if isinstance(plugins, list) else []:
        if plugin == _PLUGIN:
            return {}
        if isinstance(plugin, Mapping) and _PLUGIN in plugin:
            return table(plugin, _PLUGIN)
    return None
