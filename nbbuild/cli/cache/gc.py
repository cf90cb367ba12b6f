"""`nbbuild cache gc`: remove the least recently used results."""

from __future__ import annotations

import dataclasses
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
from nbbuild.text.quantities import amount, number_of


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
@click.option(
    "--remote", is_flag=True, help="Remove from [cache] remote instead: old heads, and the rest."
)
@json_option
@project_options
def command(
    max_size: int | None,
    max_age: float | None,
    max_records: int | None,
    dry_run: bool,
    remote: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Remove what exceeds the limits, least recently used first, and what nothing needs any more.

    With --remote: heads of branches to which nobody has pushed for 30 days (or --max-age), and
    what no head names. The heads that the project reads stay.

    This includes what an older nbbuild left in its own format, which this one cannot use. What
    running builds use stays.
    """
    from nbbuild.session import open_session
    from nbbuild.store import Limits

    if remote:
        _collect(directory, file, max_size, max_age, max_records, dry_run, as_json=as_json)
        return
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


def _collect(
    directory: Path,
    file: Path | None,
    max_size: int | None,
    max_age: float | None,
    max_records: int | None,
    dry_run: bool,
    *,
    as_json: bool,
) -> None:
    """Remove what is old from the remote cache."""
    from nbbuild.session import open_session
    from nbbuild.verbs.remote_cache import HEAD_AGE, collect

    if max_records is not None:
        raise UsageError(
            "--remote and --max-records do not go together",
            hint="use --max-age or --max-size",
        )
    with open_session(directory, file=file) as session:
        removed = collect(
            session,
            max_age=HEAD_AGE if max_age is None else max_age,
            max_size=max_size,
            dry_run=dry_run,
        )
    if as_json:
        emit(dataclasses.asdict(removed))
        return
    emit("\n".join(f"head  {name}" for name in removed.heads))
    if removed.unreadable:
        first, *more = removed.unreadable
        also = f" (and {len(more)} more)" if more else ""
        say(
            f"note: all packs stay: '{first}'{also} is no head that this version can read, and "
            "may need some of them; remove it by hand if nobody uses it"
        )
    verb = "would remove" if dry_run else "removed"
    what = f"{number_of(len(removed.heads), 'head')} and {number_of(removed.packs, 'pack')}"
    say(f"{verb} {what}, {amount(removed.freed)}; {amount(removed.left)} left")
