"""Decide which tasks of a build may run at the same time.

Two tasks that meet on one path while both run may spoil each other's results, though each would be
sound by itself. So the later one runs again while no other does, and the two never run side by side
again: the project's state remembers such pairs, and which task of each goes first.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from nbbuild.disk.state import State
from nbbuild.events import Noted, Observer
from nbbuild.judging.endings import named

_TICK = 0.05  # seconds between checks whether the build was cancelled


class Turns:
    """Lets tasks of one build run, side by side or alone; thread-safe."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._apart = {frozenset(pair) for pair in pairs}
        self._changed = threading.Condition()
        self._running: dict[str, int] = {}  # how many had ended when each began
        self._ended: list[str] = []
        self._alone: list[str] = []  # tasks that run, or wait to run, while no other does

    @contextmanager
    def running(
        self,
        name: str,
        *,
        check: Callable[[], None],
        on_wait: Callable[[str], None] = lambda others: None,
        alone: bool = False,
    ) -> Iterator[None]:
        """Wait until `name` may run; it counts as running until the context is left.

        Meanwhile `check` is called again and again; it may raise to give up. `on_wait` is called
        first, if there is a wait, with the tasks that are waited for.
        """
        with self._changed:
            if alone:
                self._alone.append(name)
            try:
                if others := self._in_the_way_of(name):
                    on_wait(named(others))
                while self._in_the_way_of(name):
                    check()
                    self._changed.wait(_TICK)
            except BaseException:
                if alone:
                    self._alone.remove(name)
                raise
            self._running[name] = len(self._ended)
        try:
            yield
        finally:
            with self._changed:
                del self._running[name]
                self._ended.append(name)
                if alone:
                    self._alone.remove(name)
                self._changed.notify_all()

    def beside(self, name: str) -> frozenset[str]:
        """Return the tasks that have run at the same time as `name`, which still runs."""
        with self._changed:
            # Kept like this, since a set for each of many tasks takes much memory.
            since = self._ended[self._running[name] :]
            return frozenset({*self._running, *since} - {name})

    def part(self, one: str, other: str) -> None:
        """Keep two tasks from running side by side from now on."""
        with self._changed:
            self._apart.add(frozenset((one, other)))

    def _in_the_way_of(self, name: str) -> list[str]:
        if self._alone:
            first = self._alone[0]
            return sorted(self._running) if first == name else [first]
        if not self._apart:
            return []
        return sorted(one for one in self._running if frozenset((name, one)) in self._apart)


class Again:
    """The tasks to judge again at the end of a build; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Have `names` judged again."""
        with self._lock:
            self._names.update(names)

    def take(self) -> frozenset[str]:
        """Return the tasks added so far, and forget them."""
        with self._lock:
            names, self._names = self._names, set()
        return frozenset(names)


class PairsApart:
    """The pairs of tasks that a project keeps apart: (the one that goes first, the other)."""

    _KIND = "apart"

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self.known: dict[frozenset[str], tuple[str, str]] = {
            frozenset(pair): pair for pair in self._read()
        }

    def add(self, first: str, second: str) -> None:
        """Remember to keep `first` and `second` apart; the first order found for a pair stays."""
        with self._lock:
            key = frozenset((first, second))
            if key not in self.known:
                self.known[key] = (first, second)
                data = json.dumps(sorted(self.known.values())).encode()
                self._state.remember(self._KIND, "", data)

    def _read(self) -> Iterator[tuple[str, str]]:
        data = self._state.recall(self._KIND, "")
        if data is None:
            return
        try:
            for first, second in json.loads(data):
                yield str(first), str(second)
        except (ValueError, TypeError):  # damaged: as if nothing was remembered
            return


class Remembering(Protocol):
    """Remembers pairs of tasks for later builds; see `PairsApart`."""

    def add(self, first: str, second: str) -> None:
        """Remember to keep `first` and `second` apart."""
        ...


class Meetings:
    """Keeps apart, in this build and later ones, tasks that met on a file while both ran."""

    def __init__(self, turns: Turns, pairs: Remembering, observer: Observer) -> None:
        self.turns = turns
        self._pairs = pairs
        self._observer = observer

    def beside(self, name: str) -> frozenset[str]:
        """Return the tasks that have run at the same time as `name`, which still runs."""
        return self.turns.beside(name)

    def part(self, name: str, pairs: Iterable[tuple[str, str]]) -> bool:
        """Keep the tasks of each pair apart from now on, and say so; return whether any are."""
        found = list(pairs)
        for first, second in found:
            self._pairs.add(first, second)
            self.turns.part(first, second)
        if found:
            others = named([one for pair in found for one in pair if one != name])
            text = f"used the same file as {others} while both ran: it runs again by itself"
            self._observer(Noted(name, text))
        return bool(found)


def in_turn(
    priority: Mapping[str, float], pairs: Iterable[tuple[str, str]], names: Iterable[str]
) -> Mapping[str, float]:
    """Return `priority`, raised so that the first of each pair goes before the other.

    If pairs make a circle, as much of their order is kept as can be.
    """
    inside = set(names)
    kept = [pair for pair in pairs if inside.issuperset(pair)]
    if not kept:
        return priority
    raised = dict.fromkeys(inside, 0.0) | dict(priority)
    for _ in kept:  # the longest chain needs no more rounds than this
        before = dict(raised)
        for first, second in kept:
            raised[first] = max(raised[first], raised[second] + 1e-6)
        if raised == before:
            break
    return raised
