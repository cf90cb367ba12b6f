"""`nbbuild verify [TARGET…]`: execute again without the cache, and compare."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import Whole, jobs_option, project_options
from nbbuild.cli._signals import interruptible
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.report import Options, duration, observer

if TYPE_CHECKING:
    from nbbuild.verbs.findings import Finding, Verification

_MOST = 10  # files that are listed


@click.command(
    "verify",
    cls=Verb,
    examples={
        "nbbuild verify": "do all notebooks give the same again?",
        "nbbuild verify report.ipynb --seed 7": "in the order of an earlier run",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@jobs_option
@click.option(
    "--seed", type=Whole(least=0), metavar="N", help="Repeat the order of an earlier run."
)
@click.option("-s", "--silent", is_flag=True, help="Print nothing while notebooks run.")
@json_option
@project_options
def command(
    targets: tuple[str, ...],
    jobs: int | None,
    seed: int | None,
    silent: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> int:
    """Execute TARGETs again, or everything, and compare with the results in the cache.

    The notebooks run in a scratch copy of the project, in a shuffled order and without the cache.
    The project and its results stay as they are. What naturally differs from run to run is ignored:
    addresses, timings, ids, and whatever [verify] ignore matches.

    Exit status: 0 all are the same, 1 one differs or fails, 2 one is not up to date.
    """
    from nbbuild.session import open_session
    from nbbuild.verbs.verify import verify

    with (
        open_session(directory, file=file) as session,
        observer(
            stream=sys.stderr, options=Options(silent=silent, shown=session.here.shown)
        ) as tell,
        interruptible(),
    ):
        found = verify(session, targets=targets, jobs=jobs, seed=seed, observer=tell)
        shown = session.here.shown
    if as_json:
        emit(
            {
                "exit_status": found.exit_status,
                "seed": found.seed,
                "seconds": found.seconds,
                "findings": found.findings,
                "left": found.left,
            }
        )
    else:
        emit(
            "\n\n".join(
                describe(one, shown) for one in found.findings if one.result.value != "same"
            )
        )
        if found.left:
            named = _named(found.left, shown)
            say(f"note: written or altered, but not declared by any notebook: {named}")
        say(summary(found))
    return found.exit_status


def describe(finding: Finding, shown: Callable[[str], str]) -> str:
    """Return the lines about one task whose result is not the same."""
    lines = [f"{finding.result.value}: {finding.task}", f"  {_why(finding, shown)}"]
    if finding.failure is not None:
        lines.append(f"  failed: {finding.failure.told}")
    if finding.differences:
        first, number = finding.differences[0], len(finding.differences)
        more = f" (the first of {number} that differ)" if number > 1 else ""
        where = f"{first.where}, " if first.where else ""
        lines.append(f"  {where}{first.what}{more}")
        lines += [f"    {line}" for line in first.diff]
    lines += [f"  artefact differs: {shown(path)}" for path in finding.artefacts]
    return "\n".join(lines)


def _why(finding: Finding, shown: Callable[[str], str]) -> str:
    from nbbuild.verbs.findings import VerifyResult

    if finding.result is VerifyResult.SKIPPED:
        return "`cache = false`: there is no result to compare with"
    if finding.result is VerifyResult.NOT_DETERMINISTIC:
        return "runs under the same conditions gave different results"
    if finding.result is VerifyResult.ORDER:
        left = _named(finding.left, shown)
        return f"by itself it gives the stored result, but not where others have left {left}"
    if finding.missing:
        return (
            f"it looks for '{shown(finding.missing)}', which the copy lacks: {finding.missing_why}"
        )
    since = "something that is not declared has changed since"
    if finding.failure is not None:
        return f"it fails when run again, unlike the stored run: {since}"
    return f"two new runs agree with each other, but not with the stored result: {since}"


def summary(found: Verification) -> str:
    """Return the whole in one line."""
    counts = Counter(one.result.value for one in found.findings)
    said = ", ".join(f"{number} {word}" for word, number in counts.items()) or "nothing to verify"
    again = f"; again in this order: --seed {found.seed}" if found.exit_status else ""
    return f"{said} in {duration(found.seconds)}{again}"


def _named(paths: tuple[str, ...], shown: Callable[[str], str]) -> str:
    more = f" and {len(paths) - _MOST} more" if len(paths) > _MOST else ""
    return ", ".join(f"'{shown(path)}'" for path in paths[:_MOST]) + more
