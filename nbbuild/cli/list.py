"""`nbbuild list`: the tasks of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, table
from nbbuild.cli.show import discovered
from nbbuild.model import Outcome, OutcomeKind, Record, Task
from nbbuild.report import duration


@click.command(
    "list",
    cls=Verb,
    examples={
        "nbbuild list": "all tasks",
        "nbbuild list --assets chapters": "those of a folder, and what they read",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@click.option("--assets", "with_assets", is_flag=True, help="Also show the files that they read.")
@json_option
@project_options
def command(
    targets: tuple[str, ...],
    with_assets: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """List TARGETs, or all tasks: the notebook, its groups, its last outcome and seconds.

    --assets adds the declared assets, and how many other files the last run used.
    """
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        names = session.wanted(targets, upstream=False)
        durations = session.state.durations()
        rows = [
            (task, last, _seconds(last, record, durations.get(task.name)), discovered(record))
            for task in map(session.graph.tasks.__getitem__, names)
            for last, record in [session.runs.last(task)]
        ]
        shown = session.here.shown
    if as_json:
        emit([_plain(task, last, seconds, found) for task, last, seconds, found in rows])
        return
    header = ("task", "notebook", "groups", "last", "took", *(("assets",) if with_assets else ()))
    emit(
        table(
            [
                (
                    task.name,
                    shown(task.source) if shown(task.source) != task.name else "",
                    ",".join(task.groups),
                    last.kind.value if last else "",
                    "" if seconds is None else duration(seconds),
                    *([_assets(task, found)] if with_assets else ()),
                )
                for task, last, seconds, found in rows
            ],
            header=header,
            right=[4],
        )
    )


def _seconds(last: Outcome | None, record: Record | None, known: float | None) -> float | None:
    """Return the seconds of a task's last run, a failed one included; None when there is none."""
    if last is not None and last.kind is OutcomeKind.FAILED:
        return last.seconds
    return known if record is None else record.seconds


def _assets(task: Task, found: list[str]) -> str:
    """Return "data/*.csv, +2 used": what is declared, and how much more was met."""
    return ", ".join([*task.assets, *([f"+{len(found)} used"] if found else [])])


def _plain(
    task: Task, last: Outcome | None, seconds: float | None, found: list[str]
) -> dict[str, Any]:
    return {
        "task": task.name,
        "source": task.source,
        "built": task.built,
        "paired": list(task.paired),
        "groups": list(task.groups),
        "assets": list(task.assets),
        "discovered": found,
        "modules": list(task.modules),
        "artefacts": list(task.artefacts),
        "depends_on": list(task.depends_on),
        "parameters": {name: _value(value) for name, value in task.parameters.items()},
        "last": last.kind.value if last else None,
        "seconds": seconds,
    }


def _value(value: Any) -> Any:
    """Return a parameter as JSON has it: dates and times become text."""
    if isinstance(value, dict):
        return {name: _value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else value.isoformat()
