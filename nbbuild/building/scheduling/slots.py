"""Decide how many notebooks of a build run at once: as configured, or as make lets us.

A build that make has called, under `make -jN`, takes one token from make for each notebook beside
the first, as long as it runs. So all recipes of that make and all running notebooks together are no
more than N. What the user says wins:

* `-j` on nbbuild's own command line: no token is taken, as with ninja;
* `[execution] jobs` or NBBUILD_JOBS as a number: no more than that, however many tokens there are;
* NBBUILD_IGNORE_MAKE: there is no make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from nbbuild.events import Noted, Observer
from nbbuild.kernels.launch.jobserver import MakesTokens, NoLimit, Pipe, Tokens, Unreachable, reach
from nbbuild.kernels.launch.machine import slots_of
from nbbuild.kernels.launch.process import Launcher
from nbbuild.quick import make

_PLUS = "put '+' before the recipe, as in `+nbbuild`"
_UNREACHABLE = "make's jobserver cannot be reached, so one notebook runs at a time; {}"


@dataclass(frozen=True, slots=True)
class Slots:
    """How many tasks of a build run at once: `most`, or fewer if make has no tokens left."""

    most: int
    pipe: Pipe | None = None  # of make's jobserver
    problem: str = ""  # why there are fewer than make would allow: a sentence for users

    @contextmanager
    def tokens(self, launcher: Launcher, observer: Observer) -> Iterator[Tokens]:
        """Have tokens for all tasks beside the first, held by `launcher`; return them at the end.

        Leave this before the launcher is closed. `observer` hears of a `problem`.
        """
        if self.problem:
            observer(Noted("", self.problem))
        if self.pipe is None:
            yield NoLimit()
            return
        with MakesTokens(self.pipe, lambda pipe: launcher.keeper((pipe.read, pipe.write))) as taken:
            yield taken


def most_slots(
    jobs: int | None, configured: int | Literal["auto"], environ: Mapping[str, str]
) -> int:
    """Return how many notebooks may run at once, if make's jobserver can be reached.

    `jobs` is what the user asked for just now, None if nothing; `environ` says what make asks.
    """
    if jobs:
        return jobs
    asked = make.asked(environ)
    if asked.jobserver:
        return (asked.jobs or slots_of("auto")) if configured == "auto" else configured
    # Without a number, -j sets no limit, and neither does make.
    return 1 if asked.jobs == 1 else slots_of(configured)


@contextmanager
def slots_of_build(
    jobs: int | None, configured: int | Literal["auto"], environ: Mapping[str, str]
) -> Iterator[Slots]:
    """Return the slots of one build; see `most_slots`."""
    most = most_slots(jobs, configured, environ)
    where = "" if jobs else make.asked(environ).jobserver
    if not where:
        yield Slots(most)
        return
    try:
        pipe = reach(where)
    except Unreachable as error:
        yield Slots(1, problem=_UNREACHABLE.format(str(error) or _PLUS))
        return
    with pipe:
        yield Slots(most, pipe)
