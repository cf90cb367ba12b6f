"""`nbbuild explain TARGET`: why it would run, or why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbbuild.cli._options import project_options
from nbbuild.cli.render import emit, json_option
from nbbuild.model import Reason, Verdict

if TYPE_CHECKING:
    from nbbuild.explain import Explained, Explanation

_SENTENCES = {
    Verdict.FRESH: "{task} is up to date",
    Verdict.REFRESH: "{task} will be written again from the cache; nothing executes",
    Verdict.RUN: "{task} will run",
    Verdict.WAIT: "{task} may run: it is judged when what it waits for is done",
    Verdict.BLOCKED: "{task} cannot be built",
}

_SHORT = 12
"""Characters of a digest that are shown."""

_DIGESTED = ("assets", "modules", "files", "code")
"""Classes whose values are digests of files or cells; those of `env` are never shown."""


@click.command("explain")
@click.argument("target")
@json_option
@project_options
def command(target: str, as_json: bool, directory: Path, file: Path | None) -> None:
    """Say why TARGET would run, or why not: what changed since its last run.

    Names the class of input, the item, its old and its new value; for code the changed cell, with
    a diff.
    """
    from nbbuild.explain import explain
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        explanations = explain(session, target)
    if as_json:
        emit([_plain(one) for one in explanations])
    else:
        emit("\n".join(line for one in explanations for line in _lines(one, "")))


def _lines(explanation: Explanation, indent: str) -> list[str]:
    lines = [indent + _SENTENCES[explanation.verdict].format(task=explanation.task)]
    for one in explanation.reasons:
        lines.append(f"{indent}  {one.reason}{_values(one.reason)}")
        lines += [f"{indent}    {line}" for line in one.diff]
    for upstream in explanation.because:
        lines += _lines(upstream, indent + "  ")
    return lines


def _values(reason: Reason) -> str:
    """Return ": 1a2b… → 3c4d…" where the sentence of a digested item does not say it."""
    if reason.kind not in _DIGESTED or not (reason.old and reason.new):
        return ""
    return f": {reason.old[:_SHORT]} → {reason.new[:_SHORT]}"


def _plain(explanation: Explanation) -> dict[str, Any]:
    return {
        "task": explanation.task,
        "source": explanation.source,
        "verdict": explanation.verdict.value,
        "reasons": [_reason(one) for one in explanation.reasons],
        "because": [_plain(one) for one in explanation.because],
    }


def _reason(one: Explained) -> dict[str, Any]:
    reason = one.reason
    hidden = reason.kind == "env" or (reason.kind, reason.item) == ("kernel", "env")
    return {
        "kind": reason.kind,
        "item": reason.item,
        "old": "" if hidden else reason.old,
        "new": "" if hidden else reason.new,
        "text": str(reason),
        "diff": list(one.diff),
    }
