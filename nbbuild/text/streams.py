"""The standard streams as a command finds them: closed, or made for text that is Unicode only."""

from __future__ import annotations

import codecs
import io
import os
import sys

_LOWEST_BYTE, _HIGHEST_BYTE = 0xDC80, 0xDCFF  # how a name holds bytes that are not UTF-8


def fill() -> None:
    """Open what of stdin, stdout and stderr was closed (`>&-`), so that it leads nowhere.

    Else the next file that is opened would become that stream: a database, say.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, and those below are taken by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def take_any_name() -> None:
    """Have stdout take names of files that are not text, and halves of surrogate pairs."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In UTF-8 the bytes of a name can be given as they are.
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        codecs.register_error(_HANDLER, _as_bytes)
        sys.stdout.reconfigure(errors=_HANDLER if utf8 else "backslashreplace")


_HANDLER = "nbbuild-names"


def _as_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return the bytes of a name as they were, and all else as escape sequences."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    given = b""
    for character in error.object[error.start : error.end]:
        code = ord(character)
        is_byte = _LOWEST_BYTE <= code <= _HIGHEST_BYTE
        given += bytes([code - 0xDC00]) if is_byte else f"\\u{code:04x}".encode()
    return given, error.end
