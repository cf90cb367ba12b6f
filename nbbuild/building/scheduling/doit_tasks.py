"""Task → doit.Task; with scheduler.py, the only place that imports doit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from doit.action import BaseAction
from doit.exceptions import TaskFailed
from doit.task import Task as DoitTask


class Do(BaseAction):  # type: ignore[misc]  # doit has no types
    """The one action of a notebook's task: `act(name)` returns whether all went well.

    It is no PythonAction: those replace the process's stdout, which breaks with threads.
    """

    def __init__(self, name: str, act: Callable[[str], bool]) -> None:
        self.name = name
        self.act = act
        self.task = None
        self.out = self.err = self.result = None
        self.values: dict[str, object] = {}

    def execute(self, out: object = None, err: object = None) -> TaskFailed | None:
        """Do the task; return None, or the failure, as doit expects."""
        return None if self.act(self.name) else TaskFailed(f"{self.name} failed", report=False)


def doit_tasks(
    names: Iterable[str],
    upstream: Callable[[str], Sequence[str]],
    *,
    up_to_date: Callable[[str], bool],
    act: Callable[[str], bool],
) -> list[DoitTask]:
    """Return a doit task for each of `names`, in order.

    doit calls `up_to_date(name)` once everything that the task waits for is done, and hands `act`
    to an executor if the answer is no. `up_to_date` also checks targets: artefacts may be patterns,
    and a file that exists may still be the wrong one.
    """
    wanted = list(names)
    inside = set(wanted)
    return [
        DoitTask(
            doit_name(name),
            [Do(name, act)],
            task_dep=[doit_name(other) for other in upstream(name) if other in inside],
            uptodate=[(_asked, [name, up_to_date])],
            targets=[],
            verbosity=0,
            meta={"nbbuild": name},
        )
        for name in wanted
    ]


def _asked(name: str, up_to_date: Callable[[str], bool]) -> bool:
    return up_to_date(name)


def doit_name(name: str) -> str:
    """Return `name` without the characters that mean something to doit ("=" and "*")."""
    return name.replace("%", "%25").replace("=", "%3D").replace("*", "%2A")


def name_of(task: DoitTask) -> str:
    """Return the nbbuild name of a task made here."""
    return str(task.meta["nbbuild"])
