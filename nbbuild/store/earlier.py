"""Find folders of other formats, and remove those of earlier ones.

This version cannot use them, but an older nbbuild that shares the store still can. So they stay
until somebody asks to remove them, and longer while a build of such a version is running: like
ours, it holds a lease in its folder (gc.py). Folders of later formats, links, and folders with
another VERSION are never touched.

A folder is renamed before its files are removed, so an older nbbuild finds all of it or nothing.
VERSION is removed last, so that what a crash leaves behind can still be recognised as ours.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from nbbuild.disk.durable import writing
from nbbuild.disk.locks import is_held, lock
from nbbuild.store.layout import FORMAT, Layout, version
from nbbuild.store.uses import at_work

_FOLDER = re.compile(r"v([1-9][0-9]{0,8})")
_GOING = re.compile(r"v([1-9][0-9]*)\.going-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The folder of an earlier format."""

    folder: str  # its name: "v1"
    records: int
    size: int  # bytes of all its files
    in_use: bool  # by a build of an older nbbuild


def found(layout: Layout) -> list[Earlier]:
    """Return what the store of `layout` holds of earlier formats."""
    return [_described(one) for one in _layouts(layout)]


def unsaid(layout: Layout) -> int:
    """Return how many records have an earlier format; 0 if a build has reported that before.

    The report is noted in the store; if that cannot be written, nothing is reported.
    """
    if layout.earlier.exists():
        return 0
    count = sum(_records(one) for one in _layouts(layout))
    if count:
        try:
            layout.make()
            layout.earlier.touch(exist_ok=False)
        except OSError:  # another build was faster, or the store is read-only
            return 0
    return count


def unsaid_foreign(layout: Layout) -> list[str]:
    """Return sentences on what this version cannot use, beside what earlier ones left.

    What is in the place of this version's folder is set aside, so each build that finds something
    there says so. Of later formats only one build does.
    """
    found = []
    if layout.is_foreign():
        found.append(
            f"'{layout.folder}' is not what this nbbuild has written: it is set aside, "
            "and its results are not used"
        )
    later = [path.name for path in layout.path.glob("v*") if _number(path) > layout.format]
    if later and not layout.later.exists():
        try:
            layout.make()
            layout.later.touch(exist_ok=False)
        except OSError:  # another build was faster, or the store is read-only
            return found
        names = " and ".join(f"'{name}'" for name in sorted(later))
        found.append(
            f"the cache also holds results of a newer nbbuild, in {names}, "
            "which this one cannot use; they stay"
        )
    return found


def _number(path: Path) -> int:
    """Return the number of a format's folder, 0 for anything else."""
    match = _FOLDER.fullmatch(path.name)
    return int(match[1]) if match and path.is_dir() else 0


def remove(layout: Layout) -> list[Earlier]:
    """Remove the folders of earlier formats; return what was there.

    A folder that is `in_use` stays. Raises StoreError.
    """
    told = []
    for one in list(_layouts(layout)):
        what = _described(one)
        stays = what.in_use or not _removed(one)
        told.append(Earlier(what.folder, what.records, what.size, stays))
    for path in layout.path.glob("v*.going-*"):
        match = _GOING.fullmatch(path.name)
        if match and int(match[1]) < FORMAT and not path.is_symlink():
            _take_apart(path, int(match[1]))
    return told


def _layouts(layout: Layout) -> Iterator[Layout]:
    for number in range(1, layout.format):
        one = Layout(layout.path, number)
        if not one.folder.is_symlink() and one.is_ours():
            yield one


def _described(one: Layout) -> Earlier:
    size = 0
    for folder, _, names in os.walk(one.folder):
        for name in names:
            with suppress(OSError):  # it was just removed
                size += os.lstat(f"{folder}/{name}").st_size
    return Earlier(one.folder.name, _records(one), size, bool(at_work(one)))


def _records(one: Layout) -> int:
    return sum(1 for _ in one.records.glob("??/*/*.json"))


def _removed(one: Layout) -> bool:
    """Remove a folder; if a build has begun to use it, keep it and return False."""
    aside = one.path / f"{one.folder.name}.going-{os.urandom(4).hex()}"
    with _removing(one.folder), lock(one.making), lock(one.pruning):
        if at_work(one):
            return False
        one.folder.rename(aside)
        if _is_leased(aside):  # taken since the check above, and moved with the folder
            with suppress(OSError):
                aside.rename(one.folder)
            return False
        one.making.unlink(missing_ok=True)
    _take_apart(aside, one.format)
    return True


def _take_apart(aside: Path, number: int) -> None:
    """Remove a renamed folder if it is ours; VERSION goes last."""
    mark = aside / "VERSION"
    with _removing(aside), suppress(FileNotFoundError):  # two may do this at once
        if mark.exists():
            if mark.read_bytes() != version(number) or _is_leased(aside):
                return
            for path in list(aside.iterdir()):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path != mark:
                    path.unlink()
            mark.unlink()
    with suppress(OSError):  # not empty: something in it is not ours
        aside.rmdir()


def _is_leased(folder: Path) -> bool:
    return any(is_held(path) for path in folder.glob("locks/build-*.lock"))


def _removing(folder: Path) -> AbstractContextManager[None]:
    return writing("an earlier format cannot be removed from the cache", folder)
