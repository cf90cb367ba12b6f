"""`nbbuild cache cat RECORD [PATH]`: what a run made, to stdout."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import found
from nbbuild.cli.render import say
from nbbuild.disk import temporary
from nbbuild.model import Record
from nbbuild.store.choosing import artefact_named

if TYPE_CHECKING:
    from nbbuild.session import Session


@click.command(
    "cat",
    cls=Verb,
    examples={
        "nbbuild cache cat report.ipynb > old.ipynb": "the notebook that it made",
        "nbbuild cache cat report.ipynb plot.png": "one of its artefacts",
    },
)
@click.argument("record")
@click.argument("path", required=False)
@project_options
def command(record: str, path: str | None, directory: Path, file: Path | None) -> None:
    """Write the notebook that RECORD made to stdout, or its artefact PATH.

    RECORD is an id, the beginning of one, or a notebook for its current record. The notebook has
    the source's prose if the source still has the code that ran; otherwise it has the code cells
    only. Exit status 1 when the cache no longer has it.
    """
    from nbbuild.export.merge import NotCached, of_record
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        one = found(session, record)
        if path is None:
            data, whole = of_record(session, one)
            click.echo(data, nl=False)
            if not whole:
                say(f"note: '{one.source}' now has other code: these are only the code cells")
            return
        digest = artefact_named(_path(session, path, one), one).digest
        # First to a file: what is damaged is found in the end only, and must not be shown.
        with temporary.folder() as folder:
            copy = folder / "artefact"
            if not session.store.restore(digest, copy):
                raise NotCached(
                    f"the cache no longer has '{path}' of the record '{one.id}'",
                    hint="`nbbuild cache verify` finds what else is damaged",
                )
            with copy.open("rb") as source:
                shutil.copyfileobj(source, sys.stdout.buffer)


def _path(session: Session, path: str, record: Record) -> str:
    """Return the typed path of an artefact, seen from the root; it may have been typed so."""
    relative = os.path.relpath(session.here.absolute(path), session.root)
    return (
        relative if relative in {one.path for one in record.artefacts} else os.path.normpath(path)
    )
