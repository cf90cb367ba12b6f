"""`nbbuild [TARGET…]`: build, like make."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import Part, Whole, jobs_option, project_options, refuse
from nbbuild.cli._signals import interruptible
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.errors import UsageError, did_you_mean
from nbbuild.quick import make
from nbbuild.quick.verbs import VERBS

if TYPE_CHECKING:
    from nbbuild.model import Outcome, Report
    from nbbuild.report import BuildObserver, LogFormat
    from nbbuild.session import Session


_NOTHING = "one builds only what failed, the other leaves that out"
_CONTRARY = (
    ("-k", "keep_going", "-x", "fail_fast", "one goes on after a failure, the other does not"),
    ("-n", "dry_run", "-q", "question", "one says what would run, the other only whether"),
    ("-n", "dry_run", "-t", "accept", "one does nothing, the other accepts what is there"),
    ("-q", "question", "-t", "accept", "one only asks, the other accepts what is there"),
    ("-q", "question", "-B", "always_run", "with -B everything is out of date"),
    ("-B", "always_run", "-t", "accept", "one runs everything, the other nothing"),
    ("-s", "silent", "-v", "verbose", "one says less, the other more"),
    ("-x", "fail_fast", "--max-failures", "max_failures", "-x is --max-failures 1"),
    ("-k", "keep_going", "--max-failures", "max_failures", "one goes on, the other stops"),
    ("--last-failed", "last_failed", "--skip-known-failures", "skip_known_failures", _NOTHING),
    ("-B", "always_run", "--skip-known-failures", "skip_known_failures", "-B runs everything"),
    ("-B", "always_run", "--no-execute", "no_execute", "one runs everything, the other nothing"),
    ("-t", "accept", "--no-execute", "no_execute", "one accepts what the other would refuse"),
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
@jobs_option
@click.option("-k", "--keep-going", is_flag=True, help="Keep going after a failure (the default).")
@click.option("-x", "--fail-fast", is_flag=True, help="Start nothing more after a failure.")
@click.option(
    "--max-failures",
    type=Whole(least=1),
    metavar="N",
    help="Start nothing more after N failures.",
)
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
    help="List the N slowest notebooks; 0: all.",
)
@click.option("--last-failed", is_flag=True, help="Build only what failed in its last run.")
@click.option(
    "--skip-known-failures",
    is_flag=True,
    help="Do not run what failed before with the same code and inputs.",
)
@click.option(
    "--no-execute",
    is_flag=True,
    help="Start no kernel: restore from the cache, or fail.",
)
@click.option(
    "--changed-since",
    metavar="REV",
    help="Build only what a diff from git's REV can touch.",
)
@click.option("--shard", type=Part(), metavar="I/N", help="Build only the Ith of N parts.")
@click.option(
    "--log-format",
    type=click.Choice(("auto", "plain", "github")),
    default="auto",
    metavar="NAME",
    help="auto, plain, or github (with annotations).",
)
@click.option(
    "--depfile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write for make what rests on what.",
)
@click.option("--executor", metavar="NAME", help="Where notebooks run: local, serial, …")
@json_option
@project_options
def command(
    targets: tuple[str, ...],
    jobs: int | None,
    max_failures: int | None,
    durations: int | None,
    changed_since: str | None,
    shard: tuple[int, int] | None,
    log_format: LogFormat,
    depfile: Path | None,
    executor: str | None,
    as_json: bool,
    directory: Path,
    file: Path | None,
    **flags: bool,
) -> int:
    """Bring TARGETs up to date, or everything.

    A target is a notebook, a task, an artefact, a group, a folder or a glob. Exit status: 0 all
    well, 1 a notebook failed (or -q and something is out of date), 2 usage or configuration, 3 the
    cache or nbbuild itself, 130 interrupted. In a recipe of make, begin the line with `+`: then
    options and job slots of make count here, too.
    """
    refuse({**flags, "max_failures": max_failures is not None}, _CONTRARY)
    flags = _with_makes(flags, make.asked(os.environ).options)
    from nbbuild.session import open_session

    with open_session(directory, file=file) as opened:
        _check_words(opened, targets)
        if depfile is not None:
            _check_depfile(opened, depfile)
        session, nothing = _chosen(opened, targets, changed_since, shard, flags)
        if nothing:
            return _no_task(session, nothing, targets, as_json=as_json, flags=flags)
        if flags["question"] or flags["dry_run"]:
            return _ask(session, targets, jobs=jobs, as_json=as_json, flags=flags)
        tell = _observer(session, log_format, durations=durations, flags=flags)
        with tell, interruptible():
            if flags["accept"]:
                from nbbuild.verbs.touch import accept

                report = accept(session, targets=targets, observer=tell)
            else:
                report = _build(
                    session,
                    targets,
                    tell,
                    jobs=jobs,
                    max_failures=max_failures,
                    executor=executor,
                    flags=flags,
                )
            tell.finish(report)
        if depfile is not None and report.exit_status == 0:
            _tell_make(session, targets, None if flags["accept"] else depfile)
    if as_json:
        emit(report)
    return report.exit_status


def _with_makes(flags: Mapping[str, bool], asked: Sequence[str]) -> dict[str, bool]:
    """Return `flags` with those that make asks for, unless a flag of the command line forbids it.

    -B forbids nothing: under -q and -t of make a recipe must not run what it is called for.
    """
    contrary = {(one, other) for _, one, _, other, _ in _CONTRARY}
    said = [flag for flag, given in flags.items() if given and flag != "always_run"]
    taken = [
        name
        for name in asked
        if not any((name, flag) in contrary or (flag, name) in contrary for flag in said)
    ]
    return {**flags, **dict.fromkeys(taken, True)}


def _ask(
    session: Session,
    targets: tuple[str, ...],
    *,
    jobs: int | None,
    as_json: bool,
    flags: Mapping[str, bool],
) -> int:
    """Say what would be done, or only whether there is anything; return the exit status."""
    from nbbuild.cli._plan import out_of_date, pages_due, totals
    from nbbuild.cli.status import describe

    skipped = flags["skip_known_failures"]
    plan = session.plan(
        targets,
        forced=flags["always_run"],
        skip_failed=skipped,
        execute=not flags["no_execute"],
    )
    for text in session.store.problems():
        say(f"note: {text}")
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


def _build(
    session: Session,
    targets: tuple[str, ...],
    tell: BuildObserver,
    *,
    jobs: int | None,
    max_failures: int | None,
    executor: str | None,
    flags: Mapping[str, bool],
) -> Report:
    from nbbuild.building.pipeline import build

    going = flags["keep_going"] or max_failures is not None
    return build(
        session,
        targets=targets,
        jobs=jobs,
        executor=executor,
        keep_going=True if going else False if flags["fail_fast"] else None,
        max_failures=max_failures,
        skip_known_failures=flags["skip_known_failures"],
        force=flags["always_run"],
        execute=not flags["no_execute"],
        observer=tell,
    )


def _observer(
    session: Session,
    log_format: LogFormat,
    *,
    durations: int | None,
    flags: Mapping[str, bool],
) -> BuildObserver:
    """Return what shows the build, in the format asked for."""
    from nbbuild.report import Options, observer

    def critical(report: Report) -> tuple[str, ...]:
        from nbbuild.model import OutcomeKind
        from nbbuild.report.critical import chain

        executed = (OutcomeKind.EXECUTED, OutcomeKind.FAILED)
        seconds = {one.task: one.seconds for one in report.outcomes if one.kind in executed}
        return chain(seconds, session.graph.upstream)

    options = Options(
        silent=flags["silent"],
        verbose=flags["verbose"],
        slowest=0 if durations is None else durations or None,
        shown=session.here.shown,
        critical=critical,
    )
    return observer(
        stream=sys.stderr,
        options=options,
        log_format=log_format,
        located=partial(_located, session),
    )


def _located(session: Session, outcome: Outcome) -> tuple[str, int]:
    """Return file and line of a failure, as annotations name them."""
    from nbbuild.report.located import shown_from
    from nbbuild.verbs.whereabouts import failing_line

    file = shown_from(session.root / outcome.source, session.environ)
    return file, failing_line(session, outcome)


def _check_depfile(session: Session, place: Path) -> None:
    """Raise `UsageError` if `place` is a file of the project's own."""
    from nbbuild.export.depfile import check_place

    check_place(session, place)


