"""Texts that would control a terminal, hide, or be obeyed by what reads a log."""

from __future__ import annotations

import itertools
import re

ESCAPES = (
    "\x1b[31mred",  # a colour that never ends
    "\x1b[2J\x1b[3J\x1b[H",  # the screen and what was on it before
    "\x1b[1A\x1b[2K",  # the line above
    "\x1b]0;title\x07",
    "\x1b]8;;https://asked.invalid\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;cHduZWQ=\x07",  # the clipboard
    "\x1b]1337;File=inline=1:AAAA\x07",
    '\x1bP$q"p\x1b\\\x1b_G\x1b\\\x1b^x\x1b\\\x1bX\x1b\\',
    "\x1b[6n\x1b[c\x1b[?1049h\x1b[?2004l\x1bc\x1b(0",
    "\x9b31m\x9d0;x\x9c\x90\x85\x84\x8d",  # the same in one character each
    "over\rwritten",
    "back\b\b\b\b",
    "bell\x07 nul\x00 del\x7f enq\x05 so\x0e ff\x0c vt\x0b",
    "bidi\u202etxt.exe\u2066\u2069\u200e\u061c",
    "hid\u200bden\ufeff\u2060\xad\u2028\u2029",
    "tags\U000e0041\U000e007f",
)
COMMANDS = (
    "\n::error file=x::pwned",
    "\n  ::set-output name=x::pwned",
    "\n::add-mask::a",
    "\n::stop-commands::x",
    "##[error]pwned",
    "\r\n::warning::pwned",
    "%0A::error::pwned",
)
TEXTS = (*ESCAPES, *COMMANDS)
IN_NAMES = tuple(text for text in TEXTS if "\0" not in text and "/" not in text)
"""Those that a file may be called."""

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\ufeff\u2028-\u202e\u2060-\u206f"
    "\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"
)
_OURS = re.compile(r"\x1b\[[\d;]*m")
_OBEYED = re.compile(r"^\s*::|##\[", re.MULTILINE)
OWN_COMMANDS = re.compile(r"^::(group::|endgroup::$|error file=[^\n]*::[^\n]*$)", re.MULTILINE)
"""What nbbuild itself tells GitHub's runner."""


def every(lead: str = "") -> str:
    """Return one text with all of them."""
    return lead + "".join(f"<{text}>" for text in TEXTS)


def texts():
    """Return a function that returns another of them each time it is called."""
    endless = itertools.cycle(TEXTS)
    return lambda: next(endless)


def raw(text: str, *, colours: bool = False) -> list[str]:
    """Return what in `text` would control a terminal or hide; `colours` are allowed."""
    return _CONTROLS.findall(_OURS.sub("", text) if colours else text)


def obeyed(text: str, *, ours: bool = False) -> list[str]:
    """Return the lines that a runner would obey, except, if `ours`, for those of nbbuild."""
    lines = [line for line in text.split("\n") if _OBEYED.search(line)]
    return [line for line in lines if not (ours and OWN_COMMANDS.match(line))]
