"""`nbbuild cache verify`: read everything, and remove what is damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say
from nbbuild.store.checking import Fault
from nbbuild.text.quantities import number_of

_DAMAGED = 3


@click.command("verify", cls=Verb, examples={"nbbuild cache verify": "is anything damaged?"})
@click.option("--remote", is_flag=True, help="Check [cache] remote instead; remove nothing.")
@json_option
@project_options
def command(remote: bool, as_json: bool, directory: Path, file: Path | None) -> int:
    """Read every blob and every record, and remove those that are damaged or incomplete.

    A notebook whose result is removed runs in the next build. Exit status 3 if anything was
    damaged. In a read-only cache, damage is named and stays; damaged results are never used.
    """
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        if remote:
            from nbbuild.cli._progress import moving
            from nbbuild.verbs.remote_cache import check

            with moving("reading the remote cache") as observer:
                checked = check(session, observer)
        else:
            checked = session.store.check()
    if as_json:
        emit(dataclasses.asdict(checked))
    else:
        emit("\n".join(map(_line, checked.faults)))
        looked = (
            f"{number_of(checked.records, 'record')} and {number_of(checked.blobs, 'blob')} read"
        )
        say(f"{looked}, {len(checked.faults) or 'none'} damaged")
    return _DAMAGED if checked.faults else 0


def _line(fault: Fault) -> str:
    verb = "removed" if fault.removed else "damaged"
    task = f" ({fault.task})" if fault.task else ""
    return f"{verb}  {fault.kind} {fault.name}{task}: {fault.reason}"
