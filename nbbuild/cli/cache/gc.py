"""`nbbuild cache gc`: remove the least recently used results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nbbuild.cli._options import Whole, project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import as_data, told
from nbbuild.cli.render import emit, json_option, say
from nbbuild.config import values
from nbbuild.errors import ConfigError, UsageError


def _as_configured(
    read: Callable[[str, object], Any],
) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Return what reads an option as jcache.toml is read: bytes, or seconds."""

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            return read(param.opts[-1], int(value) if value.isdecimal() else value)
        except ConfigError as error:
            raise UsageError(error.what, facts=error.facts) from error

    return convert


@click.command(
    "gc",
    cls=Verb,
    examples={
        "nbbuild cache gc --max-age 30d": "what was not used for a month",
        "nbbuild cache gc -n": "say what would be removed",
    },
)
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=_as_configured(values.size),
    help='Keep at most this much: "500MB" [as configured, if no option is given].',
)
@click.option(
    "--max-age",
    metavar="TIME",
    callback=_as_configured(values.duration),
    help='Remove what was not used for this long: "30d".',
)
@click.option("--max-records", type=Whole(least=0), metavar="N", help="Keep at most N records.")
@click.option(
    "-n", "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing."
)
@json_option
@project_options
def command(
    max_size: int | None,
    max_age: float | None,
    max_records: int | None,
    dry_run: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Remove what exceeds the limits, least recently used first, and what nothing needs any more.

    This includes what an older nbbuild left in its own format, which this one cannot use. What
    running builds use stays.
    """
    from nbbuild.session import open_session
    from nbbuild.store import Limits

    with open_session(directory, file=file) as session:
        if max_size is None and max_age is None and max_records is None:
            max_size = session.config.cache.max_size
        limits = Limits(max_size=max_size, max_age=max_age, max_records=max_records)
        pruned = session.store.prune(limits, dry_run=dry_run)
        earlier = session.store.earlier() if dry_run else session.store.remove_earlier()
    if as_json:
        emit(as_data(pruned, earlier))
    else:
        emit("\n".join(f"{one.id}  {one.task}" for one in pruned.records))
        say(told(pruned, earlier, dry_run=dry_run))
