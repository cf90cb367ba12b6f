"""Bounds of a record, whoever made it: what no run comes to is refused.

A cache's folder may be written by others, and `.nbbuild` may come with a clone. What is refused
is a miss, like a damaged file. A glob, which looks at more than it says, has its bounds where it
is asked again (watching/asking.py). What comes from a remote has more of them (remote/intake.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nbbuild.model import LATEST, ArtefactFile, Record, TraceItem

MOST_BODY: Final = 32 << 20  # bytes of a record
MOST_CHUNK: Final = 8 << 20  # bytes of what traces have in common, in one blob
MOST_ITEMS: Final = 200_000
_MOST_FILES: Final = 100_000
_MOST_FOLDERS: Final = 10_000
_MOST_SIZE: Final = 1 << 50  # bytes of a file
_MOST_SECONDS: Final = 1e9

MOST_SEARCHED: Final = 2_000  # folders of all search paths together
_MOST_STEPS: Final = 4_000_000  # looks into folders of search paths
_LONGEST: Final = 4_096  # characters of a path
_OF_IMPORTS: Final = frozenset(("import", "missing-import", "installed"))


def excess(record: Record) -> str:
    """Return what about `record` cannot come from any run, "" if nothing does."""
    if len(record.trace.items) > MOST_ITEMS or names_too_much(record):
        return "it names more than any run uses"
    return "" if has_sane_numbers(record) else "its numbers cannot be right"


def names_too_much(record: Record) -> bool:
    """Whether a record names more files or folders than any run makes."""
    return (
        len(record.artefacts) + len(record.undeclared) > _MOST_FILES
        or len(record.folders) > _MOST_FOLDERS
    )


def has_sane_numbers(record: Record) -> bool:
    """Whether times and sizes are such as a machine can measure."""
    # As a sum: it is called for each of thousands of records. No sum with a NaN is in a range.
    return (
        0 <= record.created < LATEST
        and 0 <= record.seconds < _MOST_SECONDS
        and 0 <= sum(record.cell_seconds) < _MOST_SECONDS
        and (not record.artefacts or _have_sizes(record.artefacts))
        and (not record.undeclared or _have_sizes(record.undeclared))
    )


def _have_sizes(files: Iterable[ArtefactFile]) -> bool:
    sizes = [file.size for file in files]
    return min(sizes) >= 0 and max(sizes) <= _MOST_SIZE


def searches_too_much(items: Iterable[TraceItem], search_path: tuple[str, ...]) -> bool:
    """Whether imports look into more folders than those of any run, or into these too often."""
    modules: dict[str, int] = {}
    for item in items:
        if item.kind in _OF_IMPORTS:
            names = item.name.split()
            steps = len(names) + item.name.count(".")
            modules[item.way] = modules.get(item.way, 0) + (steps or 1)
    if not modules:
        return False
    folders: set[str] = set()
    steps = 0
    for way, count in modules.items():
        path = way.split("\0") if way else search_path
        folders.update(path)
        steps += count * len(path)
        if len(folders) > MOST_SEARCHED or steps > _MOST_STEPS:
            return True
    return any(len(folder) > _LONGEST for folder in folders)
