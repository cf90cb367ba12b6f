"""`nbbuild cache …`: inspect and manage the cache; a file for each of its verbs."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verbs
from nbbuild.cli.cache import (
    add,
    cat,
    clear,
    export,
    gc,
    import_,
    info,
    keygen,
    path,
    pull,
    push,
    remove,
    verify,
)
from nbbuild.cli.cache import list as list_


@click.group(
    "cache",
    cls=Verbs,
    examples={
        "nbbuild cache info": "what is in it",
        "nbbuild cache gc --max-size 1GB": "make it smaller",
    },
)
@project_options
def command(directory: Path, file: Path | None) -> None:
    """Inspect and manage the cache of results."""


_VERBS = (
    *(list_, info, cat, add, remove, clear, gc, verify, path),
    *(export, import_, push, pull, keygen),
)
for _verb in _VERBS:
    command.add_command(_verb.command)
