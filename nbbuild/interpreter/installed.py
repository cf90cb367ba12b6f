"""Names of distributions; versions and places of those installed in nbbuild's own environment.

importlib.metadata takes 20 ms to load and reads a whole METADATA file. Here the name of the folder
is enough.
"""

from __future__ import annotations

import functools
import os
import re
import sys

_END = ".dist-info"
_METADATA = (_END, ".egg-info", ".egg")


@functools.cache
def found(distribution: str) -> tuple[str, str] | None:
    """Return version and folder (of sys.path) of the first `distribution`; None if not there."""
    wanted = normalised(distribution)
    for entry in map(os.fsdecode, sys.path):
        place = entry or os.getcwd()  # noqa: PTH109
        try:
            names = os.listdir(place)  # noqa: PTH208, names are what is needed
        except OSError:
            continue
        known = [name for name in names if name.endswith(_METADATA) and _stem(name) == wanted]
        if not known:
            continue
        version = known[0].removesuffix(_END).partition("-")[2]
        whole = os.path.isfile(f"{place}/{known[0]}/METADATA")  # noqa: PTH113
        if len(known) == 1 and known[0].endswith(_END) and version and whole:
            return version, place
        break  # not the usual case
    from importlib import metadata

    try:
        one = metadata.distribution(distribution)
        return (one.version, str(one.locate_file(""))) if one.version else None
    except (metadata.PackageNotFoundError, OSError):  # or its folder has no metadata
        return None


def _stem(name: str) -> str:
    """Return the name of the distribution that a folder of metadata belongs to."""
    return normalised(name.rpartition(".")[0].partition("-")[0])


def version(distribution: str) -> str:
    """Return the version of the first `distribution` on sys.path; "none" if there is none."""
    place = found(distribution)
    return "none" if place is None else place[0]


@functools.lru_cache(maxsize=4096)  # asked for each distribution, of each run
def normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
