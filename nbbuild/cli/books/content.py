"""Read the files of a book, and pick out values of the right type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard, cast

from nbbuild.errors import ConfigError
from nbbuild.text import bounded_yaml

_LIFETIME = 10**10
"""Seconds, more than three hundred years: TOML and jcache.toml cannot hold any number."""


class _Tolerant(bounded_yaml.BoundedLoader):
    """Takes a value with a tag that it does not know, such as mkdocs' `!!python/name`, as none."""


_Tolerant.add_constructor(None, lambda loader, node: None)


def load(path: Path, *, typed: bool = True) -> object:
    """Return the content of a YAML file; if not `typed`, all as texts: `file: 01` is not a number.

    Raises ConfigError.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        loader = _Tolerant if typed else bounded_yaml.BoundedTexts
        return bounded_yaml.load(text, loader)
    except (ValueError, OSError) as error:
        raise unreadable(path, error, "YAML") from error


def unreadable(path: Path, error: Exception, kind: str) -> ConfigError:
    """Return the error for a file that is not what it should be."""
    return ConfigError(
        f"'{path}' cannot be read",
        facts=[("reason", " ".join(str(error).split()))],
        hint=f"it should be {kind}; --toc FILE names another table of contents",
    )


def table(content: object, *keys: str) -> Mapping[str, Any]:
    """Return the table under `keys`, an empty one when there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else {}


def texts(value: object) -> list[str]:
    """Return the texts of a list, or the one text that stands in place of a list."""
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def name(value: object) -> str:
    """Return a name that jcache.toml can hold, "" for everything else."""
    return value if isinstance(value, str) and value.strip() and value.isprintable() else ""


def boolean(value: object) -> bool | None:
    """Return a boolean, None for everything else."""
    return value if isinstance(value, bool) else None


def seconds(value: object) -> float | None:
    """Return a timeout as nbbuild has it: the tools' -1 is "no limit", as is a lifetime."""
    if not _is_number(value):
        return None
    return value if 0 <= value < _LIFETIME else 0


def _is_number(value: object) -> TypeGuard[int | float]:
    return type(value) in (int, float) and math.isfinite(cast("float", value))


def anywhere(pattern: str) -> str:
    """Return a pattern that is matched from the right as one from the root.

    MyST-NB and mkdocs-jupyter ask `PurePath.match`, for which `**` is a `*`. "" for one that means
    nothing.
    """
    parts = ["*" if part == "**" else part for part in PurePosixPath(pattern).parts]
    parts = [part for part in parts if part != "/"]
    return "/".join(["**", *parts]) if parts else ""


def unbraced(pattern: str) -> list[str]:
    """Return the patterns that `a.{b,c}` stands for: nbbuild's own have no braces."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    return [
        one
        for choice in found[1].split(",")
        for one in unbraced(pattern[: found.start()] + choice + pattern[found.end() :])
    ]
