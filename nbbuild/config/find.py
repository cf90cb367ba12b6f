"""Where jcache.toml is."""

from __future__ import annotations

import os.path
import shlex
from pathlib import Path

from nbbuild.errors import ConfigError


def find(start: Path, name: str = "jcache.toml") -> Path:
    """Return the path of `name` in the folder `start`; ConfigError when it is not there.

    As with make, folders above are not built by accident: they are looked at for the hint only.
    """
    path = start / name
    if path.is_file():
        return path
    start = Path(os.path.abspath(start))  # noqa: PTH100 - not through links: what the user sees
    above = find_above(start, name)
    if above is None or Path(name).is_absolute():
        hint = "`nbbuild init` writes one" if not path.exists() else "it has to be a file"
    else:
        hint = f"there is one in '{above}': use `nbbuild -C {shlex.quote(os.path.relpath(above))}`"
    raise ConfigError(f"there is no '{name}' in '{start}'", hint=hint)


def find_above(start: Path, name: str = "jcache.toml") -> Path | None:
    """Return the nearest folder above `start`, an absolute path, that holds the file `name`."""
    return next((folder for folder in start.parents if (folder / name).is_file()), None)
