"""Flags to open a file with: open(2) has more of them than Windows does."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    QUIETLY = os.O_NOINHERIT | os.O_BINARY
    NO_LINK = 0
else:
    QUIETLY = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    """No waiting for a pipe's writer, no terminal that becomes ours, not for our programs."""

    NO_LINK = os.O_NOFOLLOW
    """Do not open a link to a file."""

ONLY_HERE = QUIETLY | NO_LINK
"""For one of our own files."""
