"""Write files so that a crash leaves either the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.project_folder import DOT
from nbbuild.errors import OneTaskError, StoreError

CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Made by nbbuild; can be deleted. See https://bford.info/cachedir/\n"
)


T = TypeVar("T")

_TRIES = 100

DRAFT = f"{DOT}-"
"""How the name of each draft begins."""


class Draft:
    """A new file that takes its place by `commit`, or vanishes if its block ends without that.

    `folder` must exist, on the same file system as the place that the file will take. Methods raise
    OSError.
    """

    def __init__(self, folder: Path, *, mode: int = 0o666) -> None:
        self.path = folder / f"{DRAFT}{os.urandom(8).hex()}.tmp"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | ONLY_HERE
        # The umask applies to the mode, as it would to a file that the user makes.
        self._file = os.fdopen(os.open(self.path, flags, mode), "wb", buffering=0)
        self._committed = False

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self._committed:
            with suppress(OSError):
                self.path.unlink()

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def commit(self, target: Path, *, sync: bool = True, ours: bool = False) -> None:
        """Rename to `target`, replacing what is there; with `sync`, only once it is on the disk.

        A folder there is an error, unless the place is `ours` alone: then it is set aside. If this
        raised, it can be called again. Nothing can be written after the first call.
        """
        if not self._file.closed:
            if sync:
                os.fsync(self._file.fileno())
            self._file.close()
        try:
            self.path.replace(target)
        except IsADirectoryError:
            if not ours:
                raise
            discard(target)
            self.path.replace(target)
        self._committed = True


def own_mode(place: Path, mode: int = 0o666) -> int:
    """Return `mode` for a new file at `place`, less what the `.nbbuild` above it does not grant.

    `.nbbuild` is made for its owner alone. Whoever opens it to a group (`chmod g+rwxs`) means the
    files that come into it, too. Elsewhere the mode stays, and the umask decides.
    """
    if DOT not in place.parts:
        return mode
    for above in place.parents:
        if above.name == DOT:
            try:
                return mode & above.stat().st_mode
            except OSError:
                break
    return mode & 0o700


def write(
    target: Path,
    data: bytes,
    *,
    folder: Path | None = None,
    mode: int = 0o666,
    sync: bool = True,
    ours: bool = False,
) -> None:
    """Put `data` at `target` in one step; `folder` holds the draft, beside the target by default.

    Below a `.nbbuild`, `mode` is what `own_mode` makes of it. A symbolic link at `target` is
    replaced, not followed; `ours` as in `Draft.commit`. Raises OSError.
    """
    with Draft(folder or target.parent, mode=own_mode(target, mode)) as draft:
        draft.write(data)
        draft.commit(target, sync=sync, ours=ours)


def move(place: Path, target: Path) -> None:
    """Rename the file or link at `place`; copy it if that is another file system. Raises OSError.

    `target` then holds all of it, or what was there before.
    """
    try:
        place.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(place, target)
        place.unlink()


def _copy(place: Path, target: Path) -> None:
    """Copy to another file system; on return the copy is complete and on the disk."""
    was = place.lstat()
    if stat.S_ISLNK(was.st_mode):
        target.symlink_to(place.readlink())
        return
    with place.open("rb") as file, Draft(target.parent, mode=stat.S_IMODE(was.st_mode)) as draft:
        while chunk := file.read(1 << 20):
            draft.write(chunk)
        draft.commit(target)
    shutil.copystat(place, target)


def in_folder(place: Path, put: Callable[[], T]) -> T:
    """Call `put`, which puts a file at `place`, and return its result; the folder exists by then.

    Somebody may remove the folder each time it is empty: then it is made again, and `put` called
    again. Raises OSError.
    """
    for left in reversed(range(_TRIES)):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            return put()
        except (FileNotFoundError, FileExistsError):
            # (Path.mkdir says that a folder exists if it vanishes before mkdir has checked that
            # it is one.)
            if not left:
                raise
    raise AssertionError


def discard(place: Path) -> None:
    """Remove what is at `place`, which is nbbuild's own; a folder is set aside. Raises OSError.

    So nothing is lost that nbbuild cannot have made.
    """
    try:
        place.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):
        if not place.is_dir():
            raise
        set_aside(place)


def set_aside(place: Path) -> Path:
    """Rename what is at `place` to a name beside it that nbbuild ignores; return the new path.

    Raises OSError.
    """
    return place.rename(place.with_name(f"{place.name}.bad-{os.urandom(4).hex()}"))


def own_folder(folder: Path, *, below: Path) -> None:
    """Make `folder` if it does not exist; it is nbbuild's own, like everything below `below`.

    Anything in its way that is not a folder is set aside, also a loop of links; a `.nbbuild` above
    it is tagged. Raises OSError.
    """
    _tag_above(folder)
    try:
        _make(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
            raise
        for place in [*reversed(folder.parents), folder]:
            if below in place.parents and os.path.lexists(place) and not place.is_dir():
                set_aside(place)
        _make(folder)


def keep_copy(target: Path) -> Path:
    """Copy the file `target` to the first free name beside it; return the copy. Raises OSError."""
    old = target.read_bytes()
    number = 0
    while True:
        copy = target.with_name(f"{target.name}.bak{f'.{number}' if number else ''}")
        try:
            with copy.open("xb") as file:
                file.write(old)
        except FileExistsError:
            number += 1
        else:
            return copy


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power failure, if its file system can."""
    if sys.platform == "win32":  # which cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def tag_as_cache(folder: Path) -> None:
    """Tell backups (CACHEDIR.TAG) and git (.gitignore) to leave `folder` out. Raises OSError."""
    write(folder / "CACHEDIR.TAG", CACHEDIR_TAG.encode(), sync=False)
    write(folder / ".gitignore", b"*\n", sync=False)


