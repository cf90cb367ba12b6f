"""Decide which paths count for a trace, and under which names.

The tracer reports everything that a kernel touched. Most of that decides nothing: the interpreter's
own files, temporary ones, those that the run made. DESIGN §2, *Trace items*, says what remains.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nbbuild.watching.modes import masks
from nbbuild.watching.naming import is_outside, name_of
from nbbuild.watching.traces import NOT_LISTED, Own
from nbbuild.watching.virtual import VirtualEnvironments

_LINUX = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin")
_MACOS = ("/System", "/Library", "/private/etc", "/private/var")
_SYSTEM = (*_LINUX, "/sys", "/usr", "/var", *_MACOS)
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


class Scope:
    """Decides which paths count for a trace, and under which names (POSIX; see naming.py).

    `folders` are the interpreter's; `closed` folders never count, such as the store.
    """

    def __init__(
        self,
        root: Path,
        *,
        folders: Iterable[str] = (),
        closed: Iterable[Path] = (),
        own: Own,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.root = os.path.realpath(root)
        self.masks = masks(self.root)
        self.virtual = VirtualEnvironments(self.root)
        self.own = own
        folders = tuple(folders)
        self._interpreter = self._but_those_around_the_root(folders)
        outside = (*_SYSTEM, tempfile.gettempdir(), *_TEMPORARY)
        self._left_out = self._interpreter + self._but_those_around_the_root(outside)
        self._links_left_out = frozenset(_SYSTEM)  # on some systems `/bin` and its like are links
        self._above = frozenset(
            above for folder in (*folders, *outside) for above in _above(folder)
        )
        self._closed = tuple(f"{os.path.realpath(folder)}/" for folder in closed)
        environ = environ or os.environ
        self._shell = {environ.get("PWD"), environ.get("OLDPWD")}
        self._temporary = os.path.realpath(tempfile.gettempdir())
        home = environ.get("HOME", "")
        if home:
            self._above |= {*_above(home)}
        self._home = os.path.realpath(home).rstrip("/") if home else None
        hidden = f"{os.path.realpath(home).rstrip('/')}/." if home else ""
        self._hidden = hidden if hidden and not f"{self.root}/".startswith(hidden) else None
        self._real_folders: dict[str, str] = {}  # few, though a run uses thousands of paths

    def _but_those_around_the_root(self, folders: Iterable[str]) -> tuple[str, ...]:
        # A folder around the project cannot be left out: the project would be, too.
        real = dict.fromkeys(os.path.realpath(folder) for folder in folders)
        return tuple(f"{f}/" for f in real if not f"{self.root}/".startswith(f"{f}/"))

    def surrounds(self, path: str) -> bool:
        """Whether `path` is the root, home, or a folder around them or the interpreter's own.

        Those exist on every machine.
        """
        real = os.path.realpath(path).rstrip("/")
        return (
            f"{self.root}/".startswith(f"{real}/")
            or real == self._home
            or path.rstrip("/") in self._above
            or real in self._above
        )

    def is_of_the_shell(self, path: str, name: str) -> bool:
        """Whether `path` is a folder outside the root that shells look at when they start."""
        return is_outside(name) and path in self._shell

    def installed(self, path: str) -> bool:
        """Whether `path`, links followed, lies in the interpreter's own folders."""
        folder, _, last = path.rpartition("/")
        real = f"{self._real_folder(folder)}/{last}"
        if last and os.path.islink(real):  # noqa: PTH114, thousands of them
            real = os.path.realpath(real)
        return real.startswith(self._interpreter)

    def name(self, path: str) -> str | None:
        """Return the name under which `path` (absolute) counts, None if it does not."""
        if path in self._links_left_out:
            return None
        path = self._real_parent(path)
        inside = f"{path}/".startswith(f"{self.root}/")
        if self._is_left_out(path, inside=inside):
            return None
        parts = path.split("/")
        if not NOT_LISTED.isdisjoint(parts):
            return None
        if any(part.startswith("ipykernel_") for part in parts) and not inside:
            return None
        return name_of(path, self.root)

    def _is_left_out(self, path: str, *, inside: bool) -> bool:
        folder = f"{path.rstrip('/')}/"
        if folder.startswith(self._left_out) or folder.startswith(self._closed):
            return True
        if inside:
            return False
        # For example next to a project that is in the temporary folder itself.
        temporary = path.rpartition("/")[0] == self._temporary
        return temporary or (self._hidden is not None and path.startswith(self._hidden))

    def counts(self, path: str) -> str | None:
        """Like `name`, but also None for the task's own files and nbbuild's."""
        name = self.name(path)
        return None if name is None or self.own.file(name) else name

    def _real_parent(self, path: str) -> str:
        """Follow links in all but the last part of a path, so that each file has one name."""
        folder, _, last = os.path.normpath(path).rpartition("/")
        if path.startswith(f"{self.root}/"):
            return os.path.normpath(path)
        return f"{self._real_folder(folder)}/{last}"

    def _real_folder(self, folder: str) -> str:
        """Return an absolute folder with links followed, "" for the topmost one.

        os.path.realpath would look at every folder above it, each time.
        """
        real = self._real_folders.get(folder)
        if real is None:
            above, _, name = folder.rpartition("/")
            if name in (".", "..", "") or not folder.startswith("/"):
                real = os.path.realpath(folder or "/").rstrip("/")
            else:
                real = f"{self._real_folder(above)}/{name}"
                if os.path.islink(real):  # noqa: PTH114
                    real = os.path.realpath(real)
            self._real_folders[folder] = real
        return real


def _above(folder: str) -> Iterator[str]:
    """Yield the folders above `folder`, as it is written and with links followed."""
    for path in {os.path.normpath(folder), os.path.realpath(folder)}:
        above = path.rpartition("/")[0]
        while above:
            yield above
            above = above.rpartition("/")[0]
