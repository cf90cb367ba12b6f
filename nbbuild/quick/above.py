"""Find the jcache.toml above a folder, and where in its project the folder lies."""

from __future__ import annotations

import os

NAME = "jcache.toml"


def find_above(folder: str, name: str = NAME) -> str | None:
    """Return the nearest folder above `folder` that holds the file `name`, None if none does.

    Links in the path of `folder` are followed first, as by whoever works in it.
    """
    below = os.path.realpath(folder)
    while (above := os.path.dirname(below)) != below:  # noqa: PTH120
        if os.path.isfile(os.path.join(above, name)):  # noqa: PTH113, PTH118
            return above
        below = above
    return None


def standing(folder: str, root: str) -> str:
    """Return where `folder` lies, seen from `root`: "" for the root itself, "../x" outside it."""
    path = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
    return "" if path == "." else path
