"""Tell the modes that files and folders have by themselves from those that somebody gave them.

A clone made under another umask holds the same project with other modes. So a mode that a umask
leaves of a new file, program or folder counts as what the usual umask leaves: 644 or 755. All
others count as they are.
"""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, TypeAlias

Masks: TypeAlias = AbstractSet[int]
"""The umasks that a project's files were made under."""

USUAL: Final[Masks] = frozenset({0o022})

_CONFIG: Final = "jcache.toml"
_MARK: Final = "="


def masks(root: Path | str) -> Masks:
    """Return the umask of this process, and the one that the project at `root` was cloned under."""
    return frozenset(one for one in (_own(), _of_file(f"{root}/{_CONFIG}")) if one is not None)


def shown(kind: str, mode: int, umasks: Masks) -> str:
    """Return the mode of a file ("f") or folder ("d") as text: "644", or "=644" if unusual here."""
    if kind == "f" and any(mode == 0o666 & ~mask for mask in umasks):
        return "644"
    if kind in ("f", "d") and any(mode == 0o777 & ~mask for mask in umasks):
        return "755"
    usual = (kind == "f" and mode == 0o644) or (kind in ("f", "d") and mode == 0o755)
    return f"{_MARK if usual else ''}{mode:o}"


def plain(text: str) -> str:
    """Return the digits of what `shown` returned."""
    return text.removeprefix(_MARK)


def _own() -> int | None:
    try:  # os.umask can only be asked by changing it, for all threads
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("Umask:")]
    return int(found[0], 8) if found else None


def _of_file(path: str) -> int | None:
    """Return the umask that left an ordinary file its mode, None if it tells nothing."""
    try:
        mode = os.stat(path).st_mode & 0o777  # noqa: PTH116
    except (OSError, ValueError):
        return None
    if mode & 0o111 or mode & 0o600 != 0o600:
        return None
    missing = 0o666 & ~mode
    # Who may not read a file may not enter a folder either.
    return missing | sum(bit for bit in (0o010, 0o001) if missing & bit << 2)
