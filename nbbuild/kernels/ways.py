"""Choose between the two ways of executing a notebook: our own, and the portable one.

Our own needs Linux: pidfd, a subreaper, forks, seccomp. The portable one (portable.py) is used
everywhere else, and on Linux when NBBUILD_PORTABLE is set, so that anybody can test and try it.
Only this module decides.
"""

from __future__ import annotations

import os
import sys

from nbbuild.watching import seccomp


def portable() -> bool:
    """Return whether notebooks are executed the portable way."""
    return sys.platform != "linux" or os.environ.get("NBBUILD_PORTABLE", "0") not in ("", "0")


def unseen() -> str:
    """Return why system calls cannot be watched, "" if no reason is known."""
    return "the portable way watches no system calls" if portable() else seccomp.unavailable()
