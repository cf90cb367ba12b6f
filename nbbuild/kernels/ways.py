"""Choose between the two ways of executing a notebook: our own, and the portable one.

Our own needs Linux: pidfd, a subreaper, forks, seccomp. The portable one (portable.py) is taken
everywhere else, and on Linux when NBBUILD_PORTABLE is set: so contributors can test it, and anybody
can try it. This is the only place that decides.
"""

from __future__ import annotations

import os
import sys

from nbbuild.watching import seccomp


def portable() -> bool:
    """Say whether notebooks are executed the portable way."""
    return sys.platform != "linux" or os.environ.get("NBBUILD_PORTABLE", "0") not in ("", "0")


def unseen() -> str:
    """Say why system calls are not watched, "" when nothing is known to be in the way."""
    return "the portable way watches no system calls" if portable() else seccomp.unavailable()
