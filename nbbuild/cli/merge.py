"""`nbbuild merge TARGET OUT`: the source's prose with the cached outputs, in a file."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import say


@click.command(
    "merge",
    cls=Verb,
    examples={"nbbuild merge report.ipynb out.ipynb": "prose and outputs in one file"},
)
@click.argument("target", shell_complete=_completing.targets)
@click.argument("out", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Overwrite OUT if it exists.")
@project_options
def command(target: str, out: str, force: bool, directory: Path, file: Path | None) -> None:
    """Write TARGET with its cached outputs to OUT; "-" is stdout. Nothing is executed.

    Exit status 1 when the cache has no result for TARGET as it is now.
    """
    from nbbuild.export.merge import merged, write_out
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        data = merged(session, session.task(target))
        if out == "-":
            click.echo(data, nl=False)
            return
        write_out(session, data, Path(out), force=force)
    say(f"wrote {out}")
