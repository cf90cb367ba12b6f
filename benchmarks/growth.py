"""Measure how work grows with its size: count calls, and fit the exponent.

Counts of calls are the same each time, whatever else the machine does.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Calls:
    """Counts the calls of Python and C functions in this thread; a context manager."""

    count: int = 0

    def __enter__(self) -> Calls:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: object, event: str, argument: object) -> None:
        self.count += event in ("call", "c_call")


def calls(work: Callable[[], object]) -> int:
    """Return how many calls `work` takes."""
    with Calls() as counted:
        work()
    return counted.count


def exponent(figures: Mapping[int, float]) -> float:
    """Return b where figure ≈ a · size ** b fits best: 1 is linear, 2 is quadratic."""
    sizes, taken = map(math.log, figures), map(math.log, figures.values())
    return statistics.linear_regression(list(sizes), list(taken)).slope
