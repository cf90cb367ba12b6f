"""What an executor of another package needs; docs/how-to/executors.md tells how to write one."""

from __future__ import annotations

from nbbuild.building.executors import (
    Begun,
    GivenUp,
    Job,
    Jobs,
    Lost,
    NotBegun,
    Setup,
    Workers,
)
from nbbuild.building.executors.local import threads
from nbbuild.building.jobs.futures import over
from nbbuild.building.jobs.working import work

__all__ = [
    "Begun",
    "GivenUp",
    "Job",
    "Jobs",
    "Lost",
    "NotBegun",
    "Setup",
    "Workers",
    "over",
    "threads",
    "work",
]
