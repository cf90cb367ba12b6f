"""`nbbuild [TARGET…]`: build, like make."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._signals import interruptible
from nbbuild.cli.render import emit, json_option, say
from nbbuild.errors import UsageError, did_you_mean
from nbbuild.quick.verbs import VERBS

if TYPE_CHECKING:
    from nbbuild.model import Report
    from nbbuild.session import Session


@click.command("build")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
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
@click.option("--executor", metavar="NAME", help="Where notebooks run: local, serial, …")
@json_option
@project_options
def command(
    targets: tuple[str, ...],
    jobs: int | None,
    keep_going: bool,
    fail_fast: bool,
    dry_run: bool,
    question: bool,
    always_run: bool,
    accept: bool,
    silent: bool,
    verbose: bool,
    executor: str | None,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> int:
    """Bring TARGETs up to date, or everything.

    A target is a notebook, a task, an artefact, a group or a glob. Exit status: 0 all well, 1 a
    notebook failed (or -q and something is out of date), 2 usage or configuration, 3 the cache or
    nbbuild itself, 130 interrupted.
    """
    _check_one_of("-k", keep_going, "-x", fail_fast)
    _check_one_of("-B", always_run, "-t", accept)
    from nbbuild.config.keys import notices
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        _check_words(session, targets)
        if not silent:
            for notice in notices(session.config):
                say(f"note: {notice}")
        if question or dry_run:
            plan = session.plan(targets, forced=always_run)
            if dry_run:
                _tell_plan(plan, as_json=as_json, verbose=verbose)
            return int(question and not plan.fresh)
        report = _run(
            session,
            targets,
            accept=accept,
            silent=silent,
            verbose=verbose,
            how={
                "jobs": jobs,
                "executor": executor,
                "keep_going": True if keep_going else False if fail_fast else None,
                "force": always_run,
            },
        )
    if as_json:
        emit(report)
    return report.exit_status


def _run(
    session: Session,
    targets: tuple[str, ...],
    *,
    accept: bool,
    silent: bool,
    verbose: bool,
    how: Mapping[str, Any],
) -> Report:
    """Build, or accept what is there, and say what comes of it."""
    from nbbuild.report import observer

    shown = session.here.shown
    with (
        observer(stream=sys.stderr, silent=silent, verbose=verbose, shown=shown) as tell,
        interruptible(),
    ):
        if accept:
            from nbbuild.verbs.touch import accept as publish

            report = publish(session, targets=targets, observer=tell)
        else:
            from nbbuild.building.pipeline import build

            report = build(session, targets=targets, observer=tell, **how)
        tell.finish(report)
    return report


def _check_one_of(one: str, is_one: bool, other: str, is_other: bool) -> None:
    if is_one and is_other:
        raise UsageError(f"{one} and {other} contradict each other", hint="leave one of them out")


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


def _tell_plan(plan: object, *, as_json: bool, verbose: bool) -> None:
    from nbbuild.cli.status import describe
    from nbbuild.judging.verdicts import Plan

    assert isinstance(plan, Plan)
    if as_json:
        emit(list(plan.judgements))
    else:
        emit(describe(plan, verbose=verbose))
