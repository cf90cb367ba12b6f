"""`nbbuild list`: the tasks of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbbuild.cli._options import project_options
from nbbuild.cli.render import emit, json_option, table
from nbbuild.model import Outcome, OutcomeKind, Record, Task
from nbbuild.report import duration


@click.command("list")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@json_option
@project_options
def command(targets: tuple[str, ...], as_json: bool, directory: Path, file: Path | None) -> None:
    """List TARGETs, or all tasks: the notebook, where it is built, its groups and last outcome."""
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        names = session.wanted(targets, upstream=False)
        durations = session.state.durations()
        rows = [
            (task, last, _seconds(last, record, durations.get(task.name)))
            for task in map(session.graph.tasks.__getitem__, names)
            for last, record in [session.last(task)]
        ]
    if as_json:
        emit([_plain(task, last, seconds) for task, last, seconds in rows])
        return
    emit(
        table(
            [
                (
                    task.name,
                    task.source if task.source != task.name else "",
                    ",".join(task.groups),
                    last.kind.value if last else "",
                    "" if seconds is None else duration(seconds),
                )
                for task, last, seconds in rows
            ],
            header=("task", "notebook", "groups", "last", "took"),
            right=[4],
        )
    )


def _seconds(last: Outcome | None, record: Record | None, known: float | None) -> float | None:
    """Return the seconds of a task's last run, a failed one included; None when there is none."""
    if last is not None and last.kind is OutcomeKind.FAILED:
        return last.seconds
    return known if record is None else record.seconds


def _plain(task: Task, last: Outcome | None, seconds: float | None) -> dict[str, Any]:
    return {
        "task": task.name,
        "source": task.source,
        "built": task.built,
        "paired": list(task.paired),
        "groups": list(task.groups),
        "assets": list(task.assets),
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
