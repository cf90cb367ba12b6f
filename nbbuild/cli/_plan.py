"""Say what a plan comes to, in one line."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from nbbuild.building.rendering import Pages
from nbbuild.building.scheduling.slots import most_slots
from nbbuild.events import Planned
from nbbuild.judging.verdicts import Plan
from nbbuild.model import Verdict
from nbbuild.report.progress import Progress
from nbbuild.report.words import nothing_to_do
from nbbuild.text.quantities import duration, number_of

if TYPE_CHECKING:
    from nbbuild.session import Session

_WORDS = {
    Verdict.RUN: "to run",
    Verdict.WAIT: "to run if what they wait for changes",
    Verdict.REFRESH: "to write again",
    Verdict.BLOCKED: "blocked",
}

_MOST = 3  # tasks that are named


def pages_due(session: Session, plan: Plan) -> int:
    """Return how many pages would be rendered although their notebooks stay as they are.

    Raises `ConfigError` if pages are wanted and cannot be rendered.
    """
    pages = Pages.of(session)
    fresh = [one.task for one in plan.judgements if one.verdict is Verdict.FRESH]
    return 0 if pages is None else len(pages.due(fresh))


def totals(session: Session, plan: Plan, *, jobs: int | None, pages: int = 0) -> str:
    """Return "12 to run, about 3 min": what a build would do, and how long it would take.

    The time is what their last runs took, shared among `jobs` (None: as configured); left out if
    none has run yet. `pages` are to be rendered.
    """
    number = len(plan.judgements)
    if not number:
        return "nothing to do: there are no notebooks"
    if plan.fresh and not pages:
        return nothing_to_do(number)
    counts = Counter(one.verdict for one in plan.judgements)
    said = [f"{counts[verdict]} {words}" for verdict, words in _WORDS.items() if counts[verdict]]
    about = _about(session, plan, jobs=jobs)
    if about:
        said.insert(bool(counts[Verdict.RUN]) + bool(counts[Verdict.WAIT]), about)
    if pages:
        said.append(f"{number_of(pages, 'page')} to render")
    return ", ".join(said)


def _about(session: Session, plan: Plan, *, jobs: int | None) -> str:
    runs = [one.task for one in plan.judgements if one.verdict in (Verdict.RUN, Verdict.WAIT)]
    known = session.state.durations()
    durations = {task: known[task] for task in runs if task in known}
    slots = most_slots(jobs, session.config.execution.jobs, session.environ)
    # The estimate with which the build will begin.
    progress = Progress(clock=time.monotonic)
    progress.follow(Planned(len(plan.judgements), len(runs), min(slots, len(runs) or 1), durations))
    left = progress.left() if runs else None
    return "" if left is None else f"about {duration(left, whole=True)}"


def out_of_date(plan: Plan, *, pages: int = 0) -> str:
    """Return which tasks are out of date, for whoever asks with -q on a terminal."""
    names = [one.task for one in plan.judgements if one.verdict is not Verdict.FRESH]
    if not names:
        names = [number_of(pages, "page")]
    named = ", ".join(names[:_MOST])
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"out of date: {named}{more}; nothing was run (-q only asks, -s builds and says little)"
