"""What nbbuild wrote into the tree, task by task: the ledgers in `.nbbuild/tree/`.

A ledger is sealed JSON. A damaged ledger counts as none: then nothing is known to be ours, so
nothing is removed.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from nbbuild.disk.checksummed import seal, unseal
from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import DRAFT, discard, own_folder, private_folder, write, writing
from nbbuild.disk.project_folder import STAGED, TREE
from nbbuild.disk.regular import NotRegular, is_taken, leads_nowhere, read
from nbbuild.disk.shapes import Misshapen, Shape, as_json
from nbbuild.errors import NbbuildError
from nbbuild.model import Digest
from nbbuild.paths.patterns import Pattern

_ABANDONED = 86400.0  # seconds after which no build still writes a draft
_UNREADABLE = "the note of what nbbuild wrote into the project cannot be read"
_LONGEST = 4096  # characters of a pattern
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class FileStamp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a file looked; for a link, this covers both the link and what it leads to."""

    path: str
    size: int
    ctime_ns: int
    inode: int
    link_ctime_ns: int = 0


class Made(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file that nbbuild put into the tree, or that a run made while nbbuild watched."""

    path: str
    digest: Digest


class Built(Made, frozen=True, array_like=True, gc=False):
    """A built notebook, or a page rendered from one, and for which configuration file it is."""

    by: str = ""
    made_from: str = ""  # of a page


class Left(Made, frozen=True, array_like=True, gc=False):
    """A file that a run changed without declaring it, as it was when the run ended."""

    anew: bool = False  # the run writes it whatever is there, and would report it
    scratch: bool = False  # private to the run
    asked: bool = False  # the run looked for it, or read it, before writing it
    shared: bool = False  # another task had left it, and this one changed it


class Ledger(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known to belong to a task in the tree; see the essay in nbbuild.tree."""

    task: str
    by: str = ""  # the configuration file for which it was last written
    finished: bool = True
    when_ns: int = 0  # of the last begin, collect or restore, since the epoch
    patterns: tuple[str, ...] = ()  # of the present run, or of the last one
    before: tuple[FileStamp, ...] | None = None  # what matched before it; None: no run is going on
    standing: tuple[str, ...] = ()  # the folders for its artefacts that existed before it
    made: tuple[Made, ...] = ()
    folders: tuple[str, ...] = ()  # made for the task's files; removed when empty
    built: tuple[Built, ...] = ()  # built notebooks, the present one first, and their pages
    made_from: str = ""  # of the present built notebook
    left: tuple[Left, ...] = ()  # left undeclared by the last run and earlier ones


_LEDGER: Shape[Ledger] = Shape(Ledger)


class Ledgers:
    """The ledgers below `folder`, a project's `.nbbuild`, as written for the configuration `by`."""

    def __init__(self, folder: Path, *, by: str = "") -> None:
        self._folder = folder
        self.by = by
        self._tree = str(folder / TREE)
        self._known: dict[str, tuple[tuple[int, ...], Ledger | None]] = {}

    def read(self, task: str) -> Ledger:
        """Return the task's ledger; an empty one if there is no sound one.

        Raises StoreError if reading fails: without a ledger, nothing would count as ours.
        """
        ledger = self._read(_file_name(task))
        return ledger if ledger is not None and ledger.task == task else Ledger(task=task)

    def write(self, ledger: Ledger) -> None:
        """Keep a ledger; its bytes are on the disk when this returns. Raises StoreError.

        Its name may be lost in a power failure, though a file that was written later is there: then
        that file counts as the user's, and a copy of it is kept before it is replaced.
        """
        path = self._path(ledger.task)
        signed = msgspec.structs.replace(ledger, by=self.by)
        data = seal(as_json(signed))
        with writing("what nbbuild writes into the project cannot be noted", path):
            write(path, data, folder=self.drafts(), ours=True)

    def remove(self, task: str) -> None:
        """Remove the task's ledger. Raises StoreError."""
        path = self._path(task)
        with writing("a note of what nbbuild wrote cannot be removed", path):
            discard(path)

    def all(self) -> Iterator[Ledger]:
        """Yield every sound ledger."""
        return self.but(())

    def but(self, tasks: Iterable[str]) -> Iterator[Ledger]:
        """Yield every sound ledger except those of `tasks`, which are not even read."""
        left_out = {_file_name(task) for task in tasks}
        for name in sorted(self._names()):
            if name in left_out or not name.endswith(".json"):
                continue
            ledger = self._read(name)
            if ledger is not None and _file_name(ledger.task) == name:
                yield ledger

    def built_paths(self) -> frozenset[str]:
        """Return where the project's built notebooks are, or were when last checked."""
        return frozenset(built.path for ledger in self.all() for built in ledger.built)

    def drafts(self) -> Path:
        """Make and return the folder for drafts of single files. Raises OSError.

        It is that of the ledgers: a folder for each task would take longer to make than the file.
        """
        folder = self._folder / TREE
        if not _is_folder(folder):
            private_folder(self._folder)
            own_folder(folder, below=self._folder)
        return folder

    def sweep(self) -> None:
        """Remove drafts that a killed build has left; what cannot be removed stays."""
        with suppress(OSError):
            for name in os.listdir(self._tree):  # noqa: PTH208 - thousands of them
                if name.startswith(DRAFT) and not name.endswith(".json"):
                    place = self._folder / TREE / name
                    with suppress(OSError):
                        if time.time() - place.lstat().st_mtime > _ABANDONED:
                            place.unlink()

    def staging(self, task: str) -> Path:
        """Make and return a folder for the drafts of a task's artefacts. Raises OSError."""
        folder = self._folder / STAGED / safe_id(task)
        private_folder(self._folder)
        own_folder(folder, below=self._folder)
        return folder

    def clear_staging(self, task: str) -> None:
        """Remove the task's staging folder with its content. Raises StoreError."""
        folder = self._folder / STAGED / safe_id(task)
        with (
            writing("drafts of an earlier build cannot be removed", folder),
            suppress(FileNotFoundError),
        ):
            try:
                folder.rmdir()
            except OSError as error:
                if leads_nowhere(error):
                    return
                for name in os.listdir(folder):  # noqa: PTH208 - it is not empty
                    discard(folder / name)
                folder.rmdir()

    def _names(self) -> list[str]:
        """Return the names in the folder of the ledgers. Raises StoreError."""
        with writing(_UNREADABLE, self._tree):
            try:
                return os.listdir(self._tree)  # noqa: PTH208 - thousands of them
            except OSError as error:
                if not leads_nowhere(error):
                    raise
        return []

    def _read(self, name: str) -> Ledger | None:
        """Return the ledger in the file `name`; read it again only if the file is another one."""
        path = f"{self._tree}/{name}"
        with writing(_UNREADABLE, path):
            try:
                # Each is written anew and renamed, so new content means a new inode.
                try:
                    now = os.stat(path)  # noqa: PTH116 - for each of thousands of tasks
                except OSError as error:
                    if is_taken(path) or leads_nowhere(error):
                        return None
                    raise
                stamp = (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
                known = self._known.get(name)
                if known is None or known[0] != stamp:
                    known = self._known[name] = (stamp, _decoded(read(path)))
            except (FileNotFoundError, NotRegular):
                return None
        return known[1]

    def _path(self, task: str) -> Path:
        return self._folder / TREE / _file_name(task)


def _is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _file_name(task: str) -> str:
    return f"{safe_id(task)}.json"


@lru_cache(maxsize=1 << 16)  # called several times for each of thousands of tasks
def safe_id(task: str) -> str:
    """Return a file name for a task: readable, and different for any two tasks."""
    digest = digest_bytes(task.encode("utf-8", "surrogatepass"))
    return f"{_UNSAFE.sub('-', task).strip('-.')[:60]}-{digest[:16]}"


def _decoded(data: bytes) -> Ledger | None:
    body = unseal(data)
    try:
        ledger = None if body is None else _LEDGER.from_json(body)
    except Misshapen:
        return None
    if ledger is None or ledger.before is None:
        return ledger
    # What its patterns match is taken away, so they must be such as a task can have.
    return ledger if all(map(_may_be_written, ledger.patterns)) else None


def _may_be_written(pattern: str) -> bool:
    try:
        return len(pattern) <= _LONGEST and ".." not in Pattern.parse(pattern).text.split("/")
    except NbbuildError:
        return False
