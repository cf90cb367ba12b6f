"""`nbbuild cache add NOTEBOOK…`: take executed notebooks as the results of their tasks."""

from __future__ import annotations

from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.errors import NbbuildError, UsageError, raise_all
from nbbuild.model import Outcome, OutcomeKind


@click.command(
    "add",
    cls=Verb,
    examples={"nbbuild cache add executed/report.ipynb": "a result that was made elsewhere"},
)
@click.argument("notebooks", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--target", metavar="TASK", default="", help="The task that NOTEBOOK is a result of.")
@click.option(
    "-a",
    "--artefact",
    "artefacts",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file that it wrote [whatever matches the task's patterns].",
)
@click.option(
    "--validate/--no-validate",
    default=True,
    help="Check that it was executed from top to bottom, without errors [validate].",
)
@click.option(
    "--overwrite/--no-overwrite",
    default=False,
    help="Take it even if the cache already has a result [no-overwrite].",
)
@json_option
@project_options
def command(
    notebooks: tuple[Path, ...],
    target: str,
    artefacts: tuple[Path, ...],
    validate: bool,
    overwrite: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Take NOTEBOOKs that were executed elsewhere as the results of their tasks.

    Each is the source, the paired or the built notebook of a task, or belongs to --target TASK. It
    must hold the code that the source has now. The next build does not run these tasks. Paths are
    relative to the current folder, or to -C DIR. Exit status 1 if a notebook cannot be taken.
    """
    if len(notebooks) > 1 and (target or artefacts):
        raise UsageError("--target and --artefact are for one NOTEBOOK", hint="add them one by one")
    from nbbuild.session import open_session
    from nbbuild.verbs.adopt import adopt

    outcomes: list[Outcome] = []
    errors: list[NbbuildError] = []
    with open_session(directory, file=file) as session:
        for notebook in notebooks:
            try:
                outcome = adopt(
                    session,
                    directory / notebook,
                    target=target,
                    artefacts=[directory / path for path in artefacts],
                    validate=validate,
                    overwrite=overwrite,
                )
            except NbbuildError as error:
                errors.append(error)
                continue
            outcomes.append(outcome)
            if not as_json:
                verb = "kept" if outcome.kind is OutcomeKind.FRESH else "added"
                emit(f"{verb}  {outcome.task}")
                for note in outcome.notes:
                    if note != "adopted":
                        say(f"note: {outcome.task}: {note}")
    if as_json:
        emit(outcomes)
    raise_all(errors)
