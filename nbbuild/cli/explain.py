"""`nbbuild explain TARGET`: why it would run, or why not."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say, table
from nbbuild.disk.shapes import in_builtins
from nbbuild.errors import UsageError
from nbbuild.model import Reason, TraceItem, Verdict
from nbbuild.watching.levels import in_words

if TYPE_CHECKING:
    from nbbuild.verbs.explain import Explained, Explanation

_SENTENCES = {
    Verdict.FRESH: "{task} is up to date",
    Verdict.REFRESH: "{task} will be written again from the cache; nothing executes",
    Verdict.RUN: "{task} will run",
    Verdict.WAIT: "{task} may run: it is judged when what it waits for is done",
    Verdict.BLOCKED: "{task} cannot be built",
}

_SHORT = 12
"""Characters of a digest that are shown."""

_DIGESTED = ("assets", "modules", "files", "code", "file")
"""Classes whose values are digests of files or cells; those of `env` are never shown."""


@click.command(
    "explain",
    cls=Verb,
    examples={
        "nbbuild explain report.ipynb": "why it would run",
        "nbbuild explain --suggest": "lines for jcache.toml that are missing",
    },
)
@click.argument("target", required=False, shell_complete=_completing.targets)
@click.option("-v", "--verbose", is_flag=True, help="Also show all that the last run used.")
@click.option("--remote", is_flag=True, help="Also say why the remote cache does not help.")
@click.option("--suggest", "suggesting", is_flag=True, help="Print lines for jcache.toml.")
@click.option("--write", "writing", is_flag=True, help="With --suggest: add them to the file.")
@json_option
@project_options
def command(
    target: str | None,
    verbose: bool,
    remote: bool,
    suggesting: bool,
    writing: bool,
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> None:
    """Say why TARGET would run, or why not: what changed since its last run.

    Shows the class of input, the item, its old and its new value; for code, the changed cell with a
    diff. With --suggest, prints lines for jcache.toml that declare what the notebooks (or TARGET)
    wrote, read or relied on without declaring it; --write adds them to the file.
    """
    if target is None and not suggesting:
        raise UsageError("name the TARGET to explain", hint="`nbbuild status` covers all tasks")
    if writing and not suggesting:
        raise UsageError("--write needs --suggest", hint="`nbbuild explain --suggest --write`")
    from nbbuild.session import open_session

    if suggesting:
        _suggest(target, writing=writing, as_json=as_json, directory=directory, file=file)
        return
    from nbbuild.building.remarks import remarks
    from nbbuild.verbs.explain import explain

    with open_session(directory, file=file) as session:
        assert target is not None
        explanations = explain(session, target, remote=remote)
        said = remarks(session, [one.task for one in explanations])
        problems = session.store.problems()
    for text in problems:
        say(f"note: {text}")
    if as_json:
        emit([_plain(one, verbose=verbose) for one in explanations])
    else:
        lines = (line for one in explanations for line in _lines(one, "", verbose=verbose))
        emit("\n".join(lines))
        for task, texts in said.items():
            for text in texts:
                say(f"note: {task}: {text}")


def _suggest(
    target: str | None, *, writing: bool, as_json: bool, directory: Path, file: Path | None
) -> None:
    from nbbuild.session import open_session
    from nbbuild.verbs.suggest import as_toml, by_source, suggest

    with open_session(directory, file=file) as session:
        suggestions = suggest(session, [target] if target else [])
        path = session.config.path
    if not suggestions and not (as_json and not writing):
        say("nothing to suggest")
        return
    if not writing:
        plain = [dataclasses.asdict(one) for one in suggestions]
        emit(plain if as_json else as_toml(suggestions))
        return
    from nbbuild.cli._editing import tell
    from nbbuild.verbs.edit import declare

    tell(declare(path, by_source(suggestions), environ=os.environ), as_json=as_json)


def _lines(explanation: Explanation, indent: str, *, verbose: bool = False) -> list[str]:
    lines = [indent + _SENTENCES[explanation.verdict].format(task=explanation.task)]
    for one in explanation.reasons:
        lines += [f"{indent}  {line}" for line in as_lines(one)]
    for upstream in explanation.because:
        lines += _lines(upstream, indent + "  ")
    lines += [f"{indent}  {line}" for line in _elsewhere(explanation)]
    lines += [f"{indent}  note: {mark}" for mark in explanation.marks]
    if verbose and explanation.trace is not None:
        trace = explanation.trace
        used = ", and used:" if trace.items or trace.hosts else ""
        lines.append(f"{indent}  its last run {in_words(trace.level)}{used}")
        items = table(_rows(trace.items), indent=len(indent) + 4)
        lines += [f"{indent}    {line}" for line in items.splitlines()]
        lines += [f"{indent}    contacted {host}" for host in trace.hosts]
        lines += [f"{indent}    not all was seen: {why}" for why in trace.partial]
        if explanation.python:
            lines.append(f"{indent}  it was made with {explanation.python}")
    return lines


def _elsewhere(explanation: Explanation) -> list[str]:
    """Return what there is to say of the remote's nearest result, if that was asked for."""
    there = explanation.elsewhere
    if there is None:
        return []
    if not there.record:
        return ["the remote cache has no result of it"]
    if not there.reasons:
        return [f"the remote cache has its result: {there.record}"]
    lines = [f"the nearest result in the remote cache, {there.record}, is another one:"]
    return [*lines, *(f"  {line}" for one in there.reasons for line in as_lines(one))]


def as_lines(one: Explained) -> list[str]:
    """Return a reason as text, with the diff of a cell below it."""
    return [f"{one.reason}{_values(one.reason)}", *(f"  {line}" for line in one.diff)]


def _rows(items: tuple[TraceItem, ...]) -> list[tuple[str, str, str, str]]:
    return [
        # The names of all installed modules in one item would make the column as wide as they are.
        (one.kind, f"{len(one.name.split())} top-level modules", "", one.via)
        if one.kind == "installed"
        else (
            one.kind,
            one.name,
            one.value[:_SHORT] if len(one.value) == 64 else one.value,
            one.via,
        )
        for one in items
    ]


def _values(reason: Reason) -> str:
    """Return ": 1a2b… → 3c4d…" where the sentence of a digested item does not say it."""
    if reason.kind not in _DIGESTED or not (reason.old and reason.new):
        return ""
    return f": {reason.old[:_SHORT]} → {reason.new[:_SHORT]}"


def _plain(explanation: Explanation, *, verbose: bool = False) -> dict[str, Any]:
    return {
        "task": explanation.task,
        "source": explanation.source,
        "verdict": explanation.verdict.value,
        "reasons": [as_plain(one) for one in explanation.reasons],
        "marks": list(explanation.marks),
        "because": [_plain(one) for one in explanation.because],
        **(
            {
                "remote": {
                    "record": explanation.elsewhere.record,
                    "reasons": [as_plain(one) for one in explanation.elsewhere.reasons],
                }
            }
            if explanation.elsewhere is not None
            else {}
        ),
        **(
            {"python": explanation.python, "trace": in_builtins(explanation.trace)}
            if verbose
            else {}
        ),
    }


def as_plain(one: Explained) -> dict[str, Any]:
    """Return a reason as JSON has it."""
    reason = one.reason
    hidden = reason.kind == "env" or (reason.kind, reason.item) == ("kernel", "env")
    return {
        "kind": reason.kind,
        "item": reason.item,
        "old": "" if hidden else reason.old,
        "new": "" if hidden else reason.new,
        "text": str(reason),
        "diff": list(one.diff),
        "position": reason.position,
        "execution_count": reason.execution_count,
    }
