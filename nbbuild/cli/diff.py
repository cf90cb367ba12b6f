"""`nbbuild diff TARGET [RECORD]`: the code of a notebook against that of a run in the cache."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import found as record_of
from nbbuild.cli.explain import as_lines, as_plain
from nbbuild.cli.render import emit, json_option, say


@click.command(
    "diff",
    cls=Verb,
    examples={"nbbuild diff report.ipynb": "what changed in its code since it ran"},
)
@click.argument("target", shell_complete=_completing.targets)
@click.argument("record", required=False)
@click.option("--plain", is_flag=True, help="Do not use nbdime, even if it is installed.")
@json_option
@project_options
def command(
    target: str,
    record: str | None,
    plain: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> int:
    """Show how the code of TARGET differs from that of its last run in the cache.

    RECORD names another run by its id, or the beginning of it. Prose is not compared, since a
    record holds none. Exit status, as for diff: 0 when nothing differs, 1 when something does,
    higher for an error.
    """
    from nbbuild.session import open_session
    from nbbuild.verbs.diff import code_now, code_of, differences, latest

    with open_session(directory, file=file) as session:
        task = session.task(target)
        if task.source in session.project.unreadable:
            raise session.project.unreadable[task.source]
        against = record_of(session, record) if record else latest(session, task)
        found = differences(session, task, against)
        by_nbdime = not (plain or as_json) and importlib.util.find_spec("nbdime") is not None
        sides = (
            (code_of(session, against), code_now(session, task)) if found and by_nbdime else None
        )
    if as_json:
        emit(
            {
                "task": task.name,
                "record": against.id,
                "differences": [as_plain(one) for one in found],
            }
        )
    elif sides is not None:
        shown = _nbdime(*sides, names=(f"record {against.id}", task.source))
        emit(shown, coloured=True)
    else:
        emit("\n".join(line for one in found for line in as_lines(one)))
    if not found and not as_json:
        say(f"the code of {task.name} is that of record {against.id}")
    return 1 if found else 0


def _nbdime(old: Sequence[str], new: Sequence[str], *, names: tuple[str, str]) -> str:
    """Return what nbdime says of two notebooks with these code cells."""
    import nbdime
    from nbdime.prettyprint import PrettyPrintConfig, pretty_print_diff
    from nbformat import v4

    def notebook(cells: Sequence[str]) -> object:
        # Of minor 4, which has no ids: made ones would be different ones.
        made = [v4.new_code_cell(source) for source in cells]
        for cell in made:
            cell.pop("id", None)
        return v4.new_notebook(cells=made, nbformat_minor=4)

    before, after = notebook(old), notebook(new)
    out = io.StringIO()
    out.write(f"--- {names[0]}\n+++ {names[1]}\n")
    # Its own means, not git's or diff's: what they show depends on how they are configured.
    shown = PrettyPrintConfig(out=out, use_git=False, use_diff=False, use_color=sys.stdout.isatty())
    pretty_print_diff(before, nbdime.diff_notebooks(before, after), "", shown)
    return out.getvalue().rstrip("\n")
