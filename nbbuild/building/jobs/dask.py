"""Have attempts executed by the workers of a Dask cluster.

Dask does four things that a build must not have, found by trying:

* The same call with the same arguments returns the earlier result without running again. So every
  attempt has a name of its own, and `pure=False`.
* A task whose worker dies is run again on another, three times, and nobody is told. But what a dead
  attempt left in the tree has to be put away first. So an attempt is claimed, in the scheduler,
  before it begins: a second worker that gets it finds the claim, and does nothing. The build sees
  that the first is gone, and decides itself.
* Cancelling a task does not end it. But the worker's own state says that nobody wants it any more,
  also when the whole build has been killed. The attempt looks there, and ends its kernel.
* Workers of `LocalCluster` are daemons, which must not have children made by multiprocessing. The
  launcher is started by subprocess.

Progress comes as Dask's events, under a topic of this build.
"""

from __future__ import annotations

import asyncio
import importlib
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, get_worker
from distributed.scheduler import KilledWorker
from distributed.utils import sync

from nbbuild.building.executors import TICK, GivenUp, Job, Jobs, Lost, Setup, Workers
from nbbuild.building.executors.local import threads
from nbbuild.building.jobs import working
from nbbuild.errors import ConfigError

PATIENCE = 20.0
"""Seconds that a scheduler may take to answer, and a cancelled attempt to end."""

_LOOK = 2.0  # seconds between two looks at which workers there are
_WAITS = 5.0  # seconds after which a user is told that no worker takes a task
_UNWANTED = frozenset({"cancelled", "forgotten", "released"})  # of Dask's states of a task


