"""Have attempts executed by the workers of a Dask cluster.

Dask does five things that a build must not have, found by trying:

* The same call with the same arguments returns the earlier result without running again. So every
  attempt has a name of its own, and `pure=False`.
* A task whose worker dies is run again on another, three times, and nobody is told. But what a dead
  attempt left in the tree has to be put away first. So an attempt is claimed, in the scheduler,
  before it begins: a second worker that gets it finds the claim, and does nothing. The build sees
  that the first is gone, and decides itself.
* A task may stand in line behind another, which can take hours, while a worker has nothing to do:
  Dask compares what it believes tasks to take, and does not always steal. So the build looks, takes
  such a job back by claiming it itself, and hands it to the idle worker.
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import dask
from distributed import Client, Future, LocalCluster, get_worker
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker
from distributed.utils import sync

from nbbuild.building.executors import TICK, GivenUp, Job, Jobs, Lost, NotBegun, Setup, Workers
from nbbuild.building.executors.local import threads
from nbbuild.building.jobs import signals, working
from nbbuild.building.jobs.orders import BadOrder
from nbbuild.errors import ConfigError, raised
from nbbuild.model import MEMORY
from nbbuild.text.quantities import amount

PATIENCE = 20.0
"""Seconds that a scheduler may take to answer, and a cancelled attempt to end."""

_ANSWERS = 10.0  # seconds after which a scheduler is silent; nothing is given up because of that
_LOOK = 2.0  # seconds between two looks at which workers there are
_WAITS = 5.0  # seconds after which a user is told that no worker takes a task
_ANY = "127.0.0.1:0"  # a port of this machine, whichever is free
_BROKEN = (OSError, RuntimeError, ClosedClientError)  # what Dask raises without a scheduler
_GONE = "Dask's scheduler is gone"
_WITHDRAWN = "withdrawn"  # claims a job in the place of a worker's address
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
            # Any port for the scheduler's pages: it warns if another cluster has the usual one.
            pages = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": _ANY}}
            usual = {"n_workers": count, "threads_per_worker": 1, **pages}
            return _started(LocalCluster, {**usual, **said})
        module, _, kind = name.rpartition(".")
        try:
            made = _started(getattr(importlib.import_module(module), kind), said)
        except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
            raise ConfigError(
                f"the Dask cluster '{name}' cannot be started",
                facts=[("in", "jcache.toml, [dask]"), ("because", str(error))],
                hint="is its package installed, and does it take these options?",
            ) from error
    if "n_workers" not in said:
        made.scale(count)
    return made


def _started(kind: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Start a cluster; its workers on this machine do not hear Ctrl-C."""
    if not (isinstance(kind, type) and issubclass(kind, LocalCluster)):
        return kind(**options)
    if not options.get("processes", True):
        return kind(**options)
    with signals.blocked():
        return kind(**{"preload": [signals.__name__], **options})


