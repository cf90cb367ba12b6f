"""The events of a build while it runs; a report listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from nbbuild.model import Outcome


@dataclass(frozen=True, slots=True)
class Planned:
    """Judging is done: `run` tasks will execute, `total` are wanted, `jobs` go at once."""

    total: int
    run: int
    jobs: int
    durations: Mapping[str, float] = field(default_factory=dict)  # seconds, of earlier runs


@dataclass(frozen=True, slots=True)
class WorkersStarted:
    """An executor has its workers: `jobs` notebooks run at once, whatever `Planned` said."""

    jobs: int


@dataclass(frozen=True, slots=True)
class Started:
    """A notebook begins to execute; `cells` of its cells will run."""

    task: str
    cells: int


@dataclass(frozen=True, slots=True)
class CellStarted:
    """The `number`-th (from 1, its execution count) of `total` cells that run begins."""

    task: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Something became of a task."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a user should know about a task (or "" for the build), and no failure.

    `detail`: only a user who asks for all has to know it. `waits`: the task does nothing until it
    is judged, begins or ends; `text` says for what, as in "waits for memory".
    """

    task: str
    text: str
    detail: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """So much of what the build fetches from its remote cache, or pushes to it, has moved."""

    what: str  # "fetching results"
    done: int  # bytes
    total: int  # bytes, 0 where it is not known; all is done once `done` reaches it


Event: TypeAlias = Planned | WorkersStarted | Started | CellStarted | Ended | Noted | Moved
Observer: TypeAlias = Callable[[Event], None]
"""Called from any thread, one call at a time for one task; must not raise."""


def silent(event: Event) -> None:
    """Listen to nothing."""
