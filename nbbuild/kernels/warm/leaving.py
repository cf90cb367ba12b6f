"""How an IPython kernel exits after the last cell, and what the notebook leaves running.

A shutdown_request is not used. The kernel's control thread serves it, and that thread may wait 10 s
for an output thread that is already gone; it also waits in vain for children that the notebook did
not reap. Instead, the kernel silently ends its main loop, as `exit()` does.

Python then waits without limit for all threads that are not daemons. A server that a notebook
started in the background would hold its kernel until somebody kills it; then no exit hook runs, and
open files stay incomplete. So the kernel waits only for `PATIENCE`, reports what still runs, and
goes on to its exit hooks. The thread's results so far are safe, unless it was writing a file.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbbuild.disk.regular import read
from nbbuild.disk.shapes import Misshapen, Shape

PATIENCE = 2.0
"""Seconds that a notebook's threads have to end after its last cell."""

_NAME = "late"
_SHOWN = 3  # how many threads or files a message names


class Late(msgspec.Struct, frozen=True):
    """What still ran when the kernel exited: names of threads, and files open for writing."""

    threads: tuple[str, ...]
    files: tuple[str, ...] | None  # None: nobody can tell

    @property
    def note(self) -> str:
        """Return what a user should know."""
        several = len(self.threads) > 1
        who = f"the thread{'s' if several else ''} {_listed(self.threads)}"
        text = f"{who} still ran {PATIENCE:g} s after the last cell and went with the kernel"
        if self.files:
            text += f", which had files open for writing: {_listed(self.files)}"
        each = "them" if several else "it"
        return f"{text}; end {each} in the last cell, or start {each} with daemon=True"


_LATE: Shape[Late] = Shape(Late)


def code(folder: Path, *, patience: float | None = None) -> str:
    """Return the code that makes a kernel exit once it has answered the current request.

    `folder` is the kernel's private folder.
    """
    seconds = PATIENCE if patience is None else patience
    begin = f"{_THREADS}\nbegin({str(folder / _NAME)!r}, {seconds!r})"
    return f"exec({begin!r}, {{'__name__': 'nbbuild'}})\n{_LEAVE}"


def late(folder: Path) -> Late | None:
    """Return what an exited kernel reported about its threads; None if all had ended."""
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

# Python calls `threading._shutdown` by its name when it exits. A signal ends the wait in it: up to
# Python 3.12 the exception gets out; later versions print it and go on.
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
