"""Run actions on this machine: each in a thread that supervises one kernel process.

Each kernel is a process of its own, so threads are enough; a process pool would only add pickling.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from nbbuild.building.executors import Jobs, Setup, Workers


def threads(slots: int, jobs: Jobs | None = None) -> Workers:
    """Start `slots` threads, which supervise `jobs`; None: kernels of this machine."""
    return Workers(ThreadPoolExecutor(slots, thread_name_prefix="nbbuild"), slots, jobs)


def local(setup: Setup) -> Workers:
    """Start as many threads as notebooks run at once."""
    return threads(setup.jobs or setup.cores)


def serial(setup: Setup) -> Workers:
    """Start one thread, whatever `setup` says: one notebook after the other, in order."""
    return threads(1)
