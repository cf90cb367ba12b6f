"""`nbbuild remove NOTEBOOK…`: take notebooks out of jcache.toml."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._editing import tell
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import json_option
from nbbuild.config.find import find
from nbbuild.errors import UsageError


@click.command(
    "remove", cls=Verb, examples={"nbbuild remove draft.ipynb": "take it out; its file stays"}
)
@click.argument(
    "notebooks",
    nargs=-1,
    type=click.Path(),
    metavar="[NOTEBOOK]...",
    shell_complete=_completing.targets,
)
@click.option(
    "-a", "--all", "everything", is_flag=True, help="Remove all; a copy of the file is kept."
)
@json_option
@project_options
def command(
    notebooks: tuple[str, ...],
    everything: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Take NOTEBOOKs out of jcache.toml, with their own [[notebook]] entries; no file is deleted.

    A notebook that a pattern still matches is added to [project] exclude.
    """
    if bool(notebooks) == everything:
        raise UsageError("name the NOTEBOOKs to remove, or use --all")
    from nbbuild.verbs.edit import clear, remove

    path = find(directory, file)
    if everything:
        tell(clear(path, environ=os.environ), as_json=as_json)
    else:
        tell(remove(path, notebooks, folder=directory, environ=os.environ), as_json=as_json)
