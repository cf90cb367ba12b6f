"""How much a stress test tries: a little in the ordinary suite, all of it by `pytest -m stress`.

NBBUILD_STRESS_SEED=7     other random choices (1)
NBBUILD_STRESS_SIZE=100   how much the full tests try, instead of their own size
NBBUILD_STRESS_FROM=250   begin with that one: the tests that say where they failed
NBBUILD_STRESS_TO=500     end before that one, as when others run on another machine
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pytest

T = TypeVar("T")


def sizes(small: int, full: int) -> pytest.MarkDecorator:
    """Parametrize a test by its `size`: the small one in the ordinary suite."""
    full = int(os.environ.get("NBBUILD_STRESS_SIZE", full))
    return pytest.mark.parametrize(
        "size",
        [
            pytest.param(small, id="small"),
            pytest.param(full, id="full", marks=pytest.mark.stress),
        ],
    )


def chosen(among: Iterable[T], size: int, chance: random.Random) -> list[T]:
    """Return `size` of them in their order, or all if they are not more."""
    every = list(among)
    if len(every) <= size:
        return every
    return [every[at] for at in sorted(chance.sample(range(len(every)), size))]


def tried(trials: Iterable[T], trial: Callable[[T], Iterable[str]], chance: random.Random) -> str:
    """Make all the trials; return what went wrong in which, "" if nothing did.

    `chance`, of which the trials choose, begins anew in each: so one can be had again by itself.
    """
    start = chance.random()
    begin = int(os.environ.get("NBBUILD_STRESS_FROM", "0"))
    end = int(os.environ.get("NBBUILD_STRESS_TO", str(1 << 60)))
    wrong: list[str] = []
    for number, one in enumerate(trials):
        if begin <= number < end:
            chance.seed(f"{start} {number}")
            for fault in trial(one):
                wrong.append(f"{number}: {one}: {fault}")
                print(wrong[-1], flush=True)  # a run can take hours: `pytest -s` shows it at once
    return "\n".join(wrong)


def numbers(size: int) -> Iterator[int]:
    """Yield the numbers of so many trials."""
    yield from range(size)
