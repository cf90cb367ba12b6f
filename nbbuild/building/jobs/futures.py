"""Have attempts executed by any `concurrent.futures.Executor` that runs functions elsewhere."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, CancelledError, Executor, wait
from pathlib import Path

from nbbuild.building.executors import TICK, GivenUp, Job, Jobs, Lost, Workers
from nbbuild.building.executors.local import threads
from nbbuild.building.jobs.marks import noted_cell
from nbbuild.building.jobs.orders import BadOrder
from nbbuild.building.jobs.working import work
from nbbuild.errors import raised

PATIENCE = 20.0
"""Seconds that an attempt may take to end once it is cancelled."""


class FutureJobs(Jobs):
    """Carries out the jobs of one build with `executor`, which is shut down at the end.

    Its workers must see the project under the same path, or else cannot be cancelled.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._left = False  # whether an attempt goes on that nobody waits for

    def carry_out(self, job: Job, *, cancelled: threading.Event) -> bytes:
        """Have `work` called with the order of `job`; see `Jobs`."""
        try:
            future = self._executor.submit(work, job.order)
            cell: tuple[int, int] | None = None
            while not wait([future], TICK).done:
                cell = _told(job, cell)
                if cancelled.is_set():
                    future.cancel()
                    job.unwanted()
                    if wait([future], PATIENCE).not_done:
                        self._left = True
                    raise GivenUp
            _told(job, cell)
            return future.result()
        except (GivenUp, BadOrder):
            raise
        except (BrokenExecutor, CancelledError) as error:
            raise Lost(str(error) or type(error).__name__) from error
        except Exception as error:  # of the executor's own: `work` answers whatever happens to it
            raise Lost(raised(error)) from error

    def close(self) -> None:
        """Shut the executor down; an attempt that could not be cancelled is not waited for."""
        self._executor.shutdown(wait=not self._left)


def _told(job: Job, last: tuple[int, int] | None) -> tuple[int, int] | None:
    """Tell which cell has begun, if that is not the `last` one; return it."""
    cell = noted_cell(Path(job.begun.mark))
    if cell is None or cell == last:
        return last
    job.told(*cell)
    return cell


def over(executor: Executor, *, slots: int) -> Workers:
    """Return workers that have `executor` execute `slots` attempts at once."""
    return threads(slots, FutureJobs(executor))
