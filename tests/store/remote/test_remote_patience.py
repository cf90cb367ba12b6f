"""How often a remote is asked, and how long it may take."""

from __future__ import annotations

import threading

import pytest

from nbbuild.errors import RemoteError
from nbbuild.store.remote.objects import failed
from nbbuild.store.remote.patience import Deadline, Patience, Transient, persist, within

WRONG = failed("http://cache", "cas/00", "busy")


class Attempts:
    """Fail so many times, asking for a pause, then succeed."""

    def __init__(self, failures: int, pause: float = 0.0) -> None:
        self.left, self.pause, self.made = failures, pause, 0
        self.slept: list[float] = []
        self.patience = Patience(pauses=(1.0, 2.0), longest=10.0, sleep=self.slept.append)

    def __call__(self) -> str:
        self.made += 1
        if self.left:
            self.left -= 1
            raise Transient(WRONG, pause=self.pause)
        return "done"


def test_an_attempt_that_succeeds_is_the_only_one():
    attempts = Attempts(0)
    assert persist(attempts.patience, attempts) == "done"
    assert (attempts.made, attempts.slept) == (1, [])


def test_each_pause_is_longer_and_none_is_like_another():
    attempts = Attempts(2)
    assert persist(attempts.patience, attempts) == "done"
    first, second = attempts.slept
    assert 0.5 <= first <= 1.0 <= second <= 2.0


def test_attempts_are_counted():
    attempts = Attempts(3)
    with pytest.raises(RemoteError) as error:
        persist(attempts.patience, attempts)
    assert error.value is WRONG
    assert attempts.made == 3


def test_a_remote_may_ask_for_a_pause_but_not_for_any():
    attempts = Attempts(2, pause=10.0)
    assert persist(attempts.patience, attempts) == "done"
    assert attempts.slept == [10.0, 10.0]

    attempts = Attempts(1, pause=10.5)
    with pytest.raises(RemoteError):
        persist(attempts.patience, attempts)
    assert attempts.slept == []


def test_what_moves_puts_the_deadline_off():
    deadline = Deadline(0, slowest=100.0)
    assert deadline.left() <= 0
    deadline.moved(100_000)
    assert 0 < deadline.left() <= 1000


def test_without_a_slowest_nothing_puts_it_off():
    deadline = Deadline(0)
    deadline.moved(10**12)
    assert deadline.left() <= 0


def test_a_call_in_time_returns_or_raises_as_it_would_by_itself():
    assert within(Deadline(60), lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        within(Deadline(60), lambda: 1 / 0)


def test_nobody_waits_past_the_deadline():
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(Deadline(0.01), never.wait)
    never.set()