def _tell_make(session: Session, targets: tuple[str, ...], place: Path | None) -> None:
    """Give the built notebooks of `targets` a new time; write what they rest on to `place`."""
    from nbbuild.export.depfile import depfile, renew, write_depfile

    names = session.wanted(targets, upstream=False)
    if place is not None:
        text, unspeakable = depfile(session, names)
        for path in unspeakable:
            say(f"note: not in {place}: make has no way to write the name '{path}'")
        write_depfile(place, text)
    renew(session, names)


def _chosen(
    session: Session,
    targets: tuple[str, ...],
    since: str | None,
    shard: tuple[int, int] | None,
    flags: Mapping[str, bool],
) -> tuple[Session, str]:
    """Return a session in which `targets` are what the options choose, and why that is nothing."""
    if not flags["last_failed"] and since is None and shard is None:
        return session, ""
    from nbbuild.verbs.choosing import choose

    failed = flags["last_failed"]
    chosen = choose(session, targets, last_failed=failed, since=since, shard=shard)
    if not (chosen.nothing or flags["silent"]):
        for note in chosen.notes:
            say(f"note: {note}")
    return chosen.session, chosen.nothing


def _no_task(
    session: Session,
    why: str,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    flags: Mapping[str, bool],
) -> int:
    """Say that there is nothing to do, since no task was chosen; return the exit status."""
    asking = flags["question"] or flags["dry_run"]
    if not flags["silent"]:
        say(f"nothing to do: {why}")
    if not (asking or flags["last_failed"]):
        from nbbuild.building.pipeline import report_nothing

        report_nothing(session, targets)
    if as_json:
        from nbbuild.model import Report

        emit([] if asking else Report())
    return 0


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
