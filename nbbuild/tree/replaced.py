"""Keep files that nbbuild did not make and has to move out of the way.

They go to `.nbbuild/replaced/<run>/<path>.replaced`: tools that build sites walk the whole project,
and nothing in `.nbbuild` may look like a page to them.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from nbbuild.disk.durable import below_private, move, own_folder, own_mode, writing
from nbbuild.disk.project_folder import DOT, REPLACED

SUFFIX = ".replaced"


class Replaced:
    """The files that one build puts aside, in a folder of its own that is named after the time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp = ""
        self._turn = threading.Lock()

    def keep(self, place: Path, path: str, *, half: bool = False, whose: str = "your copy") -> str:
        """Move the file or link at `place`, root-relative `path`, aside; return a note on it.

        `half` says that an unfinished run left it, not a user. If this raises StoreError, the file
        is still where it was.
        """
        with writing(f"'{path}' cannot be kept in {DOT}/{REPLACED}", place), self._turn:
            kept = self._free(path)
            target = self._folder / REPLACED / kept
            move(place, target)
        whose = "what an unfinished run left" if half else whose
        return f"kept {whose} of '{path}' in {DOT}/{REPLACED}/{kept}"

    def _free(self, path: str) -> str:
        """Return a free name below `replaced` for `path`, in a folder that exists."""
        while True:
            if not self._stamp:
                self._stamp = self._new_stamp()
            kept, number = f"{self._stamp}/{path}{SUFFIX}", 1
            try:
                below_private((self._folder / REPLACED / kept).parent)
            except (FileExistsError, NotADirectoryError):
                self._stamp = ""  # a file was kept where `path` needs a folder
                continue
            while os.path.lexists(self._folder / REPLACED / kept):
                number += 1
                kept = f"{self._stamp}/{path}.{number}{SUFFIX}"
            return kept

    def _new_stamp(self) -> str:
        """Make a folder that no other build uses."""
        own_folder(self._folder / REPLACED, below=self._folder)
        now = time.strftime("%Y-%m-%d-%H%M%S")
        number = 1
        while True:
            stamp = now if number == 1 else f"{now}-{number}"
            try:
                place = self._folder / REPLACED / stamp
                place.mkdir(mode=own_mode(place, 0o777))
            except FileExistsError:
                number += 1
            else:
                return stamp
