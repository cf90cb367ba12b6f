"""`nbbuild cache clear`: remove everything."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import as_data, folder, told
from nbbuild.cli.render import confirm, emit, json_option, say
from nbbuild.errors import UsageError
from nbbuild.text.quantities import number_of


@click.command("clear", cls=Verb, examples={"nbbuild cache clear": "remove all results"})
@click.option("--force", is_flag=True, help="Do not ask.")
@json_option
@project_options
def command(force: bool, as_json: bool, directory: Path, file: Path | None) -> None:
    """Remove everything in the cache, for every project that shares it.

    This includes what an older nbbuild left there. What running builds use stays. Built files stay
    in the tree, but are then out of date.
    """
    from nbbuild.session import open_session
    from nbbuild.store import Limits

    with open_session(directory, file=file) as session:
        store = session.store
        if not force:
            what = number_of(store.size()[1], "record")
            older = "".join(f", and {one.records} of an older nbbuild," for one in store.earlier())
            _ask(f"remove {what}{older} from {folder(session)}?")
        pruned = store.prune(Limits(max_records=0))
        earlier = store.remove_earlier()
    if as_json:
        emit(as_data(pruned, earlier))
    else:
        say(told(pruned, earlier))


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("cannot ask whether to clear the cache", hint="use --force to clear it")
    confirm(question)
