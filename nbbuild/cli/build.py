"""`nbbuild [TARGET…]`: build, like make."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import Whole, project_options, refuse
from nbbuild.cli._signals import interruptible
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.errors import UsageError, did_you_mean
from nbbuild.quick.verbs import VERBS

if TYPE_CHECKING:
    from nbbuild.model import Report
    from nbbuild.session import Session


_CONTRARY = (
    ("-k", "keep_going", "-x", "fail_fast", "one goes on after a failure, the other does not"),
    ("-n", "dry_run", "-q", "question", "one says what would run, the other only whether"),
    ("-n", "dry_run", "-t", "accept", "one does nothing, the other accepts what is there"),
    ("-q", "question", "-t", "accept", "one only asks, the other accepts what is there"),
    ("-q", "question", "-B", "always_run", "with -B everything is out of date"),
    ("-B", "always_run", "-t", "accept", "one runs everything, the other nothing"),
    ("-s", "silent", "-v", "verbose", "one says less, the other more"),
)


@click.command(
    "build",
    cls=Verb,
    examples={
        "nbbuild": "everything that is out of date",
        "nbbuild report.ipynb -j 4": "one notebook and what it needs, 4 at once",
        "nbbuild -n": "say what would run, and how long it would take",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@click.option(
    "-j",
    "--jobs",
    type=Whole(least=1),
    metavar="N",
    help="Run N notebooks at once [as configured].",
)
@click.option("-k", "--keep-going", is_flag=True, help="Keep going after a failure (the default).")
@click.option("-x", "--fail-fast", is_flag=True, help="Start nothing more after a failure.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("-q", "--question", is_flag=True, help="Run nothing; exit with 1 if out of date.")
@click.option("-B", "--always-run", is_flag=True, help="Run even what is up to date.")
@click.option("-t", "--accept", is_flag=True, help="Accept what is there as up to date.")
@click.option("-s", "--silent", is_flag=True, help="Show only failures.")
@click.option("-v", "--verbose", is_flag=True, help="Also show reasons and what is up to date.")
@click.option(
    "--durations",
    type=Whole(least=0),
    metavar="N",
    help="List the N notebooks that took longest; 0: all.",
)
@click.option("--last-failed", is_flag=True, help="Build only what failed in its last run.")
@click.option("--executor", metavar="NAME", help="Where notebooks run: local, serial, …")
@json_option
@project_options
def command(
    targets: tuple[str, ...],
    jobs: int | None,
    durations: int | None,
    executor: str | None,
    as_json: bool,
    directory: Path,
    file: Path | None,
    **flags: bool,
) -> int:
    """Bring TARGETs up to date, or everything.

    A target is a notebook, a task, an artefact, a group, a folder or a glob. Exit status: 0 all
    well, 1 a notebook failed (or -q and something is out of date), 2 usage or configuration, 3 the
    cache or nbbuild itself, 130 interrupted.
    """
    refuse(flags, _CONTRARY)
    from nbbuild.config.keys import notices
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        _check_words(session, targets)
        if flags["last_failed"]:
            from nbbuild.model import Report

            targets = _failed(session, targets)
            if not targets:
                say("nothing to do: no notebook failed in its last run")
                if as_json:
                    emit(Report())
                return 0
        if not flags["silent"]:
            for notice in notices(session.config):
                say(f"note: {notice}")
        if flags["question"] or flags["dry_run"]:
            from nbbuild.cli._plan import out_of_date, pages_due, totals
            from nbbuild.cli.status import describe

            plan = session.plan(targets, forced=flags["always_run"])
            pages = pages_due(session, plan)
            idle = plan.fresh and not pages
            if as_json:
                emit(list(plan.judgements))
            elif flags["dry_run"]:
                emit(describe(plan, verbose=flags["verbose"]))
                say(totals(session, plan, jobs=jobs, pages=pages))
            elif not idle and not flags["silent"] and sys.stderr.isatty():
                say(out_of_date(plan, pages=pages))
            return int(flags["question"] and not idle)
        report = _run(
            session, targets, jobs=jobs, executor=executor, durations=durations, flags=flags
        )
    if as_json:
        emit(report)
    return report.exit_status


def _run(
    session: Session,
    targets: tuple[str, ...],
    *,
    jobs: int | None,
    executor: str | None,
    durations: int | None,
    flags: Mapping[str, bool],
) -> Report:
    """Build, or accept what is there, and say what comes of it."""
    from nbbuild.report import observer

    with (
        observer(
            stream=sys.stderr,
            silent=flags["silent"],
            verbose=flags["verbose"],
            slowest=0 if durations is None else durations or None,
            shown=session.here.shown,
        ) as tell,
        interruptible(),
    ):
        if flags["accept"]:
            from nbbuild.verbs.touch import accept

            report = accept(session, targets=targets, observer=tell)
        else:
            from nbbuild.building.pipeline import build

            going = True if flags["keep_going"] else False if flags["fail_fast"] else None
            report = build(
                session,
                targets=targets,
                jobs=jobs,
                executor=executor,
                keep_going=going,
                force=flags["always_run"],
                observer=tell,
            )
        tell.finish(report)
    return report


def _failed(session: Session, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the targets, as typed in the current folder, that failed in their last run."""
    from nbbuild.model import OutcomeKind

    last = {name: session.state.outcome(name) for name in session.wanted(targets)}
    return tuple(
        # The name of most tasks is a path from the root, which means another file here.
        session.here.shown(name) if name == session.graph.tasks[name].source else name
        for name, outcome in last.items()
        if outcome is not None and outcome.kind is OutcomeKind.FAILED
    )


def _check_words(session: Session, targets: tuple[str, ...]) -> None:
    """Raise what `wanted` raises, with the verb that an unknown first word may have been."""
    try:
        session.wanted(targets)
    except UsageError as error:
        near = did_you_mean(targets[0], VERBS) if targets[0].isalpha() else ""
        verb = near.removeprefix("did you mean ")
        if not verb or session.targets.find(targets[0]):
            raise
        target = error.hint if error.hint.startswith("did you mean ") else ""
        hint = f"{target[:-1]}, or the verb {verb}" if target else f"did you mean the verb {verb}"
        raise UsageError(error.what, facts=error.facts, hint=hint) from None
