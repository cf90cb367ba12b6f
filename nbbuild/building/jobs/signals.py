"""Keep worker processes on this machine from hearing signals that are meant for nbbuild.

A terminal sends Ctrl-C to all processes in its foreground, and so do `timeout` and many a service
manager with SIGTERM. A worker that ends by it takes its notebook along, as a failure, while nbbuild
only begins to cancel. The workers of our own cluster end with it, whatever happens.

Multiprocessing cannot start a process that ignores a signal. So they are born with the signals
blocked, as a process inherits that from the thread that starts it, and later ignore them.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBERS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)
]


@contextmanager
def blocked() -> Iterator[None]:
    """Block the signals in each thread, and so in each process, that is started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def dask_setup(worker: object) -> None:
    """Ignore the signals in a process that was born with them blocked; Dask calls this there."""
    if multiprocessing.parent_process() is None:  # nbbuild's own process
        return
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)
