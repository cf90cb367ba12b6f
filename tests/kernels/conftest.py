"""Notebooks, real kernels, and ways to know without sleeping when something has happened."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from comparing_kernels import Bench
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.interpreter.kernelspec import Kernel, KernelSpecs
from nbbuild.kernels.execute import Execution, execute
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.wanted import TimeLimits


@pytest.fixture(scope="session")
def python() -> Kernel:
    return KernelSpecs().find("python3")


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as started:
        yield started


@pytest.fixture
def environ() -> dict[str, str]:
    # ipykernel does not capture file descriptors when it believes to run inside pytest.
    return {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}


@pytest.fixture
def notebook() -> Callable[..., NotebookNode]:
    def make(*cells: str | NotebookNode) -> NotebookNode:
        return new_notebook(
            cells=[
                new_code_cell(c, id=f"c{i}") if isinstance(c, str) else c
                for i, c in enumerate(cells)
            ]
        )

    return make


@pytest.fixture
def run(
    launcher: Launcher, python: Kernel, environ: dict[str, str], tmp_path: Path, notebook
) -> Callable[..., Execution]:
    def run_cells(
        *cells: str | NotebookNode,
        kernel: Kernel = python,
        allow_errors: bool = False,
        cancelled: threading.Event | None = None,
        on_cell: Callable[[int, int], None] = lambda number, total: None,
        **limits: float,
    ) -> Execution:
        return execute(
            notebook(*cells),
            kernel,
            launcher=launcher,
            cwd=tmp_path,
            env=environ,
            allow_errors=allow_errors,
            limits=TimeLimits(**limits),
            cancelled=cancelled or threading.Event(),
            on_cell=on_cell,
        )

    return run_cells


class Gone:
    """Watches one process; `within(seconds)` says whether it ended, at once when it does."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def within(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def watch(*pids: int) -> Iterator[list[Gone]]:
    watched = [Gone(pid) for pid in pids]
    try:
        yield watched
    finally:
        for one in watched:
            one.close()


@pytest.fixture
def watching() -> Callable[..., object]:
    return watch


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe: reading it waits until a notebook wrote, and closed, it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def bench(launcher: Launcher, python: Kernel, environ: dict[str, str], tmp_path: Path) -> Bench:
    """Compares warm kernels with stock ones."""
    return Bench(launcher, python, environ, tmp_path)
