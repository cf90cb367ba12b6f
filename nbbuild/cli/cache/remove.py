"""`nbbuild cache remove RECORD…`: remove results."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import found
from nbbuild.cli.render import emit, json_option, say
from nbbuild.errors import UsageError
from nbbuild.text.quantities import number_of


@click.command(
    "remove", cls=Verb, examples={"nbbuild cache remove report.ipynb": "the result of one notebook"}
)
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@click.option("-a", "--all", "everything", is_flag=True, help="Every record.")
@json_option
@project_options
def command(
    records: tuple[str, ...], everything: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    """Remove RECORDs from the cache, and the bytes that only they needed.

    RECORD is an id, the beginning of one, or a notebook for its current record. Files built from
    them stay in the tree, but are then out of date.
    """
    if bool(records) == everything:
        raise UsageError("name the RECORDs to remove, or use --all")
    from nbbuild.session import open_session
    from nbbuild.store import Limits

    with open_session(directory, file=file) as session:
        if everything:
            wanted = list(session.store.all_records())
        else:
            # All are found before the first one goes.
            each = [found(session, word) for word in records]
            wanted = list({one.id: one for one in each}.values())
        for one in wanted:
            session.store.remove(one)
        session.store.prune(Limits())
    if as_json:
        emit([one.id for one in wanted])
    else:
        emit("\n".join(f"{one.id}  {one.task}" for one in wanted))
        say(f"{number_of(len(wanted), 'record')} removed")
