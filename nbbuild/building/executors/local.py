"""Run actions on this machine: each in a thread that supervises one kernel process.

The kernel is the isolation, so threads are enough; a pool of processes would add pickling only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from nbbuild.building.executors import Workers


def local(jobs: int) -> Workers:
    """Start `jobs` threads."""
    return Workers(ThreadPoolExecutor(jobs, thread_name_prefix="nbbuild"), jobs)


def serial(jobs: int) -> Workers:
    """Start one thread, whatever `jobs` says: one notebook after the other, in order."""
    return Workers(ThreadPoolExecutor(1, thread_name_prefix="nbbuild"), 1)
