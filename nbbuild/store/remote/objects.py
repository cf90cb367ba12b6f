"""The interface of every remote: bytes by name, in one place elsewhere.

Names are ours: `cas/<hex>` for bytes that never change, named by their SHA-256, and `ac/<hex>` for
those that are replaced. It is the layout of Bazel's remote caches. What a remote answers is hostile
input: no answer is read further than the caller allows, and none is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from nbbuild.errors import RemoteError, RemoteRefused

FOLDERS = ("ac", "cas")
"""What the names of objects begin with."""

_NAME = re.compile(rf"(?:{'|'.join(FOLDERS)})/[0-9a-f]{{1,128}}")


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it.

    `modified` is in seconds since the epoch, by the remote's clock.
    """

    name: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of an object, and the tag of this version of it for `Objects.replace`.

    The tag is "" where the remote gives none.
    """

    data: bytes
    tag: str


class Objects(Protocol):
    """Bytes by name in one place elsewhere; any thread may call it.

    All methods raise RemoteError if the remote does not answer, or not as it must, and
    RemoteRefused if it demands other credentials.
    """

    @property
    def name(self) -> str:
        """The URL without user, password and query: for messages."""
        ...

    @property
    def conditional(self) -> bool:
        """Whether `replace` looks at the tag."""
        ...

    def get(self, name: str, *, most: int) -> Fetched | None:
        """Return an object, None if it does not exist.

        More than `most` bytes are a RemoteError, and are not read.
        """
        ...

    def get_range(self, name: str, start: int, size: int, *, most_whole: int) -> bytes | None:
        """Return exactly `size` bytes from `start` on, None if the object does not exist.

        A remote that cannot give a part is read whole, up to `most_whole` bytes. If `size` is 0,
        the remote is not asked.
        """
        ...

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        ...

    def put_new(self, name: str, data: bytes) -> None:
        """Keep `data` unless there is an object of this name, which is then as good."""
        ...

    def replace(self, name: str, data: bytes, *, tag: str | None) -> bool:
        """Keep `data` in place of what has this `tag`; return False if somebody was faster.

        A tag of None stands for no object, "" for any. If the remote is not `conditional`, the tag
        is not looked at, and nobody is ever faster.
        """
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects in the folder `prefix`, `cas/` or `ac/`, in no order.

        Raises RemoteError if the remote cannot list what it holds.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object; it need not exist."""
        ...

    def close(self) -> None:
        """Give up connections; nothing may be asked afterwards."""
        ...


def is_name(name: str) -> bool:
    """Whether an object can have this name."""
    return _NAME.fullmatch(name) is not None


def check_name(remote: str, name: str) -> None:
    """Raise RemoteError unless an object can have this name: others' digests make names too."""
    if not is_name(name):
        raise failed(remote, name, "no object can have this name")


def failed(remote: str, name: str, reason: str) -> RemoteError:
    """Return the error of a request that went wrong."""
    return RemoteError(
        "the remote cache has failed",
        facts=[("remote", remote), ("object", name), ("reason", reason)],
    )


def unreachable(remote: str, reason: str) -> RemoteError:
    """Return the error of a remote that does not answer at all."""
    return RemoteError(
        "the remote cache cannot be reached", facts=[("remote", remote), ("reason", reason)]
    )


def refused(remote: str, name: str, reason: str) -> RemoteRefused:
    """Return the error of a request that needs other credentials."""
    return RemoteRefused(
        "the remote cache refuses access",
        facts=[("remote", remote), ("object", name), ("reason", reason)],
        hint="check the credentials in the environment, and what they allow",
    )


def too_large(remote: str, name: str, most: int) -> RemoteError:
    """Return the error of an object that must not be read."""
    return failed(remote, name, f"it is larger than {most:,} bytes, the most that it may be")


def cut_short(remote: str, name: str, *, arrived: int, expected: int) -> RemoteError:
    """Return the error of an answer that is not whole."""
    return failed(remote, name, f"{arrived:,} of {expected:,} bytes arrived")


def cannot_list(remote: str) -> RemoteError:
    """Return the error of a remote that keeps its names to itself."""
    return RemoteError(
        "the remote cache cannot list what it holds",
        facts=[("remote", remote)],
        hint="let the server itself remove what is old",
    )
