"""Run commands as whole processes, in turn, and keep what each run took."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took; CPU and memory are those of the process and all it waited for."""

    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak: int  # bytes: the most memory of a single process


class Failed(Exception):
    """A command did not end well; the message holds the end of what it said."""


@dataclass(slots=True)
class Contender:
    """A command on a piece of work: `before` prepares each run and is not timed."""

    name: str
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None  # checks what the run left; raises Failed
    runs: list[Run] = field(default_factory=list)

    def run(self) -> None:
        """Run once, and keep what it took."""
        self.before()
        self.runs.append(timed(self.argv, cwd=self.cwd, env=self.env))
        self.after()

    @property
    def wall(self) -> float:
        """The median of the seconds."""
        return statistics.median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """The median of the CPU seconds."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def peak(self) -> float:
        """The median of the most memory, in bytes."""
        return statistics.median(run.peak for run in self.runs)


def interleaved(contenders: Sequence[Contender], *, rounds: int, warm_up: int = 1) -> None:
    """Run all contenders in turn, so that a slow minute of the machine is slow for all."""
    for number in range(warm_up + rounds):
        for contender in contenders:
            contender.run()
            if number < warm_up:
                contender.runs.clear()


def timed(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Run:
    """Run `argv` to its end. Raises Failed unless it ends with 0."""
    environ = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1", **env}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "took"
        stub = [sys.executable, "-I", "-S", str(Path(__file__).with_name("stub.py")), str(out)]
        done = subprocess.run(
            [*stub, *argv],
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            tail = done.stdout.decode(errors="replace")[-2000:]
            raise Failed(f"{' '.join(argv)} ended with {done.returncode}:\n{tail}")
        wall, cpu, peak = map(float, out.read_text().split())
    return Run(wall, cpu, int(peak))
