"""How closely a run can be watched, and the words for it."""

from __future__ import annotations

from typing import Final

LEVELS: Final = ("none", "python", "syscalls")
"""From least to most."""

_WORDS: Final = {
    "none": "was not watched",
    "python": "was watched in Python only",
    "syscalls": "was watched down to its system calls",
}


def closeness(level: str) -> int:
    """Return how closely a run was watched, as a number; an unknown level is the lowest."""
    return LEVELS.index(level) if level in LEVELS else -1


def in_words(level: str) -> str:
    """Return the words that follow the name of a run: "was watched in Python only"."""
    return _WORDS.get(level, "was watched in a way that this version of nbbuild does not know")
