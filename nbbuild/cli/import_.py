"""`nbbuild import …`: take the results that another tool has cached."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verbs
from nbbuild.cli.render import emit, json_option, say, table

if TYPE_CHECKING:
    from nbbuild.bridges.jupyter_cache import Imported


@click.group(
    "import",
    cls=Verbs,
    examples={"nbbuild import jupyter-cache .jupyter_cache": "what it has for this project"},
)
@project_options
def command(directory: Path, file: Path | None) -> None:
    """Import results from another tool's cache, so that their notebooks need not run."""


@command.command(
    "jupyter-cache",
    examples={
        "nbbuild import jupyter-cache .jupyter_cache": "",
        "nbbuild import jupyter-cache -n .jupyter_cache": "say what would be imported",
    },
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-n", "--dry-run", is_flag=True, help="Say what would be imported, and import nothing."
)
@json_option
@project_options
def jupyter_cache(
    path: Path, dry_run: bool, as_json: bool, directory: Path, file: Path | None
) -> int:
    """Import results from the jupyter-cache in the folder PATH, which stays as it is.

    PATH is relative to the current folder, or to -C DIR. Exit status 1 if a cached notebook or one
    of the project cannot be read or imported.
    """
    from nbbuild.bridges.jupyter_cache import Fate, import_cache
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        imported = import_cache(session, directory / path, dry_run=dry_run)
    if as_json:
        emit(list(imported))
    else:
        _tell(imported, dry_run=dry_run)
    return int(any(one.fate in (Fate.DAMAGED, Fate.FAILED) for one in imported))


def _tell(imported: tuple[Imported, ...], *, dry_run: bool) -> None:
    emit(table([(one.fate.value, one.task, one.reason) for one in imported]))
    for one in imported:
        for note in one.notes:
            say(f"note: {one.task}: {note}")
    counts = Counter(one.fate.value for one in imported)
    told = ", ".join(f"{number} {fate}" for fate, number in counts.items()) or "nothing to import"
    say(f"{told}{'; nothing was written' if dry_run else ''}")
