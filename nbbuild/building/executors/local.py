"""Run actions on this machine: each in a thread that supervises one kernel process.

Each kernel is a process of its own, so threads are enough; a process pool would only add pickling.
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
