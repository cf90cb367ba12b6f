"""What shows a watched project: the interface, and two of them as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nbbuild.errors import NbbuildError
from nbbuild.events import Event
from nbbuild.model import Report
from nbbuild.session import Session
from nbbuild.verbs.watch.inbox import Due


class Listener(Protocol):
    """Shows a watched project: each build, from `begin` to `ended`, `again` or `failed`."""

    def begin(self, due: Due) -> None:
        """Take note that a build begins, because of `due`."""

    def opened(self, session: Session, names: Sequence[str]) -> None:
        """Take note that the project was read; its tasks `names` are going to be judged."""

    def __call__(self, event: Event) -> None:
        """Take note of an event of the build; called from any thread, must not raise."""

    def ended(self, report: Report) -> None:
        """Take note that the build has ended."""

    def again(self) -> None:
        """Take note that the build was stopped, since inputs changed: it begins again."""

    def failed(self, error: NbbuildError) -> None:
        """Take note that the project cannot be built as it is."""


@dataclass(frozen=True, slots=True)
class Both:
    """Two listeners as one; the first hears everything first."""

    one: Listener
    other: Listener

    def begin(self, due: Due) -> None:
        """A build begins."""
        self.one.begin(due)
        self.other.begin(due)

    def opened(self, session: Session, names: Sequence[str]) -> None:
        """The project was read."""
        self.one.opened(session, names)
        self.other.opened(session, names)

    def __call__(self, event: Event) -> None:
        """Something happens in the build."""
        self.one(event)
        self.other(event)

    def ended(self, report: Report) -> None:
        """The build has ended."""
        self.one.ended(report)
        self.other.ended(report)

    def again(self) -> None:
        """The build begins again."""
        self.one.again()
        self.other.again()

    def failed(self, error: NbbuildError) -> None:
        """The project cannot be built."""
        self.one.failed(error)
        self.other.failed(error)