_IGNORE_ALL = b"*\n"


def ignore_by_git(folder: Path) -> None:
    """Put a `.gitignore` into `folder`, unless it has one. Raises OSError."""
    with suppress(FileExistsError), (folder / ".gitignore").open("xb") as file:
        file.write(_IGNORE_ALL)


def drop_gitignore(folder: Path) -> None:
    """Remove what `ignore_by_git` wrote if `folder` holds nothing else. Raises OSError."""
    if [path.name for path in folder.iterdir()] == [".gitignore"]:
        place = folder / ".gitignore"
        if not place.is_symlink() and place.read_bytes() == _IGNORE_ALL:
            place.unlink()


def private_folder(folder: Path) -> Path:
    """Return `folder` (some project's `.nbbuild`), made and tagged if it did not exist.

    Only the user can enter it: outputs may show what nobody else may see. Raises OSError.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return folder
    tag_as_cache(folder)
    return folder


@contextmanager
def writing(what: str, path: Path | str) -> Iterator[None]:
    """Turn an OSError in the block into a StoreError: `what` could not be done, at `path`, why.

    It is a OneTaskError if only this one place is affected.
    """
    try:
        yield
    except OSError as error:
        place = str(path) if error.filename is None else os.fsdecode(error.filename)
        reason = error.strerror or str(error)
        facts = [("path", place), ("reason", reason)]
        kind = OneTaskError if error.errno in _OF_ONE_PLACE else StoreError
        raise kind(what, facts=facts, hint=_hint(error.errno)) from error


_OF_ONE_PLACE = frozenset(
    (
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.ENXIO,
    )
)


def _hint(number: int | None) -> str:
    if number in _OF_ONE_PLACE:
        return "move away what is there, and build again"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, or give [cache] a smaller max_size and run `nbbuild cache gc`"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make it writable, or choose another folder with [cache] path or NBBUILD_CACHE"
    if number == errno.EFBIG:
        return "raise the limit on the size of files (`ulimit -f`)"
    if number in (errno.EMFILE, errno.ENFILE):
        return "raise the limit on open files (`ulimit -n`), or run fewer jobs (`-j`)"
    return ""


def below_private(folder: Path) -> Path:
    """Make and return `folder`; a `.nbbuild` above it is made and tagged. Raises OSError."""
    _tag_above(folder)
    _make(folder)
    return folder


def _make(folder: Path) -> None:
    """Make a folder and those above it unless they exist, as open as the `.nbbuild` above them."""
    try:
        folder.mkdir(mode=own_mode(folder, 0o777))
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        _make(folder.parent)
        folder.mkdir(mode=own_mode(folder, 0o777), exist_ok=True)
    except OSError:
        if not folder.is_dir():
            raise


def _tag_above(folder: Path) -> None:
    for above in folder.parents:
        if above.name == DOT and above.parent.is_dir():
            private_folder(above)
