"""`nbbuild add NOTEBOOK…`: list notebooks in jcache.toml, with what they depend on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nbbuild.cli._editing import tell
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import json_option
from nbbuild.quick.above import NAME, find_above

_FILE = click.Path()


@click.command(
    "add",
    cls=Verb,
    examples={
        "nbbuild add report.ipynb": "list a notebook",
        "nbbuild add report.ipynb --asset data.csv": "and what it reads",
    },
)
@click.argument("notebooks", nargs=-1, required=True, type=_FILE, metavar="NOTEBOOK...")
@click.option(
    "--asset", "assets", multiple=True, type=_FILE, metavar="PATTERN", help="A file that they read."
)
@click.option("--module", "modules", multiple=True, type=_FILE, help="A module that they import.")
@click.option(
    "--artefact",
    "artefacts",
    multiple=True,
    type=_FILE,
    metavar="PATTERN",
    help="A file that they write.",
)
@click.option("-r", "--reader", default="", metavar="NAME", help="The reader to use for them.")
@json_option
@project_options
def command(
    notebooks: tuple[str, ...],
    assets: tuple[str, ...],
    modules: tuple[str, ...],
    artefacts: tuple[str, ...],
    reader: str,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Add NOTEBOOKs, files or patterns, to jcache.toml; comments and layout stay.

    Options can be repeated and apply to all NOTEBOOKs. For notebooks that are listed already, they
    add to what is declared. If there is no jcache.toml here or above, one is written here;
    -f jcache.toml begins a project of its own in this folder.
    """
    from nbbuild.verbs.edit import Declared, add

    path = directory / (file or NAME)
    above = None if file or os.path.lexists(path) else find_above(str(directory))
    if above is not None:
        path = Path(above, NAME)
    declared = Declared(assets=assets, modules=modules, artefacts=artefacts, reader=reader)
    tell(add(path, notebooks, declared, folder=directory, environ=os.environ), as_json=as_json)
