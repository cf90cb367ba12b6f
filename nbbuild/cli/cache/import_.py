"""`nbbuild cache import FILE`: take the results that another machine exported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._progress import progress
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.text.quantities import number_of


@click.command(
    "import",
    cls=Verb,
    examples={"nbbuild cache import cache.tar.gz": "what was exported elsewhere"},
)
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path))
@json_option
@project_options
def command(archive: Path, as_json: bool, directory: Path, file: Path | None) -> None:
    """Add the results in FILE, which `nbbuild cache export` wrote, to the cache.

    Everything is checked on arrival. Of a file that is damaged, or larger than [cache] max_size,
    no result is used. Import only what you trust: results are shown, and their files written into
    the project, as if they had been made here.
    """
    from nbbuild.session import open_session
    from nbbuild.store.archive import read_archive
    from nbbuild.store.remote.intake import may_be_looked_at

    with open_session(directory, file=file) as session, progress("importing") as tell:
        limit = session.config.cache.max_size
        taken = read_archive(
            session.store, directory / archive, tell, max_size=limit, acceptable=may_be_looked_at
        )
    if as_json:
        emit(dataclasses.asdict(taken))
        return
    text = f"{number_of(taken.records, 'record')} and {number_of(taken.blobs, 'blob')} imported"
    if taken.known:
        text += f"; {number_of(taken.known, 'record')} already here"
    if taken.refused:
        text += f"; {number_of(taken.refused, 'record')} that cannot be used here"
    say(text)
