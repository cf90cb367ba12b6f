"""A Dask cluster whose workers are processes of their own, and what becomes of their processes."""

import os
import subprocess
import sys
from contextlib import suppress

import dask
import distributed


def gone(pid):
    """Return once a process has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        while _stat(pid)[0] not in "ZX":
            pass


def _stat(pid):
    """Return the state, the parent, … of a process."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def is_below(pid, above):
    """Whether a process descends from another."""
    while pid > 1:
        if pid == above:
            return True
        pid = int(_stat(pid)[1])
    return False


class Cluster:
    """A Dask scheduler with workers that are processes, each for one notebook at a time.

    The scheduler leaves tasks where it has put them.
    """

    def __init__(self, folder):
        self._folder = folder
        with dask.config.set({"distributed.scheduler.work-stealing": False}):
            self._local = distributed.LocalCluster(n_workers=0, dashboard_address=None)
        self.address = self._local.scheduler_address
        self.client = distributed.Client(self.address, set_as_default=False)
        self._workers = []

    def add(self, *words, count=1, **environ):
        """Start workers in a folder that has nothing to do with the project."""
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address]
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
        for _ in range(count):
            self._workers.append(
                subprocess.Popen(
                    [*command, *options, *words],
                    cwd=self._folder,
                    env={**os.environ, **environ},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        self.client.wait_for_workers(len([one for one in self._workers if one.poll() is None]))

    def pids(self):
        return [one.pid for one in self._workers if one.poll() is None]

    def kill(self, pid):
        """End a worker as a failing machine does."""
        (worker,) = (one for one in self._workers if one.pid == pid)
        worker.kill()
        worker.wait()

    def close(self):
        self.client.close()
        for one in self._workers:
            one.kill()
            one.wait()
        self._local.close()
