"""`nbbuild cache info`: what is in the cache, or in one record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.cache._records import earlier_as_data, folder, found, plain, when
from nbbuild.cli.render import emit, json_option
from nbbuild.model import Record
from nbbuild.text.quantities import number_of


@click.command(
    "info",
    cls=Verb,
    examples={
        "nbbuild cache info": "how large it is",
        "nbbuild cache info report.ipynb": "what its result rests on",
    },
)
@click.argument("record", required=False)
@json_option
@project_options
def command(record: str | None, as_json: bool, directory: Path, file: Path | None) -> None:
    """Describe RECORD, or the whole cache.

    RECORD is an id, the beginning of one, or a notebook for its current record.
    """
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        if record is None:
            blobs, records, size = session.store.size()
            facts: dict[str, Any] = {
                "path": str(folder(session)),
                "records": records,
                "blobs": blobs,
                "bytes": size,
                "max_size": session.config.cache.max_size,
                "earlier": earlier_as_data(session.store.earlier()),
            }
        else:
            one = found(session, record)
            facts = {**plain(one), "inputs": _inputs(one)}
    if as_json:
        emit(facts)
    else:
        emit("\n".join(_described(facts)))


def _inputs(record: Record) -> dict[str, dict[str, str]]:
    """Return the action key class by class; values of variables are digests there already."""
    return {one.kind: dict(one.items) for one in record.key.fingerprints if one.items}


def _described(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_described(value, indent + "  ")]
        elif name == "earlier":
            lines += [
                f"{one['folder']}, of an older nbbuild: {number_of(one['records'], 'record')}, "
                f"{one['bytes']} bytes; `nbbuild cache gc` removes them"
                for one in value
            ]
        elif isinstance(value, list):
            lines += [f"{indent}{name}:"] * bool(value)
            lines += [f"{indent}  {' '.join(map(str, one.values()))}" for one in value]
        else:
            shown = when(value) if name == "created" else value
            lines.append(f"{indent}{name}: {shown}")
    return lines
