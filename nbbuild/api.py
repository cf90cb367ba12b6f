"""What Python programs call: load a project, plan and build it, read what its store holds.

A project is given as what `load` returned, or by its folder, which is then loaded for this one
call. Nothing here prints, changes the working folder or installs signal handlers, so that it works
from any thread, beside a running event loop, and inside other tools.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from nbbuild.building import pipeline
from nbbuild.errors import StoreError, UsageError
from nbbuild.events import Event, Observer, silent
from nbbuild.judging.verdicts import Plan
from nbbuild.model import Record, Report, Settings
from nbbuild.notebook.merge import ExecutedCell, stored_cells
from nbbuild.session import Session, open_session
from nbbuild.store import DiskStore
from nbbuild.store.choosing import artefact_named, record_named
from nbbuild.store.layout import FORMAT
from nbbuild.store.records import newest_first

Project: TypeAlias = Session | Path | str
"""A loaded project, or the folder of its `jcache.toml`."""

Targets: TypeAlias = str | Sequence[str]
"""One word or several, as on the command line; none mean everything."""


def load(
    directory: Path | str = ".",
    *,
    file: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Settings | None = None,
) -> Session:
    """Load the project in `directory`, for `with`; writes nothing.

    `file` is another name than `jcache.toml`; `environ` stands for `os.environ`, here and for the
    kernels; `overrides` win over all that the project says about how notebooks run. Raises
    `ConfigError`, or `Problems` for several at once.
    """
    return open_session(directory, file=file, environ=environ, overrides=overrides)


def plan(project: Project = ".", targets: Targets = (), *, force: bool = False) -> Plan:
    """Judge what `targets` need, without running or writing anything.

    With `force`, as if nothing were up to date. Raises what `load` raises, `UsageError` for a
    target that means nothing, `KernelError`.
    """
    with _opened(project) as session:
        return session.plan(_words(targets), forced=force)


def build(
    project: Project = ".",
    targets: Targets = (),
    *,
    jobs: int | None = None,
    executor: str | None = None,
    keep_going: bool | None = None,
    max_failures: int | None = None,
    skip_known_failures: bool = False,
    force: bool = False,
    execute: bool = True,
    observer: Observer | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Bring `targets` up to date, and return what became of each task.

    A failed notebook is no exception: see `Report.exit_status` and `Outcome.failure`. `jobs`
    notebooks run at once and `executor` names what runs them (None: as configured). Without
    `keep_going` nothing starts after a failure, with `max_failures` after that many. With
    `skip_known_failures` a notebook counts as failed, and is not run, if it failed in its last run
    and its code and declared inputs are the same. With `force` all that the targets need runs.
    Without `execute` no kernel starts: what is in the cache is put back, and a notebook that would
    have to run fails.

    `observer` is called with each `Event`, from any thread; it should be quick and must not raise.
    Without one, a build in a notebook shows its progress below the cell; anywhere else, nothing is
    shown.

    Once `cancelled` is set, kernels are ended and nothing starts any more, within a fraction of a
    second. Then, as after Ctrl-C in the main thread, the report says `interrupted`.

    Raises what `plan` raises, before anything runs, and `StoreError` when the cache fails.
    """
    tell, finish = _following(observer)
    with _opened(project) as session:
        report = pipeline.build(
            session,
            targets=_words(targets),
            jobs=jobs,
            executor=executor,
            keep_going=keep_going,
            max_failures=max_failures,
            skip_known_failures=skip_known_failures,
            force=force,
            execute=execute,
            observer=tell,
            cancelled=cancelled,
        )
    finish(report)
    return report


