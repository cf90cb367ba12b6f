"""Build 1,000 tasks that are functions, in memory: what a build costs beside kernels and disk.

`python -m benchmarks.in_memory`; every tenth makes a file, and ten chains put them in order.
"""

from __future__ import annotations

import time

from nbbuild.building.fakes import Files, Function
from nbbuild.building.in_memory import MemoryProject, task_of
from nbbuild.model import OutcomeKind

TASKS = 1000


def build() -> float:
    """Build them, see that all were executed, and return the seconds of the build."""
    tasks = [
        task_of(
            f"t{number:04}",
            artefacts=(f"data/{number}.txt",) if number % 10 == 0 else (),
            depends_on=(f"t{number - 10:04}",) if number >= 10 else (),
        )
        for number in range(TASKS)
    ]
    functions = {task.name: _function(number) for number, task in enumerate(tasks)}
    project = MemoryProject(tasks=tasks, functions=functions, files={"common.txt": "1"})
    began = time.perf_counter()
    report = project.build(jobs=2)
    seconds = time.perf_counter() - began
    assert all(one.kind is OutcomeKind.EXECUTED for one in report.outcomes)
    return seconds


def _function(number: int) -> Function:
    def function(files: Files) -> str:
        if number % 10 == 0:
            files.write(f"data/{number}.txt", str(number))
        return files.read("common.txt")

    return function


if __name__ == "__main__":
    build()
