"""`nbbuild add NOTEBOOK…`: list notebooks in jcache.toml, with what they depend on."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from nbbuild.cli._editing import tell
from nbbuild.cli._options import project_options
from nbbuild.cli.render import json_option
from nbbuild.config.find import find_above
from nbbuild.errors import ConfigError

_FILE = click.Path()


@click.command("add")
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
    add to what is declared. If there is no jcache.toml yet, one is written.
    """
    from nbbuild.verbs.edit import Declared, add

    path = directory / (file or "jcache.toml")
    if not os.path.lexists(path) and file is None:
        above = find_above(Path(os.path.abspath(directory)))  # noqa: PTH100 - as shown
        if above is not None:
            where = shlex.quote(os.path.relpath(above))
            raise ConfigError(
                f"there is no 'jcache.toml' in '{Path(os.path.abspath(directory))}'",  # noqa: PTH100
                hint=f"there is one in '{above}': use `nbbuild -C {where} add`, with paths from "
                "there; `-f jcache.toml` begins another project here",
            )
    declared = Declared(assets=assets, modules=modules, artefacts=artefacts, reader=reader)
    tell(add(path, notebooks, declared, folder=directory, environ=os.environ), as_json=as_json)
