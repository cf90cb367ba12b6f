"""`nbbuild cache push`: push results to the remote cache."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._progress import moving
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.text.quantities import amount, number_of


@click.command(
    "push",
    cls=Verb,
    examples={"nbbuild cache push": "let others take the results of this machine"},
)
@json_option
@project_options
def command(as_json: bool, directory: Path, file: Path | None) -> None:
    """Push the results that the notebooks rest on to [cache] remote, whatever `mode` says.

    Results that rest on files of this machine only, and those of notebooks with push = false, stay
    here. Heads are signed with NBBUILD_SIGNING_KEY.
    """
    from nbbuild.session import open_session
    from nbbuild.verbs.remote_cache import push, shared_store

    with open_session(directory, file=file) as session, moving("pushing results") as observer:
        pushed = push(session, observer)
        remote = shared_store(session).remote
        problems, name = remote.problems(), remote.name
    for text in problems:
        say(f"note: {text}")
    if as_json:
        emit(dataclasses.asdict(pushed))
        return
    if pushed.left:
        say(f"note: {number_of(pushed.left, 'result')} not pushed: not complete in the cache here")
    if pushed.records:
        results = number_of(pushed.records, "result")
        say(f"pushed {results} to {name}: {amount(pushed.size)}")
    else:
        say(f"nothing to push: {name} has all of it" if not pushed.left else "nothing was pushed")
