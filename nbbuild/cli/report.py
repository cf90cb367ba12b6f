"""`nbbuild report`: what a build came to, in any format."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say, table
from nbbuild.errors import UsageError
from nbbuild.report import duration

if TYPE_CHECKING:
    from nbbuild.report.document import Document, TaskRun
    from nbbuild.report.kept import ReportFolder

_LEAST = 0.05
"""Seconds; smaller differences are not shown."""

_FILE = click.Path(dir_okay=False, allow_dash=True)


@click.command(
    "report",
    cls=Verb,
    examples={
        "nbbuild report --html report.html": "the last build as one page",
        "nbbuild report --list": "the builds that have a report",
        "nbbuild report --merge a.json b.json --html all.html": "shards as one",
    },
)
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False), metavar="[FILE]...")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page with everything.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write JUnit XML.")
@click.option("--markdown", type=_FILE, metavar="FILE", help="Write a summary in Markdown.")
@click.option("--trace", type=_FILE, metavar="FILE", help="Write a Chrome trace.")
@click.option(
    "--build",
    "word",
    default="last",
    metavar="ID",
    help="Take the build whose id is, or begins with, ID [last].",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Show which outcomes and times differ between two builds.",
)
@click.option("--merge", is_flag=True, help="Take the reports in the FILEs (JSON) as one.")
@click.option("--list", "listing", is_flag=True, help="List the builds that have a report.")
@json_option
@project_options
def command(
    files: tuple[str, ...],
    html: str | None,
    junit: str | None,
    markdown: str | None,
    trace: str | None,
    word: str,
    compare: tuple[str, str] | None,
    merge: bool,
    listing: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Show what the last build came to, or an earlier one; write it to files.

    Without a FILE, the summary goes to stdout as Markdown. A FILE of "-" is stdout. --json writes
    the report itself. A build that had nothing to do leaves no report.
    """
    from nbbuild.config.find import find
    from nbbuild.report.formats import rendered
    from nbbuild.report.kept import LAST, ReportFolder

    _check(files, merge=merge, other=listing or compare is not None or word != LAST)
    kept = ReportFolder(directory if merge else find(directory, file).parent.resolve())
    if listing:
        _list(kept, as_json=as_json)
        return
    if compare is not None:
        _compare(kept.find(compare[0]), kept.find(compare[1]), as_json=as_json)
        return
    document = _merged(files) if merge else kept.find(word)
    if as_json:
        emit(document)
        return
    asked = {"html": html, "junit": junit, "markdown": markdown, "trace": trace}
    places = {name: place for name, place in asked.items() if place is not None}
    for name, place in (places or {"markdown": "-"}).items():
        _put(rendered(name, document, kept), place)


def _check(files: tuple[str, ...], *, merge: bool, other: bool) -> None:
    """Raise `UsageError` if there are files without --merge, or the other way round."""
    if files and not merge:
        raise UsageError(
            f"`report` takes no target, such as '{files[0]}'",
            hint="`nbbuild show TARGET` shows one task; --merge takes reports of shards",
        )
    if merge and not files:
        raise UsageError(
            "--merge needs the reports to merge",
            hint="each shard writes one with `nbbuild report --json > FILE`",
        )
    if merge and other:
        raise UsageError(
            "--merge takes reports from files, --build, --compare and --list those that are kept",
            hint="leave one of them out",
        )


def _merged(files: tuple[str, ...]) -> Document:
    from nbbuild.report.merging import merged, read

    return merged(read(files))


def _compare(before: Document, after: Document, *, as_json: bool) -> None:
    """Show the tasks whose outcome or time differs, the one that lost the most time first."""
    then, now = ({one.task: one for one in each.tasks} for each in (before, after))
    rows: list[tuple[str, str, str, float, float]] = []
    for name in {**then, **now}:
        old, new = then.get(name), now.get(name)
        row = (name, _outcome(old), _outcome(new), _seconds(old), _seconds(new))
        if row[1] != row[2] or abs(row[4] - row[3]) >= _LEAST:
            rows.append(row)
    rows.sort(key=lambda row: row[3] - row[4])
    if as_json:
        keys = ("task", "outcome_before", "outcome_after", "seconds_before", "seconds_after")
        emit([dict(zip(keys, row, strict=True)) for row in rows])
        return
    if not rows:
        say("the two builds had the same outcomes and took the same time")
        return
    lines = [
        (name, old if old == new else f"{old} → {new}", f"{a:.1f}", f"{b:.1f}", f"{b - a:+.1f}")
        for name, old, new, a, b in rows
    ]
    header = ("task", "outcome", "before", "after", "change")
    emit(table(lines, header=header, right=(2, 3, 4)))


def _outcome(task: TaskRun | None) -> str:
    return task.outcome if task is not None else "absent"


def _seconds(task: TaskRun | None) -> float:
    return task.seconds if task is not None else 0.0


def _put(data: bytes, place: str) -> None:
    from nbbuild.disk.durable import write, writing

    if place == "-":
        emit(data.decode().removesuffix("\n"))
        return
    with writing(f"'{place}' cannot be written", place):
        write(Path(place), data, sync=False)
    say(f"wrote {place}")


def _list(kept: ReportFolder, *, as_json: bool) -> None:
    found = list(kept.readable())
    if as_json:
        keys = ("id", "began", "seconds", "exit_status", "targets", "counts")
        emit([{key: getattr(one, key) for key in keys} for one in found])
        return
    if not found:
        say("there is no report of a build yet")
        return
    rows = [
        (
            one.id,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.began)),
            duration(one.seconds),
            ", ".join(f"{count} {kind}" for kind, count in one.counts.items()),
            " ".join(one.targets) or "everything",
        )
        for one in found
    ]
    emit(table(rows, header=("build", "began", "took", "outcomes", "targets"), right=(2,)))
