"""A remote in memory, for tests: it counts what it is asked, and fails as it is told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nbbuild.store.remote.objects import (
    Fetched,
    Listed,
    cannot_list,
    check_name,
    cut_short,
    too_large,
)


@dataclass(frozen=True, slots=True)
class Version:
    """What one name holds, since when, and the tag of this version."""

    data: bytes
    tag: str
    modified: float


@dataclass
class MemoryObjects:
    """Bytes by name, held to the same tests as the real remotes.

    Faults: `before` is called with the method and the name ahead of each request, outside all
    locks, and may raise, wait, or play somebody who is faster; `damage` changes what is read. Both
    may be replaced at any time. So may `held`, and `now`, the remote's clock.
    """

    name: str = "memory://remote"
    conditional: bool = True
    lists: bool = True
    before: Callable[[str, str], None] | None = None
    damage: Callable[[str, bytes], bytes] | None = None
    now: float = 1.0
    held: dict[str, Version] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tags: int = 0

    def get(self, name: str, *, most: int) -> Fetched | None:
        """Return an object, None if it does not exist."""
        version = self._read("get", name)
        if version is None:
            return None
        if len(version.data) > most:
            raise too_large(self.name, name, most)
        return Fetched(version.data, version.tag)

    def get_range(self, name: str, start: int, size: int, *, most_whole: int) -> bytes | None:
        """Return exactly `size` bytes from `start` on, None if the object does not exist."""
        if not size:
            return b""
        version = self._read("get_range", name)
        if version is None:
            return None
        part = version.data[start : start + size]
        if len(part) < size:
            raise cut_short(self.name, name, arrived=len(part), expected=size)
        return part

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        self._ask("exists", name)
        return name in self.held

    def put_new(self, name: str, data: bytes) -> None:
        """Keep `data` unless there is an object of this name."""
        self._ask("put_new", name)
        with self._lock:
            if name not in self.held:
                self._keep(name, data)

    def replace(self, name: str, data: bytes, *, tag: str | None) -> bool:
        """Keep `data` in place of what has this `tag`; return False if somebody was faster."""
        self._ask("replace", name)
        with self._lock:
            old = self.held.get(name)
            if self.conditional and tag not in ("", None if old is None else old.tag):
                return False
            self._keep(name, data)
        return True

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects in the folder `prefix`."""
        self._count("list", prefix)
        if not self.lists:
            raise cannot_list(self.name)
        with self._lock:
            held = dict(self.held)
        for name, version in held.items():
            if name.startswith(prefix):
                yield Listed(name, len(version.data), version.modified)

    def delete(self, name: str) -> None:
        """Remove an object; it need not exist."""
        self._ask("delete", name)
        with self._lock:
            self.held.pop(name, None)

    def close(self) -> None:
        """Note that nothing may be asked any more."""
        self.closed = True

    def _read(self, method: str, name: str) -> Version | None:
        self._ask(method, name)
        with self._lock:
            version = self.held.get(name)
        if version is not None and self.damage is not None:
            damaged = self.damage(name, version.data)
            version = Version(damaged, version.tag, version.modified)
        return version

    def _ask(self, method: str, name: str) -> None:
        check_name(self.name, name)
        self._count(method, name)

    def _count(self, method: str, name: str) -> None:
        assert not self.closed
        with self._lock:
            self.requests[method] += 1
        if self.before is not None:
            self.before(method, name)

    def _keep(self, name: str, data: bytes) -> None:
        self._tags += 1
        self.held[name] = Version(data, str(self._tags), self.now)
