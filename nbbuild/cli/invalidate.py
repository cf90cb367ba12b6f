"""`nbbuild invalidate TARGET…`: run again in the next build."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.errors import UsageError
from nbbuild.text.quantities import number_of


@click.command(
    "invalidate",
    cls=Verb,
    examples={
        "nbbuild invalidate report.ipynb": "run it again in the next build",
        "nbbuild invalidate --all": "run everything again",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@click.option("-a", "--all", "everything", is_flag=True, help="Every notebook of the project.")
@json_option
@project_options
def command(
    targets: tuple[str, ...], everything: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    """Make TARGETs run again in the next build, whatever the cache holds.

    Notebooks that wait for them run only if their artefacts change.
    """
    if bool(targets) == everything:
        raise UsageError("name the TARGETs to invalidate, or use --all")
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        names = session.wanted(targets, upstream=False)
        session.retired.mark(names)
    if as_json:
        emit(list(names))
    else:
        say(f"{number_of(len(names), 'notebook')} will run in the next build")
