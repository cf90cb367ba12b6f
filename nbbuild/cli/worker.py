"""`nbbuild worker ORDER`: execute one notebook for a build; jobs of a batch system run this."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._verb import Verb


@click.command("worker", cls=Verb)
@click.argument("order", type=click.Path(path_type=Path))
def command(order: Path) -> int:
    """Execute the notebook of ORDER, a file that a build has written, and answer beside it.

    This is what {command} stands for in `[command] submit` of jcache.toml. The exit status is 0 if
    the build has an answer, even that the notebook failed, and if it no longer wants one.
    """
    from nbbuild.building.jobs import serving

    return serving.serve(order)
