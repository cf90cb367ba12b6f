"""`nbbuild cache path`: where the cache is."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import folder
from nbbuild.cli.render import emit


@click.command("path", cls=Verb, examples={"nbbuild cache path": "where it is"})
@project_options
def command(directory: Path, file: Path | None) -> None:
    """Print the folder of the cache."""
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        emit(str(folder(session)))
