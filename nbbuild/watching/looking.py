"""Tell what a system call asks about paths, and look at them before the call goes on.

The launcher loads this file by its path, so it imports only the standard library. The functions
return parts of records, in the form of tracer.py.
"""

# Paths are strings here: there are many, in the most expensive loop of a watched run.
# ruff: noqa: PTH110, PTH114, PTH115, PTH116, PTH123

from __future__ import annotations

import os
from _blake2 import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

LARGEST: Final = 32 << 20
"""The most bytes of a file that is digested before it is overwritten."""

_NO_FOLLOW = 0x100  # AT_SYMLINK_NOFOLLOW


def questions(deed: str, paths: list[str], flags: int) -> list[tuple[str, str]]:  # noqa: PLR0911
    """Return a (kind of record, path) for each thing that a call asks or does."""
    path = paths[-1]
    match deed:
        case "open":
            return [(kind, path) for kind in _opening(path, flags)]
        case "exec":
            return [("read", path)]
        case "stat":
            return [("lstat" if flags & _NO_FOLLOW else "stat", path)]
        case "access":
            return [("stat" if flags else "exists", path)]
        case "look":
            return [("exists", path)]
        case "new" | "mkdir":
            made = "mkdir" if deed == "mkdir" else "write"
            return [("lexists", path)] + ([] if _there(path) else [(made, path)])
        case "remove":
            return [("lexists", path)] + ([("remove", path)] if _there(path) else [])
        case "truncate":
            return [("append", path)] if _there(path) else [("exists", path)]
        case "rename" | "link":
            source = paths[0]
            if not source or not _there(source):
                return [("lexists", source)]
            moved = [("remove", source)] if deed == "rename" else []
            asked = [("lexists", path)] if deed == "link" else []
            done = [] if deed == "link" and _there(path) else [("write", path)]
            return [("read", source), *moved, *asked, *done]
        case _:
            return [(deed, path)]  # lstat, lexists, enter


def _opening(path: str, flags: int) -> tuple[str, ...]:  # noqa: PLR0911
    """Return the kinds of record for opening `path`; () if none of its answers matters."""
    access = flags & os.O_ACCMODE
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        return ()
    if flags & os.O_PATH:
        return ("lstat" if flags & os.O_NOFOLLOW else "stat",)
    if flags & os.O_NOFOLLOW and os.path.islink(path):
        return ("lstat",)
    if access == os.O_RDONLY and not flags & (os.O_TRUNC | os.O_CREAT):
        return ("read",)
    there = _there(path)
    if flags & (os.O_CREAT | os.O_EXCL) == os.O_CREAT | os.O_EXCL:
        return ("lexists",) if there else ("lexists", "write")
    if not flags & os.O_CREAT and not os.path.exists(path):
        return ("exists",)
    if flags & os.O_TRUNC or not there:
        return ("write",)
    if access == os.O_RDONLY:
        return ("read",)
    return ("append",) if access == os.O_WRONLY else ("open",)


def _there(path: str) -> bool:
    return os.path.lexists(path)


def listed(path: str) -> list[str] | None:
    """Return the names in a folder, sorted, each after a letter for its kind.

    f(ile), d(irectory), l(ink) or o(ther). None: the folder cannot be listed.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(_letter(entry) + entry.name for entry in entries)
    except OSError:
        return None


def _letter(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "l"
    if entry.is_dir(follow_symlinks=False):
        return "d"
    return "f" if entry.is_file(follow_symlinks=False) else "o"


def digest(path: str, look: list[Any] | None) -> str | None:
    """Return a digest of what is about to be overwritten, None if it cannot be had."""
    if look is None or look[0] != "f" or look[1] > LARGEST:
        return None
    try:
        with open(path, "rb") as file:
            return "blake2b:" + str(blake2b(file.read()).hexdigest())
    except OSError:
        return None


def absolute(raw: str, thread: int, folder: int) -> str:
    """Return an absolute path; follow symlinks only where a `..` has to cross them."""
    if raw[:1] != "/":
        descriptor = folder & 0xFFFFFFFF
        place = "cwd" if descriptor & 0x80000000 else f"fd/{descriptor}"
        base = os.readlink(f"/proc/{thread}/{place}")
        raw = f"{base.rstrip('/')}/{raw}"
    if "/." not in raw and "//" not in raw and raw[-1] != "/":
        return raw
    done = ""
    for part in raw.split("/"):
        if part == "..":
            done = os.path.realpath(done or "/").rpartition("/")[0]
        elif part not in ("", "."):
            done += "/" + part
    return done or "/"


def stat(path: str, *, follow: bool) -> list[Any] | None:
    """Return the stat of a record: [type, size, mtime_ns, ctime_ns, inode, mode]."""
    try:
        found = os.stat(path) if follow else os.lstat(path)
    except (OSError, ValueError):
        return None
    mode = found.st_mode & 0o170000
    kind = {0o100000: "f", 0o040000: "d", 0o120000: "l"}.get(mode, "o")
    return [
        kind,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
        found.st_mode & 0o7777,
    ]
