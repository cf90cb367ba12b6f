"""`nbbuild clean`: remove what was built from the tree; the cache stays."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say


@click.command(
    "clean",
    cls=Verb,
    examples={
        "nbbuild clean": "remove all that was built",
        "nbbuild clean -n report.ipynb": "say what would be removed for one",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@click.option(
    "-n", "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing."
)
@json_option
@project_options
def command(
    targets: tuple[str, ...], dry_run: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    """Remove built notebooks and artefacts of TARGETs, or of everything ever built here.

    Files that were changed since nbbuild wrote them are kept and named. The cache keeps all
    results: the next build puts them back without executing. A notebook that runs is waited for.
    """
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        if targets:
            names = set(session.wanted(targets, upstream=False))
        else:
            names = set(session.tree.known())
        locked = partial(session.locked, tell=lambda name, text: say(f"note: {name}: {text}"))
        removed = session.tree.clean(sorted(names), dry_run=dry_run, locked=locked)
        shown = session.here.shown
    if as_json:
        emit([{"path": path, "what": what} for path, what in removed])
        return
    emit("\n".join(f"{what}  {shown(path)}" for path, what in removed))
    if not removed:
        say("nothing to remove")
