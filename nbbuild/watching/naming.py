"""Name paths so that the names mean the same in another clone."""

from __future__ import annotations

import os


def name_of(path: str, root: str) -> str:
    """Return the name of `path` (absolute) for a project at `root`.

    It is relative to the root if the two have a folder in common, and absolute otherwise: what is
    in a place of its own, such as `/data`, is there however deep the project lies.
    """
    name = os.path.relpath(path, root)
    if not is_outside(name):
        return name
    return name if path.split("/", 2)[1:2] == root.split("/", 2)[1:2] else path


def is_outside(name: str) -> bool:
    """Whether a name is that of a path outside the root."""
    return name.startswith(("../", "/"))
