"""Where actions run: each executor is an entry point of the group `nbbuild.executors`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib.metadata import entry_points

from nbbuild import hidden
from nbbuild.errors import UsageError, did_you_mean

GROUP = "nbbuild.executors"


@dataclass(frozen=True, slots=True)
class Workers:
    """A started executor and how many tasks it is to be given at once."""

    executor: Executor
    slots: int


def find(name: str) -> Callable[[int], Workers]:
    """Return what starts the executor called `name`, given the number of jobs.

    Raises `UsageError` when no installed package has an executor of that name.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UsageError(
            f"there is no executor '{name}'",
            facts=[("executors", ", ".join(sorted(found)))],
            hint=did_you_mean(name, found) or "choose one of these",
        )
    if not found[name].value.startswith("nbbuild."):
        hidden.show()
    start: Callable[[int], Workers] = found[name].load()
    return start
