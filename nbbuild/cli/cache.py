"""`nbbuild cache …`: look into the cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbbuild.cli._options import project_options
from nbbuild.cli.render import emit, json_option, table
from nbbuild.model import Record
from nbbuild.report import duration

if TYPE_CHECKING:
    from nbbuild.session import Session


@click.group("cache")
@project_options
def command(directory: Path, file: Path | None) -> None:
    """Look into the cache of results."""


@command.command("path")
@project_options
def path(directory: Path, file: Path | None) -> None:
    """Print the folder of the cache."""
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        emit(str(_folder(session)))


@command.command("list")
@json_option
@project_options
def list_(as_json: bool, directory: Path, file: Path | None) -> None:
    """List the records, newest first: one for each run whose result is kept."""
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        records = _newest_first(session)
    if as_json:
        emit([_plain(record) for record in records])
        return
    rows = [(r.id, r.task, _when(r.created), duration(r.seconds)) for r in records]
    emit(table(rows, header=("record", "task", "created", "took"), right=(3,)))


@command.command("info")
@click.argument("record", required=False)
@json_option
@project_options
def info(record: str | None, as_json: bool, directory: Path, file: Path | None) -> None:
    """Describe RECORD (its id, or the beginning of it), or the whole cache."""
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        if record is None:
            blobs, records, size = session.store.size()
            facts: dict[str, Any] = {
                "path": str(_folder(session)),
                "records": records,
                "blobs": blobs,
                "bytes": size,
            }
        else:
            found = session.record(record)
            facts = {**_plain(found), "inputs": _inputs(found)}
    if as_json:
        emit(facts)
    else:
        emit("\n".join(_described(facts)))


def _folder(session: Session) -> Path:
    return session.store.layout.folder.resolve()


def _newest_first(session: Session) -> list[Record]:
    return sorted(session.store.all_records(), key=lambda record: -record.created)


def _plain(record: Record) -> dict[str, Any]:
    return {
        "record": record.id,
        "key": record.key.digest,
        "task": record.task,
        "source": record.source,
        "created": record.created,
        "seconds": record.seconds,
        "accepted": record.accepted,
        "artefacts": [
            {"path": one.path, "digest": one.digest, "bytes": one.size} for one in record.artefacts
        ],
    }


def _inputs(record: Record) -> dict[str, dict[str, str]]:
    """Return the action key class by class; values of variables are digests there already."""
    return {one.kind: dict(one.items) for one in record.key.fingerprints if one.items}


def _described(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_described(value, indent + "  ")]
        elif isinstance(value, list):
            lines += [f"{indent}{name}:"] * bool(value)
            lines += [f"{indent}  {' '.join(map(str, one.values()))}" for one in value]
        else:
            shown = _when(value) if name == "created" else value
            lines.append(f"{indent}{name}: {shown}")
    return lines


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
