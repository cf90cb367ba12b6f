"""Read one of nbbuild's own files, whatever may have taken its place.

Stores are shared, and other tools copy and restore folders. So in place of a record there may be a
pipe, which would make its reader wait for ever, a folder, a device, or a loop of links. Everything
that reads whole files of the store or of `.nbbuild` uses `read`. So does the quick way
(uptodate.py), and therefore this module imports only what Python has loaded anyway.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from nbbuild.disk.flags import ONLY_HERE, QUIETLY

MOST: Final = 256 << 20
"""The most bytes that any file of nbbuild's own has, but for blobs."""


class NotRegular(OSError):
    """What is at the path is not a regular file."""


def read(path: str | os.PathLike[str], *, most: int = MOST) -> bytes:
    """Return the bytes of the regular file at `path`, which may be a link to one.

    Raises NotRegular for a pipe, a folder, a device or a loop of links, without waiting, and for a
    file of more than `most` bytes, unread; otherwise OSError as `open` does.
    """
    with os.fdopen(opened(path), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most:
            return file.read()
    raise NotRegular(None, f"it has {size} bytes, more than nbbuild writes", os.fspath(path))


def opened(path: str | os.PathLike[str], *, links: bool = True) -> int:
    """Return a descriptor for reading the regular file at `path`; raises what `read` raises.

    Without `links`, a link to a file counts as not regular.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | (QUIETLY if links else ONLY_HERE))
    except OSError as error:
        if error.errno == errno.ELOOP or is_taken(path):
            raise NotRegular(error.errno, error.strerror, error.filename) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(None, "it is not a regular file", os.fspath(path))
    return descriptor


def leads_nowhere(error: OSError) -> bool:
    """Whether a path leads nowhere: nothing is there, or no folder, or a loop of links above it."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def is_refused(error: OSError) -> bool:
    """Whether this process may not read a file now, which says nothing about the file."""
    return error.errno in _REFUSED


_REFUSED: Final = frozenset(
    (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)
)


def is_taken(path: str | os.PathLike[str]) -> bool:
    """Whether something is at `path` that is neither a regular file nor a link to one."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return os.path.islink(path)  # noqa: PTH114 - it leads nowhere, or in a circle
