"""`nbbuild status`: what is out of date, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say, table
from nbbuild.judging.verdicts import Plan
from nbbuild.model import Verdict

WORDS = {
    Verdict.FRESH: "fresh",
    Verdict.REFRESH: "refresh",
    Verdict.RUN: "run",
    Verdict.WAIT: "wait",
    Verdict.BLOCKED: "blocked",
}


@click.command(
    "status",
    cls=Verb,
    examples={
        "nbbuild status": "what is out of date, and why",
        "nbbuild status chapters": "the same of one folder",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@click.option("-v", "--verbose", is_flag=True, help="Also list what is up to date.")
@json_option
@project_options
def command(
    targets: tuple[str, ...], verbose: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    """Say what is out of date and why; run nothing.

    "run" executes, "refresh" only writes results again, "wait" depends on the results of an
    upstream notebook, "blocked" cannot be built.
    """
    from nbbuild.building.remarks import remarks
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        plan = session.plan(targets)
        marks = [(one.task, mark) for one in plan.judgements for mark in session.marks(one)]
        said = remarks(session, [one.task for one in plan.judgements])
        marks += [(task, text) for task, texts in said.items() for text in texts]
        if as_json:
            told = [session.marks.on(one) for one in plan.judgements]
            emit([replace(one, marks=(*one.marks, *said.get(one.task, ()))) for one in told])
            return
        marks += [("", text) for text in session.store.problems()]
    emit(describe(plan, verbose=verbose))
    for task, mark in marks:
        say(f"note: {task}: {mark}" if task else f"note: {mark}")
    say(_summary(plan))


def describe(plan: Plan, *, verbose: bool) -> str:
    """Return a line for each task that is not fresh (with `verbose`, for each task)."""
    return table(
        [
            (WORDS[one.verdict], one.task, "; ".join(str(reason) for reason in one.reasons))
            for one in plan.judgements
            if verbose or one.verdict is not Verdict.FRESH
        ]
    )


def _summary(plan: Plan) -> str:
    counts = Counter(one.verdict for one in plan.judgements)
    said = [f"{counts[verdict]} {WORDS[verdict]}" for verdict in Verdict if counts[verdict]]
    return ", ".join(said) or "there are no notebooks"
