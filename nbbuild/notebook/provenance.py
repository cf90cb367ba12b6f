"""What a built notebook says about the result in it, in `metadata.nbbuild`.

Nothing here changes between equal runs, or with the machine: a notebook that is restored from a
cache has the bytes of the one that was executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nbbuild.model import Record
from nbbuild.version import __version__

KEY: Final = "nbbuild"
"""The key of a notebook's metadata."""


def of_record(record: Record) -> dict[str, Any]:
    """Return what a built notebook says about the result that `record` holds."""
    said: dict[str, Any] = {
        "key": record.key.digest,
        "result": record.cells,
        "packages": packages(record),
    }
    if record.nbbuild:
        said["version"] = record.nbbuild
    if record.accepted:
        said["accepted"] = True
    return said


def of_no_record() -> dict[str, Any]:
    """Return what a built notebook says about a result that was not put into the cache."""
    return {"cached": False, "version": __version__}


def parameters(said: Any) -> dict[str, Any]:
    """Return the part of `metadata.nbbuild` that injecting parameters has left; see parameters."""
    held = said.get("parameters") if isinstance(said, Mapping) else None
    return {} if held is None else {"parameters": held}


def packages(record: Record) -> dict[str, str]:
    """Return the distributions that counted for a run, declared or imported, with their versions.

    The version of one that was installed from a folder or a file goes with a digest.
    """
    declared = (one.items for one in record.key.fingerprints if one.kind == "packages")
    found = {name: version for items in declared for name, version in items}
    for item in record.trace.items:
        if item.kind == "distribution":
            found[item.name] = item.value
    return dict(sorted(found.items()))
