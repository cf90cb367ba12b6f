"""`nbbuild cache export FILE`: write results to one file, for another machine."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._progress import progress
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.report import amount
from nbbuild.text.quantities import number_of


@click.command(
    "export",
    cls=Verb,
    examples={
        "nbbuild cache export cache.tar.gz": "what the project rests on now",
        "nbbuild cache export --all cache.tar.gz": "everything in the cache",
    },
)
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-a", "--all", "everything", is_flag=True, help="Everything in the cache.")
@json_option
@project_options
def command(
    archive: Path, everything: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    """Write the results of the last good builds to FILE, for `nbbuild cache import` elsewhere.

    FILE is a compressed tar archive; the same results give the same bytes. Results that were
    accepted with -t, or rest on undeclared files of this folder's earlier runs, are left out.
    """
    from nbbuild.session import open_session
    from nbbuild.store.archive import write_archive
    from nbbuild.verbs.carrying import choose_load

    with open_session(directory, file=file) as session, progress("exporting") as tell:
        load = choose_load(session, everything=everything)
        written = write_archive(session.store, load.records, directory / archive, tell)
    if as_json:
        emit(
            {
                "file": str(directory / archive),
                "records": written.records,
                "blobs": written.blobs,
                "bytes": written.size,
                "staying": [one.id for one in load.staying],
                "incomplete": [one.id for one in written.incomplete],
            }
        )
        return
    for one in load.staying:
        why = "it was accepted" if one.accepted else "it rests on files that only this folder has"
        say(f"note: {one.task}: a result is left out, since {why}")
    for one in written.incomplete:
        say(f"note: {one.task}: a result is left out, since some of it is gone or damaged")
    what = f"{number_of(written.records, 'record')} and {number_of(written.blobs, 'blob')}"
    say(f"wrote {directory / archive}: {what}, {amount(written.size)}")
