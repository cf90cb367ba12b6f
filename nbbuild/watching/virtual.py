"""Tell which folders are virtual environments: one clone has them inside, another elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MARKS: Final = ("pyvenv.cfg", "conda-meta")


class VirtualEnvironments:
    """Looks at each folder once. Paths are relative to the root."""

    def __init__(self, root: Path | str) -> None:
        self._root = str(root)
        self.looked: set[str] = set()
        """The paths (absolute) that were looked for so far."""
        self._known: dict[str, bool] = {"": False, ".": False, "..": False}

    def __call__(self, path: str) -> bool:
        """Whether `path` is a virtual environment, or lies in one below the root."""
        known = self._known.get(path)
        if known is None:
            place = f"{self._root}/{path}"
            known = self(path.rpartition("/")[0]) or (
                Path(place).is_dir() and any(self._is_there(f"{place}/{mark}") for mark in _MARKS)
            )
            self._known[path] = known
        return known

    def _is_there(self, path: str) -> bool:
        path = os.path.normpath(path)
        self.looked.add(path)
        return os.path.lexists(path)