@dataclass(slots=True)
class _Running:
    """An attempt that was handed out, and what its worker has told of it."""

    job: Job
    takes: Mapping[str, float]  # of what workers declare
    name: str = ""  # of this handing out, in Dask
    handed: float = 0.0  # when, on this process's monotonic clock
    told: bool = False  # whether a user knows that it waits
    done: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    worker: str = ""  # its address
    when: float = 0.0  # when it began
    place: str = ""  # the worker where it would begin at once, if it waits for another task


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
        self._silent = False  # the scheduler did not answer when it was last asked
        client.subscribe_topic(self._topic, self._hear)

    def carry_out(self, job: Job, *, cancelled: threading.Event) -> bytes:
        """Have a worker carry out `job`; see `Jobs`."""
        try:
            return self._carried_out(job, cancelled)
        except _BROKEN as error:
            if not isinstance(error, OSError) and self._client.status == "running":
                raise
            raise Lost(_GONE) from error

    def close(self) -> None:
        """Leave the cluster, and end it if it is this build's."""
        if not self._silent:
            with suppress(*_BROKEN):  # the scheduler may be gone
                self._ask("set_metadata", keys=[self._topic], value=None)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _ask(self, question: str, **about: object) -> Any:
        """Ask the scheduler something, and note whether it answers; raise TimeoutError if not."""
        if self._client.status in ("closing", "closed"):
            raise ClosedClientError(_GONE)
        asked = getattr(self._client.scheduler, question)
        try:
            answer = self._client.sync(asked, callback_timeout=_ANSWERS, **about)
        except asyncio.TimeoutError as error:
            self._silent = True
            raise TimeoutError from error  # before Python 3.11 these are two
        self._silent = False
        return answer

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
        takes, place, told = self._known(job), "", False
        while True:
            # A file name need not be UTF-8, and Dask would lose its connection by one that is not.
            name = f"{job.name.encode(errors='backslashreplace').decode()}-{secrets.token_hex(8)}"
            running = _Running(job, takes, name, time.monotonic(), told)
            with self._turn:
                self._running[name] = running
            future = self._hand_out(running, place)
            try:
                place = self._wait(future, running, cancelled)
                if not place:
                    return self._answer(future, running)
                told = running.told
            finally:
                with self._turn:
                    del self._running[name]
                future.release()

    def _hand_out(self, running: _Running, place: str) -> Future:
        """Submit a job to Dask, which is to have it begin at `place` if that is still there."""
        job = running.job
        future = self._client.submit(
            travelling(),
            job.order,
            running.name,
            self._topic,
            key=running.name,
            pure=False,
            retries=0,
            priority=job.priority,
            resources=dict(running.takes) or None,
            workers=[place] if place else None,
            allow_other_workers=bool(place),
        )
        future.add_done_callback(lambda _: running.done.set())
        return future

    def _wait(self, future: Future, running: _Running, cancelled: threading.Event) -> str:
        """Return "" when `future` is done; raise GivenUp, or Lost where it never will be.

        Return the address of a worker where the job can begin at once instead, if it was taken
        back from the line in which it stood.
        """
        while not running.done.wait(TICK):
            if cancelled.is_set():
                self._give_up(future, running)
            self._look(running.job)
            if running.began.is_set():
                if not running.ended.is_set() and self._gone(running):
                    raise Lost(running.worker)
            elif running.place and self._withdrawn(running):
                return running.place
            elif not running.told and time.monotonic() - running.handed > _WAITS:
                running.told = True
                running.job.waits(_said(running.takes))
        return ""

    def _give_up(self, future: Future, running: _Running) -> NoReturn:
        """Have a job ended that is not wanted any more; raise GivenUp when its worker says so."""
        future.release()
        until = time.monotonic() + PATIENCE
        while running.began.is_set() and not running.ended.wait(TICK):
            self._look(running.job)
            if self._silent or self._gone(running) or time.monotonic() > until:
                break
        raise GivenUp

    def _answer(self, future: Future, running: _Running) -> bytes:
        where = running.worker or "before it began"
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                raise Lost(where) from error
            if isinstance(error, BadOrder):
                raise error
            if isinstance(error, OSError):
                raise Lost(f"{where}: {error}") from error
            # nbbuild raises nothing else there: Dask itself failed, or found no nbbuild.
            raise NotBegun(f"Dask says: {' '.join(raised(error).split())}") from error
        if future.status != "finished":
            said = f"Dask says that it is {future.status}"  # perhaps somebody cancelled it there
            raise Lost(said if self._client.status == "running" else _GONE)
        answer = future.result()
        if answer is None:
            raise Lost(where)
        assert isinstance(answer, bytes)
        return answer

    def _gone(self, running: _Running) -> bool:
        """Whether a worker was no longer in the cluster when it was last looked at."""
        return running.worker not in self._there and running.when < self._looked

    def _look(self, job: Job) -> None:
        """Ask which workers there are, and who is idle; Dask is asked once for all jobs."""
        if not self._looking.acquire(blocking=False):
            return
        silent = self._silent
        try:
            now = time.monotonic()
            if now - self._looked <= _LOOK:
                return
            threads = self._ask("ncores", workers=None)
            self._there, self._looked = frozenset(threads), now
            with self._turn:
                everyone = list(self._running.values())
            late = [one for one in everyone if not one.began.is_set() and now - one.handed > _LOOK]
            if late:
                self._find_places(late, threads)
        except TimeoutError:
            if not silent:
                job.waits("waits for Dask's scheduler, which does not answer")
        finally:
            self._looking.release()

    def _find_places(self, late: list[_Running], threads: Mapping[str, int]) -> None:
        """Say of jobs that stand in line, the most urgent first, where they could begin."""
        working: Mapping[str, Sequence[str]] = self._ask("processing", workers=None)
        # What is free of a resource is unknown, so only a worker that does nothing will do.
        info = _whole_info(self._client) if any(one.takes for one in late) else {}
        spare = {address: threads[address] - len(working.get(address, ())) for address in threads}
        where = {name: address for address, names in working.items() for name in names}
        for one in sorted(late, key=lambda one: -one.job.priority):
            address = where.get(one.name, "")
            alone = len(working.get(address, ())) <= (1 if one.takes else threads.get(address, 0))
            if not address or alone:
                continue  # it is about to begin there, or Dask waits for a worker itself
            for place, free in spare.items():
                least = threads[place] if one.takes else 1
                has = info.get(place, {}).get("resources") or {}
                if free >= least and all(has.get(key, 0) >= one.takes[key] for key in one.takes):
                    one.place = place
                    spare[place] -= least
                    break

    def _withdrawn(self, running: _Running) -> bool:
        """Take back a job that no worker has begun; False if one has, or does now."""
        claims = [self._topic, running.name]
        try:
            self._ask("set_metadata", keys=[*claims, _WITHDRAWN], value=True)
            first: str = next(iter(self._ask("get_metadata", keys=claims)))
        except TimeoutError:
            return False
        if first != _WITHDRAWN:
            running.place = ""
        return first == _WITHDRAWN

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


