"""Whether what a run turned out to use is still as it was then."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from nbbuild.model import Digest, Trace, TraceItem

NOT_LISTED = frozenset({".nbbuild", "__pycache__", ".ipynb_checkpoints"})
"""Names that come and go without meaning anything; no listing counts them."""


def broken(
    trace: Trace, *, root: Path, digest: Callable[[Path], Digest | None]
) -> TraceItem | None:
    """Return the first item of `trace` that does not hold now, None when all hold.

    An item of a kind that this version does not know does not hold: the record was written by a
    later one, which can tell.
    """
    for item in trace.items:
        path = root / item.name
        match item.kind:
            case "file":
                holds = digest(path) == item.value
            case "absent":
                holds = not os.path.lexists(path)
            case "folder":
                holds = path.is_dir()
            case "listing":
                holds = listing(path) == item.value
            case _:
                holds = False
        if not holds:
            return item
    return None


def listing(folder: Path) -> Digest | None:
    """Return a digest of the names in `folder`, None when it cannot be listed."""
    try:
        names = sorted(name for name in os.listdir(folder) if name not in NOT_LISTED)  # noqa: PTH208
    except OSError:
        return None
    return blake3("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
