"""How long a remote may take, and how often it is asked again.

A remote that is not there must not hold up a build: a connection that is refused, or a name that
nobody knows, is given up at once. One that is busy is asked again, after a pause. One that takes a
request and is silent, or answers byte by byte, is given up once its time is over.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nbbuild.errors import RemoteError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float = 2.5
    """For a connection: to find the address, to reach it, to agree on a cipher."""

    between: float = 10.0
    """For the next byte."""

    total: float = 30.0
    """For a whole request, beside what its bytes may take."""

    slowest: float = 50_000.0
    """Bytes in a second; slower remotes are given up after `total`."""

    pauses: tuple[float, ...] = (0.2, 1.0, 3.0)
    """Before each further attempt."""

    longest: float = 10.0
    """The longest pause that a remote may ask for; it is given up if it asks for more."""

    sleep: Callable[[float], None] = time.sleep


class Deadline:
    """When a request must be done, in `seconds`: each byte that moves puts it off."""

    def __init__(self, seconds: float, *, slowest: float = float("inf")) -> None:
        self._slowest = slowest
        self._end = time.monotonic() + seconds

    def moved(self, size: int) -> None:
        """Put the deadline off: `size` bytes have come or gone."""
        self._end += size / self._slowest

    def left(self) -> float:
        """Return the seconds that are left, negative once it has passed."""
        return self._end - time.monotonic()


class Transient(Exception):
    """An attempt failed with `error`, and the next may not; the remote asked for a pause."""

    def __init__(self, error: RemoteError, *, pause: float = 0.0) -> None:
        super().__init__(error)
        self.error = error
        self.pause = pause


def persist(patience: Patience, attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns; call it again after a pause if it raises Transient.

    Raises its RemoteError when all attempts are used up.
    """
    for pause in patience.pauses:
        try:
            return attempt()
        except Transient as transient:
            if transient.pause > patience.longest:
                raise transient.error from transient
            # Not all who were refused come back at the same moment.
            patience.sleep(max(pause * random.uniform(0.5, 1.0), transient.pause))
    try:
        return attempt()
    except Transient as transient:
        raise transient.error from transient


def within(deadline: Deadline, call: Callable[[], T]) -> T:
    """Return what `call` returns, from a thread; raise TimeoutError once the deadline has passed.

    Nothing can stop the thread then. It does not keep the process from ending.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            errors.append(error)
        done.set()

    threading.Thread(target=run, name="nbbuild remote", daemon=True).start()
    while not done.is_set():
        if deadline.left() <= 0:
            raise TimeoutError
        done.wait(deadline.left())
    if errors:
        raise errors[0]
    return results[0]