def travelling() -> Callable[[bytes, str, str], bytes | None]:
    """Return a function that calls `carry_out`, and that is sent as code.

    A function of a module is sent as its name. A worker that cannot import it leaves the cluster,
    and so does the next one that gets the task. Where there is no nbbuild, this one raises
    ImportError instead, and the build hears of it.
    """

    def carry_out(order: bytes, name: str, topic: str) -> bytes | None:
        there = importlib.import_module("nbbuild.building.jobs.dask")
        answer: bytes | None = there.carry_out(order, name, topic)
        return answer

    return carry_out


def carry_out(order: bytes, name: str, topic: str) -> bytes | None:
    """Carry out an order in a Dask worker; None if another has begun it, or it was taken back."""
    worker = get_worker()
    # All claims are entered; the first of them counts.
    claims, me = [topic, name], worker.address
    sync(worker.loop, worker.scheduler.set_metadata, keys=[*claims, me], value=True)
    if next(iter(sync(worker.loop, worker.scheduler.get_metadata, keys=claims))) != me:
        return None

    def tell(what: str, **more: object) -> None:
        worker.log_event(topic, {"name": name, "what": what, **more})

    def wanted() -> bool:
        state = worker.state.tasks.get(name)
        return state is not None and state.state not in _UNWANTED

    tell("began", worker=me)
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
    units = ", ".join(
        f"{name} = {amount(int(number)) if name == MEMORY else format(number, 'g')}"
        for name, number in sorted(takes.items())
    )
    return "waits for a Dask worker" + (f" with {units}" if units else "")


def _whole_info(client: Client) -> Mapping[str, Mapping[str, Any]]:
    """Return what the scheduler knows of each worker, by address."""
    try:
        info = client.scheduler_info(n_workers=-1)
    except TypeError:  # before 2025.3, which tells of a few workers only unless it is asked
        info = client.scheduler_info()
    workers: Mapping[str, Mapping[str, Any]] = info["workers"]
    return workers