def start(setup: Setup) -> Workers:
    """Connect to the scheduler that `setup` names, or start a cluster.

    Raises `ConfigError` if that fails.
    """
    options: Mapping[str, Any] = setup.options
    address = options.get("address", "")
    cluster = None if address else _cluster(options, setup)
    try:
        client = Client(address or cluster, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        raise ConfigError(
            f"the Dask scheduler at '{address}' cannot be reached",
            facts=[("because", str(error))],
            hint="start it, or correct [dask] address",
        ) from error
    return threads(_slots(client, setup), DaskJobs(client, cluster))


def _slots(client: Client, setup: Setup) -> int:
    """Return how many attempts to hand out at once: as many as there are places, if not said."""
    return setup.jobs or sum(client.nthreads().values()) or setup.cores


def _cluster(options: Mapping[str, Any], setup: Setup) -> Any:
    said = dict(options.get("options", {}))
    name = options.get("cluster", "")
    count = setup.jobs or setup.cores
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        if not name:
            # One process for each notebook, so that a worker that is lost takes no other with it.
            usual = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": None}
            return LocalCluster(**{**usual, **said})
        module, _, kind = name.rpartition(".")
        try:
            made = getattr(importlib.import_module(module), kind)(**said)
        except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
            raise ConfigError(
                f"the Dask cluster '{name}' cannot be started",
                facts=[("in", "jcache.toml, [dask]"), ("because", str(error))],
                hint="is its package installed, and does it take these options?",
            ) from error
    if "n_workers" not in said:
        made.scale(count)
    return made


@dataclass(slots=True)
class _Running:
    """An attempt that was handed out, and what its worker has told of it."""

    job: Job
    began: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    worker: str = ""  # its address
    when: float = 0.0  # when it began, on this process's monotonic clock


class DaskJobs(Jobs):
    """Carries out the jobs of one build on a Dask cluster; a `cluster` ends with it."""

    def __init__(self, client: Client, cluster: Any = None) -> None:
        self._client = client
        self._cluster = cluster
        self._topic = f"nbbuild-{secrets.token_hex(8)}"
        self._running: dict[str, _Running] = {}
        self._turn = threading.Lock()
        self._looking = threading.Lock()
        self._looked = 0.0
        self._there: frozenset[str] = frozenset()
        client.subscribe_topic(self._topic, self._hear)

    def carry_out(self, job: Job, *, cancelled: threading.Event) -> bytes:
        """Have a worker carry out `job`; see `Jobs`."""
        try:
            return self._carried_out(job, cancelled)
        except OSError as error:  # also Dask's own, about connections
            raise Lost(f"Dask's scheduler: {error}") from error

    def _known(self, job: Job) -> dict[str, float]:
        """Return what `job` takes of what some worker declares: Dask waits for others for ever.

        nbbuild itself counts all of its resources, for all workers together.
        """
        resources = dict(job.resources)
        if job.cores > 1:
            resources.setdefault("cores", job.cores)
        if not resources:
            return {}
        info = _whole_info(self._client)
        declared = {name for worker in info.values() for name in worker.get("resources") or ()}
        return {name: number for name, number in resources.items() if name in declared}

    def _carried_out(self, job: Job, cancelled: threading.Event) -> bytes:
        name = f"{job.name}-{secrets.token_hex(8)}"
        resources = self._known(job)
        running = _Running(job)
        with self._turn:
            self._running[name] = running
        done = threading.Event()
        future = self._client.submit(
            carry_out,
            job.order,
            name,
            self._topic,
            key=name,
            pure=False,
            retries=0,
            priority=job.priority,
            resources=resources or None,
        )
        future.add_done_callback(lambda _: done.set())
        try:
            self._wait(future, running, done, cancelled, takes=resources)
            return self._answer(future, running)
        finally:
            with self._turn:
                del self._running[name]
            future.release()

    def close(self) -> None:
        """Leave the cluster, and end it if it is this build's."""
        with suppress(OSError):  # the scheduler may be gone
            self._client.set_metadata([self._topic], None)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _wait(
        self,
        future: Future,
        running: _Running,
        done: threading.Event,
        cancelled: threading.Event,
        *,
        takes: Mapping[str, float],
    ) -> None:
        """Return when `future` is done; raise GivenUp, or Lost where it never will be."""
        submitted, told = time.monotonic(), False
        while not done.wait(TICK):
            if cancelled.is_set():
                future.cancel()
                if running.began.is_set():
                    running.ended.wait(PATIENCE)
                raise GivenUp
            if running.began.is_set():
                if not running.ended.is_set() and self._gone(running):
                    future.cancel()
                    raise Lost(running.worker)
            elif not told and time.monotonic() - submitted > _WAITS:
                told = True
                running.job.waits(_said(takes))

    def _answer(self, future: Future, running: _Running) -> bytes:
        where = running.worker or "before it began"
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                raise Lost(where) from error
            raise error
        if future.status != "finished":  # the scheduler is gone, or somebody cancelled it there
            raise Lost(f"Dask says that it is {future.status}")
        answer = future.result()
        if answer is None:
            raise Lost(where)
        assert isinstance(answer, bytes)
        return answer

    def _gone(self, running: _Running) -> bool:
        """Whether a worker is no longer in the cluster; Dask is asked once for all jobs."""
        with self._looking:
            if time.monotonic() - self._looked > _LOOK:
                self._there = frozenset(self._client.nthreads())
                self._looked = time.monotonic()
            return running.worker not in self._there and running.when < self._looked

    def _hear(self, event: Any) -> None:
        """Take note of what a worker tells; Dask calls this, one event after the other."""
        _, said = event
        with self._turn:
            running = self._running.get(said["name"])
        if running is None:
            return
        if said["what"] == "cell":
            running.job.told(said["number"], said["total"])
        elif said["what"] == "began":
            running.worker, running.when = said["worker"], time.monotonic()
            running.began.set()
        else:
            running.ended.set()


def carry_out(order: bytes, name: str, topic: str) -> bytes | None:
    """Carry out an order in a Dask worker; None if another worker had begun it."""
    worker = get_worker()
    claim = [topic, name]
    if sync(worker.loop, worker.scheduler.get_metadata, keys=claim, default=None) is not None:
        return None
    sync(worker.loop, worker.scheduler.set_metadata, keys=claim, value=worker.address)

    def tell(what: str, **more: object) -> None:
        worker.log_event(topic, {"name": name, "what": what, **more})

    def wanted() -> bool:
        state = worker.state.tasks.get(name)
        return state is not None and state.state not in _UNWANTED

    tell("began", worker=worker.address)
    try:
        return working.workplace().carry_out(
            order,
            told=lambda number, total: tell("cell", number=number, total=total),
            wanted=wanted,
        )
    finally:
        tell("ended")


def _said(takes: Mapping[str, float]) -> str:
    """Say what a job waits for that takes so much of what workers declare."""
    units = ", ".join(f"{name} = {number:g}" for name, number in sorted(takes.items()))
    return "waits for a Dask worker" + (f" with {units}" if units else "")


def _whole_info(client: Client) -> Mapping[str, Mapping[str, Any]]:
    """Return what the scheduler knows of each worker, by address."""
    try:
        info = client.scheduler_info(n_workers=-1)
    except TypeError:  # before 2025.3, which tells of a few workers only unless it is asked
        info = client.scheduler_info()
    workers: Mapping[str, Mapping[str, Any]] = info["workers"]
    return workers
