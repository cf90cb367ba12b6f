"""Understand what make asks of the programs in its recipes, through the variable MAKEFLAGS.

Its first word holds the options that are single letters without values, and has no dash. The word
is empty if there are none. Then come the other options, and after "--" make's variables:

    "ks -j8 --jobserver-auth=3,4 -- CC=gcc"

make runs a recipe under -n, -q and -t only if its line begins with "+" or names $(MAKE): it trusts
such a program to heed them. MAKEFLAGS may also be set by users, for make itself, so these options
count only inside a make: where MAKELEVEL is set. A jobserver counts always, since other tools than
make offer one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

VARIABLES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS", "MAKE_TERMOUT", "MAKE_TERMERR")
"""What make tells the programs in its recipes; no kernel sees it."""

IGNORE = "NBBUILD_IGNORE_MAKE"
"""The variable that has all of this ignored."""

_LETTERS = {
    "q": "question",
    "n": "dry_run",
    "t": "accept",
    "B": "always_run",
    "k": "keep_going",
    "s": "silent",
}
_LONG = {
    "--question": "q",
    "--dry-run": "n",
    "--just-print": "n",
    "--recon": "n",
    "--touch": "t",
    "--always-make": "B",
    "--keep-going": "k",
    "--silent": "s",
    "--quiet": "s",
}
_AUTH = ("--jobserver-auth=", "--jobserver-fds=")  # the latter before make 4.2


class Asked(NamedTuple):
    """What make asks for."""

    options: tuple[str, ...] = ()
    """The flags of a build, such as "dry_run", those that change most first."""
    jobs: int | None = None
    """The number of -j, None if make has none or does not tell."""
    jobserver: str = ""
    """Where the jobserver is: "3,4", "fifo:/tmp/GMfifo7", or ""."""


def asked(environ: Mapping[str, str]) -> Asked:
    """Return what make asks for in `environ`; nothing if it is to be ignored."""
    if environ.get(IGNORE, "0") not in ("", "0"):
        return Asked()
    letters, words = _parts(environ.get("MAKEFLAGS", ""))
    jobs: int | None = None
    jobserver = ""
    for word in words:
        if re.fullmatch(r"-j\d+", word):
            jobs = int(word[2:])
        elif word.startswith(_AUTH):
            jobserver = word.partition("=")[2]
        elif word in _LONG:
            letters.add(_LONG[word])
    if not environ.get("MAKELEVEL"):
        return Asked(jobs=jobs if jobserver else None, jobserver=jobserver)
    return Asked(tuple(_options(letters)), jobs, jobserver)


def outside(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` as if make had not called us."""
    return {name: value for name, value in environ.items() if name not in VARIABLES}


def _parts(flags: str) -> tuple[set[str], list[str]]:
    """Return the single letters of a MAKEFLAGS, and its other options."""
    # make escapes spaces and backslashes with a backslash, and doubles dollars.
    words = [
        re.sub(r"\\(.)", r"\1", word).replace("$$", "$")
        for word in re.findall(r"(?:\\.|[^\s\\])+", flags, re.DOTALL)
    ]
    words = words[: words.index("--")] if "--" in words else words
    if words and not flags[0].isspace() and words[0].isalpha():
        return set(words[0]), words[1:]
    return set(), words


def _options(letters: set[str]) -> Iterator[str]:
    """Yield the flags of a build for make's letters; of those that exclude each other one."""
    only = next((letter for letter in "qnt" if letter in letters), "")
    for letter, name in _LETTERS.items():
        if letter not in letters or (letter in "qnt" and letter != only):
            continue
        if letter == "B" and only == "t":  # make touches everything then, and so do we
            continue
        yield name
