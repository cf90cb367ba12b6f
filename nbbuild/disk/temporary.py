"""nbbuild's temporary folders, which a later process can recognise and remove.

    <temporary>/nbb-<random>/       all folders of one process; removed with the last of them
      owner                         "nbbuild", locked (flock) for as long as that process lives
      <number>/                     a folder that was asked for

A build that is killed removes nothing. Its lock disappears with it, however it ends, so a process
that gets the lock may remove the rest. A process id would not do: ids are used again, and mean
other processes in other containers.

The names are short, because paths of Unix sockets have to be.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nbbuild.disk import flock
from nbbuild.disk.flags import ONLY_HERE

PREFIX = "nbb-"
LONGEST_NAME = len("/nbb-12345678/12345")
"""The most characters by which a folder's path is longer than its parent's."""

FALLBACK = "/tmp"
"""Where sockets go if the path of the temporary folder is too long for them."""

_OWNER = "owner"
_WORD = b"nbbuild\n"
_UNMARKED = 3600.0  # seconds after which an empty folder without an owner counts as left behind


class _Home:
    """This process's folder in one temporary folder, while anything is in it."""

    def __init__(self, parent: str) -> None:
        self.process = os.getpid()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self.inside = 0
        self.count = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | ONLY_HERE
        self._lock = os.open(self.folder / _OWNER, flags, 0o600)
        flock.take(self._lock)
        os.write(self._lock, _WORD)  # last: any process that reads it finds the lock held

    def make(self) -> Path:
        self.count += 1
        made = self.folder / str(self.count)
        made.mkdir(mode=0o700)
        self.inside += 1
        return made

    def remove(self) -> None:
        _remove(self.folder)
        os.close(self._lock)


_homes: dict[str, _Home] = {}
_turn = threading.Lock()
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_homes.clear)  # they belong to the parent


@contextmanager
def folder(parent: str | None = None) -> Iterator[Path]:
    """Yield a new folder that only this user can enter; it is removed in the end with its content.

    It is in `parent`, by default the temporary folder. Raises OSError.
    """
    place = tempfile.gettempdir() if parent is None else parent
    with _turn:
        home = _homes.get(place)
        if home is None or not home.folder.is_dir():  # somebody removed it under us
            home = _homes[place] = _Home(place)
        made = home.make()
    try:
        yield made
    finally:
        _remove(made)
        with _turn:
            home.inside -= 1
            if not home.inside and home.process == os.getpid():
                if _homes.get(place) is home:
                    del _homes[place]
                home.remove()


def sweep() -> int:
    """Remove what ended processes have left behind; return how many folders.

    Only what this user's nbbuild has made is removed.
    """
    removed = 0
    for parent in {tempfile.gettempdir(), FALLBACK}:
        with suppress(OSError), os.scandir(parent) as found:
            for entry in found:
                if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                    with suppress(OSError):
                        removed += _swept(Path(entry.path))
    return removed


def _swept(place: Path) -> bool:
    """Remove one folder if it was left behind; return whether it was."""
    if sys.platform != "win32" and place.lstat().st_uid != os.geteuid():
        return False
    # Without a mark, its owner was killed between two lines, or is about to write the next.
    is_old = time.time() - place.lstat().st_mtime > _UNMARKED
    flags = os.O_RDWR | ONLY_HERE
    try:
        owner = os.open(place / _OWNER, flags)
    except FileNotFoundError:
        if is_old:
            place.rmdir()  # raises OSError if anything is in it
        return is_old
    try:
        said = os.read(owner, 64) if stat.S_ISREG(os.fstat(owner).st_mode) else None
        if said != _WORD and not (said == b"" and is_old):
            return False
        flock.take(owner)  # BlockingIOError: its owner is alive
        _remove(place)
    finally:
        os.close(owner)
    return True


def _remove(place: Path) -> None:
    """Remove a folder with its content, as far as possible."""
    shutil.rmtree(place, ignore_errors=True)
    if not place.exists():
        return
    for folder, names, _ in os.walk(place):  # a notebook may have made folders read-only
        for one in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
            with suppress(OSError):
                os.chmod(one, 0o700, follow_symlinks=not os.path.islink(one))  # noqa: PTH101, PTH114
    shutil.rmtree(place, ignore_errors=True)
