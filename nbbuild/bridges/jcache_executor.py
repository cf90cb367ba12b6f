"""Executors for jupyter-cache: `jcache project execute -e nbbuild`, in parallel, in our kernels.

They do what jupyter-cache's own `local-parallel` and `temp-parallel` do, and what those leave out:
`force` counts, as many notebooks run at once as there are cores, a kernel that dies leaves a
traceback, no kernel outlives the command, and all that is written to the cache is written from one
thread, since jupyter-cache loses records when several write.

The class is found through the entry points of the group `jcache.executors`.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_cache.base import ProjectNb
from jupyter_cache.cache.db import NbProjectRecord
from jupyter_cache.executors.base import ExecutorRunResult, JupyterExecutorAbstract
from jupyter_cache.executors.utils import copy_assets, create_cache_bundle
from nbformat import NotebookNode

from nbbuild.errors import NbbuildError
from nbbuild.interpreter.kernelspec import KernelSpecs
from nbbuild.kernels.execute import Execution, execute
from nbbuild.kernels.launch.machine import cores
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.model import Failure
from nbbuild.notebook.code import parse
from nbbuild.text.printable import printed

_RAN = ("error", "timeout", "died", "lost")
"""Failures in the middle of a notebook; with the others it did not begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What holds for all notebooks of one call."""

    timeout: float | None
    allow_errors: bool
    kernels: KernelSpecs
    launcher: Launcher
    cancelled: threading.Event


class LocalExecutor(JupyterExecutorAbstract):  # type: ignore[misc]
    """Runs each notebook in its own folder."""

    def run_and_cache(
        self,
        *,
        filter_uris: list[str] | None = None,
        filter_pks: list[int] | None = None,
        timeout: int | None = 30,
        allow_errors: bool = False,
        force: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Execute what is not cached (with `force` everything) and cache it; see the base class.

        `timeout` is in seconds for each cell. It and `allow_errors` yield to the notebook's own
        metadata. Raises `KernelError` if no kernel at all can be started.
        """
        records = self.get_records(filter_uris, filter_pks, clear_tracebacks=True, force=force)
        jobs = min(cores(), len(records)) or 1
        self.logger.info("Executing %s notebook(s), %s at once", len(records), jobs)
        became: dict[str, str] = {}
        cancelled = threading.Event()
        with Launcher() as launcher, ThreadPoolExecutor(jobs, "nbbuild") as pool:
            settings = _Settings(
                timeout=timeout,
                allow_errors=allow_errors,
                kernels=KernelSpecs(),
                launcher=launcher,
                cancelled=cancelled,
            )
            running: dict[Future[Execution], ProjectNb] = {}
            for record in records:
                notebook = self._notebook(record)
                if notebook is None:
                    became[record.uri] = "errored"
                else:
                    running[pool.submit(self._execute, notebook, settings)] = notebook
            try:
                for future in as_completed(running):
                    became[running[future].uri] = self._keep(running[future], future)
            except BaseException:
                cancelled.set()  # Ctrl-C: the kernels end, and then the threads
                for future in running:
                    future.cancel()
                raise
        uris = [record.uri for record in records]
        return ExecutorRunResult(
            **{
                kind: [uri for uri in uris if became[uri] == kind]
                for kind in ("succeeded", "excepted", "errored")
            }
        )

    @contextmanager
    def _folder(self, notebook: ProjectNb) -> Iterator[Path]:
        """Give the folder to run in."""
        yield Path(notebook.uri).parent

    def _notebook(self, record: Any) -> ProjectNb | None:
        try:
            notebook = self.cache.get_project_notebook(record.pk)
        except OSError as error:  # of jupyter-cache: deleted, or no reader can read it
            self.logger.error("Failed Retrieving: %s\n%s", record.uri, printed(str(error)))
            NbProjectRecord.set_traceback(record.uri, str(error), self.cache.db)
            return None
        return ProjectNb(
            notebook.pk, notebook.uri, nbformat.convert(notebook.nb, 4), notebook.assets
        )

    def _execute(self, notebook: ProjectNb, settings: _Settings) -> Execution:
        """Execute `notebook`; in a thread of its own, away from the cache."""
        self.logger.info("Executing: %s", notebook.uri)
        parsed = parse(notebook.nb, notebook.uri)
        kernel = settings.kernels.find(parsed.kernel, language=parsed.language)
        timeout = settings.timeout if parsed.timeout is None else parsed.timeout
        allowed = settings.allow_errors if parsed.allow_errors is None else parsed.allow_errors
        with self._folder(notebook) as folder:
            return execute(
                notebook.nb,
                kernel,
                launcher=settings.launcher,
                cwd=folder,
                env=dict(os.environ),
                allow_errors=allowed,
                limits=TimeLimits(timeout=timeout),
                cancelled=settings.cancelled,
            )

    def _keep(self, notebook: ProjectNb, future: Future[Execution]) -> str:
        """Keep what became of `notebook` in the cache; return its name in the result."""
        try:
            done = future.result()
        except (NbbuildError, OSError) as error:
            self.logger.error("Failed Executing: %s\n%s", notebook.uri, printed(str(error)))
            NbProjectRecord.set_traceback(notebook.uri, str(error), self.cache.db)
            return "errored"
        if done.failure is not None:
            message = printed(done.failure.message)
            self.logger.warning("Execution Excepted: %s\n%s", notebook.uri, message)
            NbProjectRecord.set_traceback(notebook.uri, _traceback(done.failure), self.cache.db)
            return "excepted" if done.failure.kind in _RAN else "errored"
        self.logger.info("Execution Successful: %s", notebook.uri)
        _fill(notebook.nb, done.notebook)
        bundle = create_cache_bundle(notebook, None, None, done.seconds, None)
        self.cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        return "succeeded"


class TemporaryExecutor(LocalExecutor):
    """Runs each notebook in a temporary folder that holds its assets and nothing else."""

    @contextmanager
    def _folder(self, notebook: ProjectNb) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            copy_assets(notebook.uri, notebook.assets, folder)
            yield Path(folder)


def _fill(notebook: NotebookNode, executed: NotebookNode) -> None:
    """Put the results into the notebook as it was read: its metadata is part of its key."""
    for cell, done in zip(notebook.cells, executed.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs = nbformat.from_dict(done.outputs)
            cell.execution_count = done.execution_count
    for key in ("language_info", "widgets"):
        if key in executed.metadata:
            notebook.metadata[key] = executed.metadata[key]


def _traceback(failure: Failure) -> str:
    told = failure.traceback.rstrip()
    # The last line of a traceback is the message already.
    parts = [told, "" if told.endswith(failure.message) else failure.message]
    parts.append(failure.hint and f"hint: {failure.hint}")
    return "\n".join(part for part in parts if part)
