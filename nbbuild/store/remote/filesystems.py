"""A remote on any file system that fsspec knows, such as SFTP.

Few of these can write on a condition, so `conditional` is False: of two who replace a head at once,
the last one wins. An object is written beside its place and renamed. One request goes at a time:
most of these connections are not made for several threads.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import fsspec
from fsspec.registry import known_implementations

from nbbuild.disk.durable import DRAFT
from nbbuild.errors import RemoteError
from nbbuild.store.remote.addresses import HINT, Address, missing, plain, unusable
from nbbuild.store.remote.objects import (
    Fetched,
    Listed,
    check_name,
    cut_short,
    failed,
    is_name,
    refused,
    too_large,
    unreachable,
)
from nbbuild.store.remote.patience import Deadline, Patience, Transient, persist, within

T = TypeVar("T")

_SSH = ("sftp", "ssh")
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "updated", "created")


def open_filesystem(url: str, address: Address, *, patience: Patience | None = None) -> FileObjects:
    """Return the remote at `url`, not connected yet; raises ConfigError if fsspec has none."""
    if address.scheme not in known_implementations:
        raise unusable(address.shown, f"nbbuild knows no '{address.scheme}://'", hint=HINT)
    ssh = address.scheme in _SSH
    plain(address, also=("user",) if ssh else ("user", "query"))
    try:
        kind = fsspec.get_filesystem_class(address.scheme)
    except ImportError as error:
        if ssh:
            raise missing(address.shown, "paramiko") from error
        # fsspec says in words what to install.
        raise unusable(address.shown, "a library is missing", hint=str(error)) from error
    patience = patience or Patience()
    if ssh:
        from nbbuild.store.remote.ssh import open_ssh

        return FileObjects(
            address.shown, address.path, lambda: open_ssh(address, patience), patience
        )
    path = kind._strip_protocol(url).rstrip("/")
    options = kind._get_kwargs_from_urls(url)
    return FileObjects(
        address.shown, path, lambda: kind(skip_instance_cache=True, **options), patience
    )


class FileObjects:
    """Bytes by name in the files of one folder, on a file system that is somewhere else."""

    conditional = False

    def __init__(
        self, name: str, path: str, connect: Callable[[], Any], patience: Patience
    ) -> None:
        self.name = name
        self._path = path
        self._connect = connect
        self._patience = patience
        self._system: Any = None  # an AbstractFileSystem, once there is a connection
        self._lock = threading.Lock()

    def get(self, name: str, *, most: int) -> Fetched | None:
        """Return an object, None if it does not exist."""
        size = self._size(name)
        if size is None:
            return None
        if size > most:
            raise too_large(self.name, name, most)
        data = self._read(name, 0, size)
        return None if data is None else Fetched(data, "")

    def get_range(self, name: str, start: int, size: int, *, most_whole: int) -> bytes | None:
        """Return exactly `size` bytes from `start` on, None if the object does not exist."""
        if not size:
            return b""
        whole = self._size(name)
        if whole is None:
            return None
        if whole < start + size:
            arrived = max(0, whole - start)
            raise cut_short(self.name, name, arrived=arrived, expected=size)
        return self._read(name, start, size)

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        return self._size(name) is not None

    def put_new(self, name: str, data: bytes) -> None:
        """Keep `data` unless there is an object of this name."""
        if self._size(name) is None:
            self._write(name, data)

    def replace(self, name: str, data: bytes, *, tag: str | None) -> bool:
        """Keep `data`, whatever was there; return True."""
        self._write(name, data)
        return True

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects in the folder `prefix`."""
        folder = prefix.rstrip("/")

        def ask(system: Any) -> list[Listed]:
            system.invalidate_cache()
            listed = []
            for entry in system.ls(f"{self._path}/{folder}", detail=True):
                name = f"{folder}/{entry['name'].rpartition('/')[2]}"
                if is_name(name) and entry["type"] == "file":
                    listed.append(Listed(name, entry["size"], _modified(system, entry)))
            return listed

        yield from self._ask(prefix, ask) or []

    def delete(self, name: str) -> None:
        """Remove an object; it need not exist."""
        place = self._place(name)
        self._ask(name, lambda system: system.rm_file(place))

    def close(self) -> None:
        """Give up the connection."""
        with self._lock:
            self._hang_up()

    def _size(self, name: str) -> int | None:
        place = self._place(name)

        def ask(system: Any) -> int:
            system.invalidate_cache()
            return int(system.info(place)["size"])

        return self._ask(name, ask)

    def _read(self, name: str, start: int, size: int) -> bytes | None:
        place = self._place(name)

        def ask(system: Any) -> bytes:
            data: bytes = system.cat_file(place, start=start, end=start + size)
            if len(data) != size:
                raise Transient(cut_short(self.name, name, arrived=len(data), expected=size))
            return data

        return self._ask(name, ask, moves=size)

    def _write(self, name: str, data: bytes) -> None:
        place = self._place(name)
        folder = place.rpartition("/")[0]
        draft = f"{folder}/{DRAFT}{secrets.token_hex(8)}.tmp"

        def ask(system: Any) -> bool:
            system.makedirs(folder, exist_ok=True)
            try:
                system.pipe_file(draft, data)
                system.mv(draft, place)
            except BaseException:
                with suppress(Exception):
                    system.rm_file(draft)
                raise
            return True

        if self._ask(name, ask, moves=len(data)) is None:
            raise failed(self.name, name, "its folder cannot be made")

    def _place(self, name: str) -> str:
        check_name(self.name, name)
        return f"{self._path}/{name}"

    def _ask(self, name: str, ask: Callable[[Any], T], *, moves: int = 0) -> T | None:
        """Return what `ask` returns, None if there is no such file; raises RemoteError."""
        with self._lock:
            return persist(self._patience, lambda: self._attempt(name, ask, moves))

    def _attempt(self, name: str, ask: Callable[[Any], T], moves: int) -> T | None:
        system = self._connected(name)
        seconds = self._patience.total + moves / self._patience.slowest
        try:
            return within(Deadline(seconds), lambda: ask(system))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise refused(self.name, name, _reason(error)) from error
        except (RemoteError, Transient):
            raise
        except TimeoutError as error:
            self._hang_up()
            raise failed(self.name, name, f"no whole answer within {seconds:g} s") from error
        except Exception as error:
            self._hang_up()
            raise Transient(failed(self.name, name, _reason(error))) from error

    def _connected(self, name: str) -> Any:
        if self._system is None:
            try:
                self._system = within(Deadline(self._patience.total), self._connect)
            except RemoteError:
                raise
            except PermissionError as error:
                raise refused(self.name, name, _reason(error)) from error
            except TimeoutError as error:
                reason = f"no connection within {self._patience.total:g} s"
                raise unreachable(self.name, reason) from error
            except Exception as error:
                raise unreachable(self.name, _reason(error)) from error
        return self._system

    def _hang_up(self) -> None:
        system, self._system = self._system, None
        client = getattr(system, "client", None)
        if client is not None:
            client.close()


def _modified(system: Any, entry: dict[str, Any]) -> float:
    """Return when a file was written, in seconds since the epoch."""
    found = next((entry[key] for key in _TIMES if key in entry), None)
    if not isinstance(found, (datetime, float, int)):
        found = system.modified(entry["name"])
    return found.timestamp() if isinstance(found, datetime) else float(found)


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said or type(error).__name__