async def build_async(
    project: Project = ".",
    targets: Targets = (),
    *,
    jobs: int | None = None,
    executor: str | None = None,
    keep_going: bool | None = None,
    max_failures: int | None = None,
    skip_known_failures: bool = False,
    force: bool = False,
    execute: bool = True,
    observer: Observer | None = None,
) -> Report:
    """Like `build`, beside whatever else the event loop does.

    `observer` is called in the loop's own thread, so it may touch what the loop's tasks touch. When
    the task that awaits this is cancelled, no kernel is left once `CancelledError` is raised.
    """
    loop = asyncio.get_running_loop()
    cancelled = threading.Event()
    follow, finish = _following(observer)

    def tell(event: Event) -> None:
        loop.call_soon_threadsafe(follow, event)

    work = loop.run_in_executor(
        None,
        partial(
            build,
            project,
            targets,
            jobs=jobs,
            executor=executor,
            keep_going=keep_going,
            max_failures=max_failures,
            skip_known_failures=skip_known_failures,
            force=force,
            execute=execute,
            observer=tell,
            cancelled=cancelled,
        ),
    )
    try:
        report = await asyncio.shield(work)
    except asyncio.CancelledError:
        cancelled.set()
        while not work.done():  # however often it is cancelled: kernels must not outlive this
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # else asyncio tells that nobody looked at it
        raise
    finish(report)
    return report


class Store:
    """The results kept in one folder: that of `[cache] path`, or what `nbbuild cache path` prints.

    Only reads. A result whose bytes are missing or damaged has `None` for them.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the store in the folder `path`; raise `StoreError` if there is none."""
        folder = Path(path)
        if folder.name == f"v{FORMAT}" and (folder / "VERSION").exists():
            folder = folder.parent
        self._disk = DiskStore(folder)
        if not self._disk.layout.is_ours():
            raise StoreError(
                f"there is no cache in '{path}'",
                hint="the first build makes it; `nbbuild cache path` prints its folder",
            )

    @property
    def path(self) -> Path:
        """The folder that was opened."""
        return self._disk.layout.path

    def records(self, task: str = "") -> list[Record]:
        """Return the results of `task`, or of all tasks, newest first."""
        found = self._disk.all_records()
        return newest_first(record for record in found if task in ("", record.task))

    def record(self, id: str) -> Record:
        """Return the record whose id is, or begins with, `id`; raise `UsageError` if not just one.

        All runs of one key begin alike.
        """
        found = record_named(id, self._disk.all_records())
        if found is None:
            raise UsageError(
                f"there is no record '{id}'", hint="`nbbuild cache list` shows their ids"
            )
        return found

    def cells(self, record: Record) -> tuple[ExecutedCell, ...] | None:
        """Return the executed code cells of a record, in order, with their outputs."""
        found = stored_cells(self._disk.get, record.cells)
        return None if found is None else found.cells

    def artefact(self, record: Record, path: str) -> bytes | None:
        """Return what the run of `record` wrote to `path`, relative to the root.

        Raises `UsageError` if it wrote no artefact there.
        """
        return self._disk.get(artefact_named(path, record).digest)

    def restore(self, record: Record, path: str, target: Path | str) -> bool:
        """Write an artefact of `record` to `target`, in one step; return whether it was there.

        Raises what `artefact` raises, and `StoreError` when it cannot be written.
        """
        file = artefact_named(path, record)
        return self._disk.restore(file.digest, Path(target), executable=file.executable)


@contextmanager
def _opened(project: Project) -> Iterator[Session]:
    """Yield a project as the disk is now; close it if it was opened for this."""
    if isinstance(project, Session):
        project.forget()
        yield project
    else:
        with load(project) as session:
            yield session


def _following(observer: Observer | None) -> tuple[Observer, Callable[[Report], None]]:
    """Return what follows a build, and what shows how it ended; in a notebook both draw."""
    if observer is None and "IPython" in sys.modules:
        from nbbuild.report.in_notebook import InNotebook, jupyter_display

        display = jupyter_display()
        if display is not None:
            shown = InNotebook(display)
            return shown, shown.finish
    return observer or silent, lambda report: None


def _words(targets: Targets) -> Sequence[str]:
    return [targets] if isinstance(targets, str) else targets
