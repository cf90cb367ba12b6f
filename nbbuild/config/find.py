"""Where jcache.toml is."""

from __future__ import annotations

import os.path
import shlex
from pathlib import Path

from nbbuild.errors import ConfigError
from nbbuild.quick.above import NAME, find_above


def find(start: Path, file: Path | str | None = None) -> Path:
    """Return the path of the jcache.toml in `start` or in the nearest folder above it.

    A `file` that was named is looked for in `start` only. Raises ConfigError when there is none.
    """
    name = str(file or NAME)
    path = start / name
    if path.is_file():
        return path
    shown = os.path.abspath(start)  # noqa: PTH100 - not through links: what the user sees
    if not start.is_dir():
        raise ConfigError(f"there is no folder '{shown}'")
    if path.exists():
        raise ConfigError(f"there is no '{name}' in '{shown}'", hint="it has to be a file")
    above = None if Path(name).is_absolute() else find_above(str(start), name)
    found = Path(above, name) if above else None
    if found is not None and file is None:
        return found
    what, hint = f"there is no '{name}' in '{shown}'", "`nbbuild init` writes one"
    if file is None:
        what += " or in a folder above it"
    elif found is not None:
        use = os.path.relpath(found, os.path.realpath(start))
        hint = f"there is one in '{above}': use `-f {shlex.quote(use)}`"
    raise ConfigError(what, hint=hint)
