"""How an IPython kernel leaves after the last cell, and what of the notebook it leaves behind.

A kernel is not asked to leave by a shutdown_request: that is served by its control thread, which
may wait 10 s for an output thread that has gone already, and it waits in vain for children that the
notebook did not reap. It is told, silently, to end its main loop, as `exit()` does.

Python then waits for all threads that are no daemons, without end: a server that a notebook started
in the background would hold its kernel until that is killed, and then no exit hook has run and no
open file is whole. So the kernel waits for `PATIENCE` only, says who still ran, and goes on to its
exit hooks. What the thread gave so far does not depend on that, unless it was writing a file.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbbuild.disk.regular import read
from nbbuild.disk.shapes import Misshapen, Shape

PATIENCE = 2.0
"""Seconds that threads of a notebook have to end after its last cell."""

_NAME = "late"
_SHOWN = 3  # threads and files that are named


class Late(msgspec.Struct, frozen=True):
    """What still ran as the kernel left: the names of threads, and files open for writing."""

    threads: tuple[str, ...]
    files: tuple[str, ...] | None  # None: nobody can tell

    @property
    def note(self) -> str:
        """What a user should know."""
        several = len(self.threads) > 1
        who = f"the thread{'s' if several else ''} {_listed(self.threads)}"
        text = f"{who} still ran {PATIENCE:g} s after the last cell and went with the kernel"
        if self.files:
            text += f", which had files open for writing: {_listed(self.files)}"
        each = "them" if several else "it"
        return f"{text}; end {each} in the last cell, or start {each} with daemon=True"


_LATE: Shape[Late] = Shape(Late)


def code(folder: Path, *, patience: float | None = None) -> str:
    """Return the code by which a kernel leaves once it has answered the request it is part of.

    `folder` is the kernel's private one.
    """
    seconds = PATIENCE if patience is None else patience
    begin = f"{_THREADS}\nbegin({str(folder / _NAME)!r}, {seconds!r})"
    return f"exec({begin!r}, {{'__name__': 'nbbuild'}})\n{_LEAVE}"


def late(folder: Path) -> Late | None:
    """Return what a kernel that has left said of its threads, None if all had ended."""
    try:
        return _LATE.from_json(read(folder / _NAME))
    except (OSError, Misshapen):
        return None


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more


_LEAVE = """
(lambda shell: (
    setattr(shell, "exit_now", True),
    shell.kernel.io_loop.add_callback(shell.kernel.io_loop.stop),
))(__import__("IPython").get_ipython())
"""

# Python calls `threading._shutdown` by its name as it ends. A signal ends the wait in it: up to
# Python 3.12 by its exception, later Python prints that and goes on.
_THREADS = """
import json, os, signal, stat, threading
def begin(place, patience):
    original, passed = threading._shutdown, []
    class Late(BaseException):
        pass
    def ring(number, frame):
        passed.append(number)
        raise Late
    def tell():
        main = threading.main_thread()
        there = [one for one in threading.enumerate() if not one.daemon and one is not main]
        if there:
            said = {"threads": [one.name for one in there], "files": written()}
            with open(place, "w") as file:
                json.dump(said, file)
    def written():
        found = set()
        try:
            for name in os.listdir("/proc/self/fd"):
                try:
                    look, path = os.fstat(int(name)), os.readlink("/proc/self/fd/" + name)
                    with open("/proc/self/fdinfo/" + name) as info:
                        flags = [line.split()[1] for line in info if line.startswith("flags:")]
                except OSError:
                    continue
                writes = int(flags[0], 8) & os.O_ACCMODE != os.O_RDONLY
                ours = path.startswith(os.path.dirname(place) + "/")
                if writes and stat.S_ISREG(look.st_mode) and look.st_nlink and not ours:
                    found.add(os.path.basename(path))
        except OSError:
            return None
        return sorted(found)
    def shutdown():
        if not hasattr(signal, "setitimer"):
            return original()
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, patience)
        try:
            original()
        except Late:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
        if passed:
            tell()
    threading._shutdown = shutdown
"""
