"""`nbbuild worker ORDER`: execute one notebook for a build; jobs of a batch system run this."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._verb import Verb


@click.command("worker", cls=Verb)
@click.argument("order", type=click.Path(path_type=Path))
def command(order: Path) -> int:
    """Execute the notebook of ORDER, a file that a build has written, and answer beside it.

    For `[command] submit` in jcache.toml: it is what {command} stands for. The exit status is 0 if
    the build has its answer, also when the notebook failed, or wants none any more.
    """
    from nbbuild.building.jobs import serving

    return serving.serve(order)
