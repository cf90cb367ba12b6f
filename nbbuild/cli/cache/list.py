"""`nbbuild cache list`: which records there are."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import plain, when
from nbbuild.cli.render import emit, json_option, table
from nbbuild.report import duration


@click.command(
    "list",
    cls=Verb,
    examples={"nbbuild cache list --latest-only": "the newest result of each task"},
)
@click.option("-l", "--latest-only", is_flag=True, help="Show only the newest record of each task.")
@click.option("-k", "--keys", is_flag=True, help="Also show action keys.")
@json_option
@project_options
def command(
    latest_only: bool, keys: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    """List the records, newest first: one for each run whose result is kept."""
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        kept = sorted(session.store.kept(), key=lambda one: -one.record.created)
    if latest_only:
        newest = {one.record.task: one for one in reversed(kept)}
        kept = [one for one in kept if newest[one.record.task] is one]
    if as_json:
        emit([{**plain(one.record), "used": one.used} for one in kept])
        return
    rows = [
        (
            one.record.id,
            one.record.task,
            when(one.record.created),
            when(one.used),
            duration(one.record.seconds),
            *([one.record.key.digest] if keys else []),
        )
        for one in kept
    ]
    header = ("record", "task", "created", "used", "took", *(["key"] if keys else []))
    emit(table(rows, header=header, right=(4,)))
