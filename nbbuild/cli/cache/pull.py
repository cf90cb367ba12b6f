"""`nbbuild cache pull`: fetch results from the remote cache."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._progress import moving
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.text.quantities import number_of


@click.command(
    "pull",
    cls=Verb,
    examples={
        "nbbuild cache pull": "fetch all results that the project needs",
        "nbbuild cache pull chapters": "fetch those of one folder",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@json_option
@project_options
def command(targets: tuple[str, ...], as_json: bool, directory: Path, file: Path | None) -> None:
    """Fetch from [cache] remote the results that TARGETs need, or all of them; execute nothing.

    They go into the cache of this machine. A build puts them in their place, and fetches what it
    needs by itself. Exit status 1 if some notebooks have no result there.
    """
    from nbbuild.session import open_session
    from nbbuild.verbs.remote_cache import pull, shared_store

    with open_session(directory, file=file) as session, moving("fetching results") as observer:
        pulled = pull(session, targets, observer)
        problems = shared_store(session).remote.problems()
    for text in problems:
        say(f"note: {text}")
    if as_json:
        emit(dataclasses.asdict(pulled))
    else:
        emit("\n".join(f"missing  {task}" for task in pulled.missing))
        fetched = number_of(len(pulled.tasks), "result")
        say(f"fetched {fetched}, {len(pulled.missing) or 'none'} missing")
    if pulled.missing:
        click.get_current_context().exit(1)
