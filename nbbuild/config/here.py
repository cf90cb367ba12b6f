"""Where the user stands in a project: what a path typed there means, and how paths are shown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nbbuild.config.paths import rooted
from nbbuild.paths.patterns import escape
from nbbuild.quick.above import standing


@dataclass(frozen=True, slots=True)
class Here:
    """The current folder, as seen from the root."""

    root: Path  # with links resolved
    folder: str = ""  # "" is the root itself; begins with ".." outside it

    @classmethod
    def at(cls, directory: Path, root: Path) -> Here:
        """Return where `directory` lies, seen from `root`."""
        return cls(root, standing(str(directory), str(root)))

    @property
    def outside(self) -> bool:
        """Whether the current folder is no folder of the project."""
        return is_outside(self.folder)

    def meant(self, word: str) -> str:
        """Return a typed path or pattern, seen from the root and in normal form.

        It begins with ".." if it leads out of the project.
        """
        if not word.startswith("/"):
            return rooted(self.root, f"{escape(self.folder)}/{word}" if self.folder else word)
        text = rooted(self.root, word)
        if is_outside(text):
            # The project may be reached through a link.
            folder, name = os.path.split(word.rstrip("/"))
            slash = "/" if word.endswith("/") else ""
            text = rooted(self.root, f"{os.path.realpath(folder)}/{name}{slash}")
        return text

    def absolute(self, word: str) -> str:
        """Return where a typed path leads, links left as they are."""
        return os.path.normpath(self.root / self.folder / word)

    def shown(self, path: str) -> str:
        """Return a path that is seen from the root as it has to be typed here."""
        if not self.folder or path.startswith("/"):
            return path
        shown = os.path.relpath(self.root / path, self.root / self.folder)
        return f"{shown}/" if path.endswith("/") else shown


def is_outside(text: str) -> bool:
    """Whether a path seen from the root, in normal form, leads out of the project."""
    return text == ".." or text.startswith("../")
