"""Where actions run: each executor is an entry point of the group `nbbuild.executors`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from nbbuild import optional_imports
from nbbuild.errors import UsageError, did_you_mean

GROUP = "nbbuild.executors"

OWN = ("local", "serial")
"""Names that always mean nbbuild's own executors, whatever else is installed."""


@dataclass(frozen=True, slots=True)
class Workers:
    """A started executor, and how many tasks to give it at once."""

    executor: Executor
    slots: int


def find(name: str) -> Callable[[int], Workers]:
    """Return the function that starts the executor `name` for a number of jobs.

    Raises `UsageError` when no installed package has an executor of that name.
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
    start: Callable[[int], Workers] = found[name].load()
    return start
