"""Where attempts are executed: each executor is an entry point of the group `nbbuild.executors`.

An entry point is a function that gets a `Setup` and returns started `Workers`. Every task of a
build is supervised by a thread of this process, which judges it, prepares its attempt and settles
it; `Workers.executor` has those threads. Where `Workers.jobs` is None, the thread also executes the
attempt, with a kernel of this machine. Otherwise it hands a `Job` to `jobs` and waits for the
answer: bytes go out, to be passed to `nbbuild.executors.work` in some other process, and the bytes
that this returns come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from nbbuild import optional_imports
from nbbuild.errors import ConfigError, NbbuildError, UsageError, did_you_mean, raised

GROUP = "nbbuild.executors"

OWN = ("local", "serial")
"""Names that always mean nbbuild's own kernels on this machine, whatever else is installed."""

TICK = 0.05
"""Seconds between two looks at whether a job is still wanted."""


class GivenUp(Exception):
    """A job was ended because the build does not want it any more."""


class NotBegun(Exception):
    """A job could not be begun; the text says why."""


class Lost(Exception):
    """What carried out a job is gone, and its answer with it; the text says who was lost."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when an attempt began; an earlier build may have begun it."""

    began_ns: int  # on the clock of file times
    found: Mapping[str, str]  # files of earlier runs that it could find, with digests
    mark: str = ""  # the file that is there for as long as the attempt is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt, to be carried out elsewhere."""

    name: str  # the task, for people
    key: str  # the same for the same work: 64 hexadecimal characters
    order: bytes  # for `work`; holds the environment, so keep it from others' eyes
    begun: Begun  # for `Jobs.under_way` of a later build
    resumes: bool = False  # `under_way` has found it: wait for it, and begin nothing
    priority: float = 0.0  # of several, the highest goes first
    cores: int = 1  # that it asks for
    resources: Mapping[str, float] = field(default_factory=dict)  # that it takes while it runs
    told: Callable[[int, int], None] = lambda number, total: None  # as each cell begins
    waits: Callable[[str], None] = lambda why: None  # when it does not begin for long

    def unwanted(self) -> None:
        """End the job wherever its worker sees the project; it takes a worker a moment."""
        Path(self.begun.mark).unlink(missing_ok=True)


class Jobs:
    """Carries out jobs elsewhere; thread-safe."""

    outlive: bool = False
    """Whether a job goes on when its build is killed, to be found again by `under_way`."""

    def carry_out(self, job: Job, *, cancelled: threading.Event) -> bytes:
        """Return what `work` returned for the order of `job`.

        Look at `cancelled` every `TICK` or so; once it is set, end the job, and raise GivenUp when
        it has ended. Raise NotBegun if it cannot be begun, and Lost if its answer will never
        come; begin nothing anew, since the build decides whether there is another attempt.
        """
        raise NotImplementedError

    def under_way(self, key: str) -> Begun | None:
        """Return the job of `key` that an earlier build began and whose answer nobody has used."""
        return None

    def answered_ns(self, key: str) -> int:
        """Return when its answer came, on the clock of file times; 0 if nobody knows."""
        return 0

    def left(self) -> Collection[str]:
        """Return the keys of all such jobs."""
        return ()

    def end_others(self, task: str, *, but: str) -> None:
        """End the jobs that earlier builds began for `task` with another key than `but`."""

    def settled(self, key: str) -> None:
        """Forget the answer to the job of `key`: the build has kept what came of it."""

    def close(self) -> None:
        """End everything that was started for this build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What an executor is started for."""

    root: Path  # of the project
    jobs: int | None = None  # how many at once the user wants; None: as many as there are places
    cores: int = 1  # how many notebooks this machine would run at once
    options: Mapping[str, Any] = field(default_factory=dict)  # its table in jcache.toml


@dataclass(frozen=True, slots=True)
class Workers:
    """A started executor, and how many tasks to give it at once; a context manager that ends it."""

    executor: Executor  # the threads of this process that supervise the tasks
    slots: int
    jobs: Jobs | None = None  # carries out attempts elsewhere; None: by kernels of this machine

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.executor.shutdown()
        if self.jobs is not None:
            self.jobs.close()


def find(name: str) -> Callable[[Setup], Workers]:
    """Return the function that starts the executor `name`.

    Raises `UsageError` when no installed package has an executor of that name, or when it lacks
    something.
    """
    if name in OWN:  # asking every installed distribution takes longer than a small notebook
        from nbbuild.building.executors import local

        return local.local if name == "local" else local.serial
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UsageError(
            f"there is no executor '{name}'",
            facts=[("executors", ", ".join(sorted(found)))],
            hint=did_you_mean(name, found) or "choose one of these",
        )
    optional_imports.show()
    try:
        start: Callable[[Setup], Workers] = found[name].load()
    except Exception as error:
        raise UsageError(
            f"the executor '{name}' cannot be loaded",
            facts=[("because", raised(error))],
            hint=_install(name) if isinstance(error, ImportError) else "",
        ) from error
    return partial(_started, name, start)


def _started(name: str, start: Callable[[Setup], Workers], setup: Setup) -> Workers:
    """Return what `start` returns; raises `ConfigError` for what it does not foresee."""
    try:
        return start(setup)
    except NbbuildError:
        raise
    except Exception as error:
        table = name if name in ("dask", "command") else "executor"
        hint = "" if isinstance(error, OSError) else "does it take these options?"
        raise ConfigError(
            f"the executor '{name}' cannot be started",
            facts=[("in", f"jcache.toml, [{table}]"), ("because", raised(error))],
            hint=_install(name) if isinstance(error, ImportError) else hint,
        ) from error


def _install(name: str) -> str:
    return "pip install 'nbbuild[dask]'" if name == "dask" else "install the package that it needs"
