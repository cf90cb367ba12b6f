"""`nbbuild list`: the tasks of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbbuild.cli._options import project_options
from nbbuild.cli.render import emit, json_option, table
from nbbuild.model import Outcome, Task
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
        rows = [(session.graph.tasks[name], session.state.outcome(name)) for name in names]
    if as_json:
        emit([_plain(task, last) for task, last in rows])
        return
    emit(
        table(
            [
                (
                    task.name,
                    task.source if task.source != task.name else "",
                    ",".join(task.groups),
                    last.kind.value if last else "",
                    duration(sum(last.cell_seconds)) if last and last.cell_seconds else "",
                )
                for task, last in rows
            ],
            header=("task", "notebook", "groups", "last", "took"),
            right=[4],
        )
    )


def _plain(task: Task, last: Outcome | None) -> dict[str, Any]:
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
    }


def _value(value: Any) -> Any:
    """Return a parameter as JSON has it: dates and times become text."""
    if isinstance(value, dict):
        return {name: _value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else value.isoformat()
