"""Which files version control leaves out: what .gitignore files say, without asking git."""

from __future__ import annotations

import re
from pathlib import Path


class Ignored:
    """Tells whether a .gitignore in the project at `root`, or above it, names a file.

    The rules are git's: the last one that matches decides, `!` takes back, and a folder includes
    everything in it. If the root is in a working copy, the files above it count as well.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, path: str) -> bool:
        """Whether the file `path` (root-relative) should be left out."""
        place = self._root / path
        top = _top(self._root)
        parts = place.relative_to(top).parts
        return any(_left_out(top, parts[:count], folder=count < len(parts)) for count in _up(parts))


def _up(parts: tuple[str, ...]) -> range:
    return range(1, len(parts) + 1)


def _top(root: Path) -> Path:
    """Return the working copy that holds `root`; `root` itself if there is none."""
    return next((one for one in (root, *root.parents) if (one / ".git").exists()), root)


def _left_out(top: Path, parts: tuple[str, ...], *, folder: bool) -> bool:
    found = False
    for depth in range(len(parts)):
        for pattern, only_folders, wanted in _rules(top.joinpath(*parts[:depth])):
            if (folder or not only_folders) and pattern.fullmatch("/".join(parts[depth:])):
                found = not wanted
    return found


def _rules(folder: Path) -> tuple[tuple[re.Pattern[str], bool, bool], ...]:
    """Return the rules of the .gitignore in `folder`: pattern, for folders only, taken back."""
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(_rule(line) for line in map(str.rstrip, lines) if line and line[0] != "#")


def _rule(line: str) -> tuple[re.Pattern[str], bool, bool]:
    wanted = line[0] == "!"
    text = line.removeprefix("!").removeprefix("\\")
    only_folders, text = text.endswith("/"), text.rstrip("/")
    if "/" not in text:
        text = f"**/{text}"
    expression = ""
    for token in re.findall(r"/\*\*/|\*\*/|/\*\*|\*|\?|\[[^]]+\]|\\\\.|.", text.lstrip("/")):
        if token == "/**/":
            expression += "/(?:.*/)?"
        elif token == "**/":
            expression += "(?:.*/)?"
        elif token == "/**":
            expression += "/.*"
        elif token == "*":
            expression += "[^/]*"
        elif token == "?":
            expression += "[^/]"
        elif len(token) > 2 and token[0] == "[":
            expression += f"[^{token[2:]}" if token[1] == "!" else token
        else:
            expression += re.escape(token[-1])
    try:
        return re.compile(expression), only_folders, wanted
    except re.error:
        return re.compile(r"(?!)"), only_folders, wanted
