"""What everything that works on the tree shares: the root, the ledgers, and how files look."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from nbbuild.disk.digests import Digests
from nbbuild.disk.durable import drop_gitignore, ignore_by_git
from nbbuild.store import Store
from nbbuild.tree.confined import Confined
from nbbuild.tree.ledger import FileStamp, Ledgers
from nbbuild.tree.replaced import Replaced

Match: TypeAlias = Callable[[Sequence[str]], list[str]]
"""Patterns → the root-relative paths of the files that match now, links to files included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One project's tree, and what is needed to change it."""

    root: Path  # without links
    store: Store
    digests: Digests
    match: Match
    confined: Confined
    ledgers: Ledgers
    replaced: Replaced
    output: str = ""  # the folder of the built notebooks, root-relative

    def exists(self, path: str) -> bool:
        """Whether anything is at `path`, even a broken link."""
        return os.path.lexists(self.root / path)

    def stamp(self, path: str) -> FileStamp | None:
        """Return how the file at `path` looks; None if nothing is there."""
        place = self.root / path
        try:
            link = place.lstat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISLNK(link.st_mode):
            return FileStamp(path, link.st_size, link.st_ctime_ns, link.st_ino)
        try:
            file = place.stat()
        except OSError:
            file = link
        return FileStamp(path, file.st_size, file.st_ctime_ns, file.st_ino, link.st_ctime_ns)

    def expendable(self, place: Path) -> bool:
        """Whether the store has the bytes of the file at `place`, so that it can be deleted."""
        digest = self.digests.fresh(place)
        return digest is not None and self.store.has(digest)

    def set_aside(self, path: str, *, half: bool = False) -> tuple[str, ...]:
        """Move the file at `path` to `replaced` if the store lacks its bytes; return notes on it.

        `half` says that an unfinished run left it. Folders and devices stay. Raises Refused,
        StoreError.
        """
        place = self.confined.place(path)
        if not _is_file_or_link(place) or self.expendable(place):
            return ()
        note = self.replaced.keep(place, path, half=half)
        self.digests.forget(place)
        return (note,)

    def put_away(self, path: str, *, half: bool = False) -> tuple[str, ...]:
        """Like `set_aside`, but delete the file if it was not moved. Also raises OSError."""
        place = self.confined.place(path)
        notes = self.set_aside(path, half=half)
        if _is_file_or_link(place):
            place.unlink()
            self.digests.forget(place)
        return notes

    def missing_folders(self, paths: Iterable[str]) -> set[str]:
        """Return the folders that would have to be made for files at `paths`."""
        above = {folder for path in paths for folder in folders_above(path)}
        return {folder for folder in above if not self.exists(folder)}

    def make_folder(self, folder: Path) -> None:
        """Make a folder for a built notebook; git ignores the output folder once it is made.

        Raises OSError.
        """
        output = self.root / self.output
        new = bool(self.output) and folder.is_relative_to(output) and not output.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if new:
            ignore_by_git(output)

    def holds_files(self, folder: str) -> bool:
        """Whether `folder` directly contains anything but folders."""
        try:
            with os.scandir(self.root / folder) as found:
                return any(not entry.is_dir(follow_symlinks=False) for entry in found)
        except (OSError, ValueError):
            return False

    def drop_folders(self, folders: Iterable[str], *, ignored: bool = False) -> None:
        """Remove those `folders` that are empty; `ignored`: except for a `.gitignore` of ours."""
        for folder in sorted(folders, key=len, reverse=True):
            if self.confined.allows(folder):
                try:
                    if ignored:
                        drop_gitignore(self.root / folder)
                    (self.root / folder).rmdir()
                except OSError:
                    continue  # not empty, not there, or no longer a folder


def folders_above(path: str) -> list[str]:
    """Return the folders that `path` is in, the nearest first, without the root."""
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(len(names) - 1, 0, -1)]


def _is_file_or_link(place: Path) -> bool:
    try:
        mode = place.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
