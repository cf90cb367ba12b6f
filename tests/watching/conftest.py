"""Ways to run code with and without the tracer, in plain processes and in real kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from nbbuild.watching.injection import Tracing, install_code, prepare, report_code
from nbbuild.watching.observed import FileUse, Observed
from nbbuild.watching.reading import read_report

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


@dataclass
class Seen:
    """What a process printed, and what the tracer told of it; paths relative to the folder."""

    out: str
    err: str
    status: int
    observed: Observed
    folder: Path

    @property
    def files(self) -> dict[str, FileUse]:
        """The files used in the folder, by relative path."""
        prefix = f"{self.folder}/"
        return {
            use.path[len(prefix) :]: use
            for use in self.observed.files
            if use.path.startswith(prefix)
        }

    @property
    def read(self) -> set[str]:
        return {path for path, use in self.files.items() if use.read and use.first is not None}

    @property
    def absent(self) -> set[str]:
        return {path for path, use in self.files.items() if use.read and use.first is None}

    @property
    def made(self) -> set[str]:
        return {path for path, use in self.files.items() if use.made}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working folder, with little files in it."""
    path = tmp_path.resolve() / "work"
    (path / "data").mkdir(parents=True)
    (path / "a.txt").write_text("a\n")
    (path / "b.txt").write_text("b\n")
    (path / "data" / "x.csv").write_text("1\n")
    (path / "data" / "y.csv").write_text("2\n")
    return path


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    # It would hide bytecode that outlives an edit.
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}


@pytest.fixture
def tracing(tmp_path: Path) -> Tracing:
    return prepare(tmp_path / "tracing")


def works(version: str) -> str:
    """Return the interpreter of this version, or skip the test."""
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    program = shutil.which(f"python{version}")
    if program is None:
        pytest.skip(f"no python{version} on PATH")
    tried = subprocess.run([program, "-c", "pass"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"{program} does not run")
    return program


@pytest.fixture(params=[f"python{version}" for version in VERSIONS])
def python(request: pytest.FixtureRequest) -> str:
    """Each interpreter that is on this machine."""
    return works(request.param.removeprefix("python"))


@pytest.fixture
def plainly(
    folder: Path, environ: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code as `observe` does, unwatched."""
    return lambda code, python=sys.executable: run_plainly(
        f"pass\nexec(compile({code!r}, '<code>', 'exec'))", python=python, cwd=folder, env=environ
    )


@pytest.fixture
def observe(folder: Path, environ: dict[str, str], tracing: Tracing) -> Callable[..., Seen]:
    """Run code in a plain process that watches itself."""

    def run(code: str, *, python: str = sys.executable, **more: str) -> Seen:
        done = run_plainly(
            f"exec({install_code(tracing)!r})\nexec(compile({code!r}, '<code>', 'exec'))",
            python=python,
            cwd=folder,
            env={**environ, **more},
        )
        observed = read_report(Path(tracing.report))
        assert observed is not None, done.stderr
        return Seen(done.stdout, done.stderr, done.returncode, observed, folder)

    return run


def run_plainly(
    code: str, *, python: str, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", code],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


class Kernel:
    """A real kernel; `run` gives what a cell published and its reply's execution count."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._client = client

    def ended(self) -> None:
        """Wait until its process has ended."""
        self._manager.provisioner.process.wait(timeout=60)

    def silently(self, code: str) -> list[Any]:
        return self._execute(code, silent=True, store_history=False)[0]

    def run(self, code: str) -> tuple[list[Any], Any]:
        return self._execute(code)

    def _execute(self, code: str, **more: bool) -> tuple[list[Any], Any]:
        published: list[Any] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] != "status":
                published.append((message["msg_type"], message["content"]))

        reply = self._client.execute_interactive(
            code, timeout=60, output_hook=take, allow_stdin=False, **more
        )
        return published, reply["content"].get("execution_count")


@pytest.fixture
def kernel(folder: Path, environ: dict[str, str]) -> Iterator[Callable[[], Kernel]]:
    started = []

    def start() -> Kernel:
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=environ)
        started.append((manager, client))
        return Kernel(manager, client)

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def observe_cells(
    kernel: Callable[[], Kernel], folder: Path, tracing: Tracing
) -> Callable[..., tuple[list[Any], Seen]]:
    """Run cells in a real kernel that watches itself; what they published, and what was seen."""

    def run(*cells: str) -> tuple[list[Any], Seen]:
        running = kernel()
        assert running.silently(install_code(tracing)) == []
        published = [running.run(cell) for cell in cells]
        assert running.silently(report_code(tracing, Path(tracing.report))) == []
        observed = read_report(Path(tracing.report))
        assert observed is not None
        return published, Seen("", "", 0, observed, folder)

    return run
