"""Carry out the verdict on one task: lock, judge again, put back or run, settle.

Everything here happens while the task's outputs are locked in the tree. A run also holds its key's
lock in the store, so that several nbbuild processes execute a key only once. After taking each lock
the task is judged again: whoever held the lock may have done the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from nbbuild.building.attempts.attempting import Attempting
from nbbuild.building.outputs import Outputs
from nbbuild.building.reusing import Reuse
from nbbuild.building.scheduling.turns import Meetings
from nbbuild.building.settling import Collided, Retiring, Settling
from nbbuild.disk.locks import Cancelled
from nbbuild.errors import (
    NbbuildError,
    NotebookError,
    OneTaskError,
    StoreError,
)
from nbbuild.events import Noted, Observer
from nbbuild.judging.conflicts import Uses
from nbbuild.judging.endings import unforeseen
from nbbuild.judging.verdicts import Judge
from nbbuild.model import Failure, Judgement, Outcome, OutcomeKind, Reason, Record, Task, Verdict
from nbbuild.project.graph import Graph
from nbbuild.store import Store

_PUT_BACK = (OutcomeKind.FRESH, OutcomeKind.REFRESHED)
"""Outcomes that change no file but the built notebook: nothing was executed or installed."""


class Place(Protocol):
    """Lets a run begin once there is memory for its kernel; see kernels.launch.memory.Room."""

    def __call__(
        self, check: Callable[[], None], on_wait: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Wait for memory; the run counts as running until the context is left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds one task at a time, from any thread."""

    graph: Graph
    store: Store
    outputs: Outputs
    judge: Judge
    reuse: Reuse
    attempt: Attempting
    settle: Settling
    uses: Uses
    meetings: Meetings
    retired: Retiring
    broken: Callable[[Task, Record], Iterator[Reason]]  # what changed since a record's run
    place: Place
    forget: Callable[[], None]  # drops what is remembered about the disk
    forget_listings: Callable[[], None]  # drops which files are there, and nothing else
    observer: Observer
    cancelled: threading.Event

    def build(self, name: str) -> Outcome:
        """Bring `name` up to date after its upstream tasks; a bad notebook raises nothing."""
        task = self.graph.tasks[name]
        began = time.monotonic()
        try:
            outcome = self._locked(task)
        except Cancelled:
            outcome = Outcome.of(task, OutcomeKind.CANCELLED)
        except OneTaskError as error:
            failure = Failure.of("output", error)
            outcome = Outcome.of(task, OutcomeKind.FAILED, failure=failure)
        except StoreError:
            raise
        except NbbuildError as error:
            kind = "unreadable" if isinstance(error, NotebookError) else "input"
            failure = Failure.of(kind, error)
            outcome = Outcome.of(task, OutcomeKind.FAILED, failure=failure)
        except Exception as error:  # noqa: BLE001 - one bad thing stops one task
            outcome = self._surprised(task, error)
        if outcome.kind in _PUT_BACK:
            self.forget_listings()
        else:
            self.forget()
        return msgspec.structs.replace(outcome, seconds=time.monotonic() - began, when=time.time())

    def _surprised(self, task: Task, error: Exception) -> Outcome:
        """Return the failure of a task during which nbbuild itself failed."""
        with suppress(NbbuildError):
            self.outputs.abandon(task)
            self.outputs.remove_built(task)
        return Outcome.of(task, OutcomeKind.FAILED, failure=unforeseen(error, task.name))

    def _locked(self, task: Task) -> Outcome:
        upstream = self.graph.upstream(task.name)
        waits = self._waits(task)
        with self.outputs.outputs_lock(
            task.name, upstream, cancelled=self.cancelled, on_wait=waits
        ):
            judgement = self.judge.final(task.name)
            done = self.reuse(task, judgement)
            if done is not None:
                return done
            if judgement.verdict is Verdict.BLOCKED or not self.judge.may_run:
                return self.settle.known(task, judgement)
            assert judgement.key is not None
            with (
                self.store.lock(judgement.key.digest, cancelled=self.cancelled, on_wait=waits),
                self.place(self._check, waits),
            ):
                judgement = self.judge.final(task.name)
                return self.reuse(task, judgement) or self._run(task, judgement)

    def _run(self, task: Task, judgement: Judgement) -> Outcome:
        """Execute; execute again, alone, if another task that ran beside it got in its way."""
        if judgement.record is not None or judgement.reasons[0].kind == "forced":
            # If a forced run fails, the result that it should replace must not be used again.
            assert judgement.key is not None
            self.retired.retire(
                record.id
                for record in self.store.records(judgement.key.digest)
                if not any(self.broken(task, record))
            )
        turns = self.meetings.turns

        def waits(others: str) -> None:
            text = f"waits for {others}: not at the same time"
            self.observer(Noted(task.name, text, detail=True, waits=True))

        with turns.running(task.name, check=self._check, on_wait=waits):
            ended = self._attempted(task, judgement)
        if isinstance(ended, Outcome):
            return ended
        with turns.running(task.name, check=self._check, on_wait=waits, alone=True):
            if ended.failed is not None and not self._met(task, ended):
                return ended.failed  # no other run was to blame
            again = self._attempted(task, judgement)
        assert isinstance(again, Outcome)  # no other task ran beside it
        return again

    def _attempted(self, task: Task, judgement: Judgement) -> Outcome | Collided:
        run = self.attempt(task, judgement)
        ended = self.settle(run)
        self.attempt.settled(run)
        return ended

    def _met(self, task: Task, ended: Collided) -> bool:
        """Whether a failed run had met another one; if so, they are kept apart from now on."""
        return self.meetings.part(task.name, self.uses.met(task, ended.deeds))

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled

    def _waits(self, task: Task) -> Callable[[str], None]:
        return lambda holder: self.observer(Noted(task.name, f"waits for {holder}", waits=True))
