"""A remote in a folder, such as one that several machines mount.

Others write there too. So everything takes its place in one step, nothing but regular files is
read, and whoever replaces a head holds a lock meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.request import url2pathname

from nbbuild.disk import durable, regular
from nbbuild.disk.locks import lock
from nbbuild.errors import StoreError
from nbbuild.store.remote.addresses import Address, plain, unusable
from nbbuild.store.remote.objects import (
    Fetched,
    Listed,
    check_name,
    cut_short,
    failed,
    is_name,
    refused,
    too_large,
)


class FolderObjects:
    """Bytes by name in the files of one folder, which is made when something is put into it."""

    conditional = True

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    @classmethod
    def at(cls, address: Address, root: Path) -> FolderObjects:
        """Return the remote at a file:// URL; raises ConfigError unless its path is absolute."""
        plain(address)
        whole = f"write the whole path, such as {(root.absolute() / 'cache').as_uri()}"
        if address.host not in ("", "localhost"):
            # What looks like a host is the first part of a path that was meant to be relative.
            raise unusable(address.shown, "its path does not begin with a slash", hint=whole)
        folder = Path(url2pathname(address.path))
        if not address.path or not folder.is_absolute():
            raise unusable(address.shown, "it names no folder", hint=whole)
        return cls(address.shown, folder)

    def get(self, name: str, *, most: int) -> Fetched | None:
        """Return an object, None if it does not exist."""
        with self._failing(name), self._reading(name) as file:
            if file is None:
                return None
            data = _read(file, most + 1)
        if len(data) > most:
            raise too_large(self.name, name, most)
        return Fetched(data, _tag(data))

    def get_range(self, name: str, start: int, size: int, *, most_whole: int) -> bytes | None:
        """Return exactly `size` bytes from `start` on, None if the object does not exist."""
        if not size:
            return b""
        with self._failing(name), self._reading(name) as file:
            if file is None:
                return None
            os.lseek(file, start, os.SEEK_SET)
            part = _read(file, size)
        if len(part) < size:
            raise cut_short(self.name, name, arrived=len(part), expected=size)
        return part

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        with self._failing(name):
            return self._place(name).exists()

    def put_new(self, name: str, data: bytes) -> None:
        """Keep `data` unless there is an object of this name."""
        place = self._place(name)
        with self._failing(name):
            if not place.exists():
                # Two who write it at once write the same.
                durable.in_folder(place, lambda: durable.write(place, data))

    def replace(self, name: str, data: bytes, *, tag: str | None) -> bool:
        """Keep `data` in place of what has this `tag`; return False if somebody was faster."""
        place = self._place(name)
        with self._failing(name), self._alone():
            if tag != "":
                with self._reading(name) as file:
                    now = None if file is None else _tag(_read(file))
                if now != tag:
                    return False
            durable.in_folder(place, lambda: durable.write(place, data))
        return True

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects in the folder `prefix`."""
        with self._failing(prefix), suppress(FileNotFoundError):
            for entry in os.scandir(self._folder / prefix):
                name = f"{prefix.rstrip('/')}/{entry.name}"
                with suppress(FileNotFoundError):  # deleted just now
                    if is_name(name) and entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        yield Listed(name, status.st_size, status.st_mtime)

    def delete(self, name: str) -> None:
        """Remove an object; it need not exist."""
        with self._failing(name):
            self._place(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _place(self, name: str) -> Path:
        check_name(self.name, name)
        return self._folder / name

    @contextmanager
    def _reading(self, name: str) -> Iterator[int | None]:
        """Hold the file of an object open, None if it does not exist."""
        try:
            file = regular.opened(self._place(name), links=False)
        except FileNotFoundError:
            yield None
            return
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with lock(self._folder / "locks" / "heads"):
            yield

    @contextmanager
    def _failing(self, name: str) -> Iterator[None]:
        """Turn an OSError in the block into a RemoteError."""
        try:
            yield
        except PermissionError as error:
            raise refused(self.name, name, error.strerror or str(error)) from error
        except OSError as error:
            raise failed(self.name, name, error.strerror or str(error)) from error
        except StoreError as error:  # a lock that cannot be had
            reason = dict(error.facts).get("reason", error.what)
            raise failed(self.name, name, reason) from error


def _read(file: int, most: int = -1) -> bytes:
    with os.fdopen(os.dup(file), "rb") as opened:
        return opened.read(most)


def _tag(data: bytes) -> str:
    return sha256(data).hexdigest()
