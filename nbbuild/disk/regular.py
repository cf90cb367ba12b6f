"""Read one of nbbuild's own files, whatever may have taken its place.

Stores are shared, and folders are copied and restored by other tools: where a record should lie
there may be a pipe, which would make its reader wait for ever, a folder, a device, or a loop of
links. All that reads files of the store or of `.nbbuild` whole does it by `read`. It is used by the
quick way (uptodate.py), so nothing is imported here that Python has not loaded anyway.
"""

from __future__ import annotations

import errno
import os
import stat

from nbbuild.disk.flags import ONLY_HERE, QUIETLY


class NotRegular(OSError):
    """What is there is not a regular file."""


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of the regular file at `path`, which may be a link to one.

    Raises NotRegular for a pipe, a folder, a device or a loop of links, without waiting for
    anybody, and else OSError as `open` does.
    """
    with os.fdopen(opened(path), "rb", buffering=0) as file:
        return file.read()


def opened(path: str | os.PathLike[str], *, links: bool = True) -> int:
    """Return a descriptor of the regular file at `path`, for reading; raises what `read` does.

    Without `links`, a link to a file is none.
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


def is_taken(path: str | os.PathLike[str]) -> bool:
    """Whether something is at `path` that is not a regular file, nor a link to one."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return os.path.islink(path)  # noqa: PTH114 - it leads nowhere, or in a circle
