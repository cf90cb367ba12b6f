"""nbdev: `settings.ini`, or `[tool.nbdev]` in `pyproject.toml`."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbbuild.cli.books.book import Book, ContentsLine, Never
from nbbuild.cli.books.content import table, texts, unreadable
from nbbuild.paths.patterns import escape

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_UNSEEN = ("**/_*", "**/_*/**")
"""What nbdev takes for no notebook of the project."""


def concerns_notebooks(path: Path) -> bool:
    """Tell whether the file is one of a project that nbdev knows. Raises ConfigError."""
    settings = _settings(path)
    return "nbs_path" in settings or (path.name == "pyproject.toml" and bool(settings))


def read(path: Path) -> Book:
    """Return what the settings at `path` say. Raises ConfigError."""
    settings = _settings(path)
    folder = str(settings.get("nbs_path", "nbs")).strip("/") or "."
    deep = str(settings.get("recursive", True)).lower() not in ("false", "0", "no")
    globs = texts(settings.get("skip_file_glob"))
    return Book(
        named_in=path,
        pages_in="" if folder == "." else folder,
        entries=(ContentsLine("**/*.ipynb" if deep else "*.ipynb", is_glob=True),),
        exclude=tuple(f"**/{text}" for text in globs if text),
        unseen=_UNSEEN,
        made=("_proc", *texts(settings.get("doc_path"))),
        never=() if folder.startswith("..") else tuple(_never(path.parent / folder)),
        settings_in=path.name,
    )


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".toml":
            return table(tomllib.loads(path.read_text(encoding="utf-8")), "tool", "nbdev")
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (configparser.Error, ValueError, OSError) as error:
        raise unreadable(path, error, "TOML" if path.suffix == ".toml" else "INI") from error
    return parser.defaults()


def _never(folder: Path) -> Iterator[Never]:
    """Yield the folders that nbdev's tests leave out."""
    for path in sorted(folder.glob("**/.notest")):
        inside = path.parent.relative_to(folder).as_posix()
        place = f"{folder.name}/{inside}" if inside != "." else folder.name
        yield Never(f"**/{escape(place)}/**", f".notest in {place}")
