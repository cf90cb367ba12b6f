"""Names of distributions; versions and places of those that are installed beside nbbuild.

importlib.metadata takes 20 ms to load and reads a whole METADATA for it: here the name of the
folder is enough.
"""

from __future__ import annotations

import functools
import os
import re
import sys

_END = ".dist-info"


@functools.cache
def found(distribution: str) -> tuple[str, str] | None:
    """Return version and folder (of sys.path) of the first `distribution`; None without one."""
    wanted = normalised(distribution)
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")  # noqa: PTH208, names are what is needed
        except OSError:
            continue
        for name in names:
            if name.endswith(_END):
                stem, _, version = name.removesuffix(_END).rpartition("-")
                if version and normalised(stem) == wanted:
                    return version, entry
    from importlib import metadata

    try:
        one = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    return one.version, str(one.locate_file(""))


def version(distribution: str) -> str:
    """Return the version of the first `distribution` on sys.path; "none" without one."""
    place = found(distribution)
    return "none" if place is None else place[0]


@functools.lru_cache(maxsize=4096)  # asked for each distribution, of each run
def normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
