"""Declare in jcache.toml what the notebooks are seen to use, by running them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from nbbuild.model import Report
from nbbuild.session import Session, open_session
from nbbuild.verbs.edit import Edited, declare
from nbbuild.verbs.suggest import by_source, suggest

_ROUNDS = 10
"""What is declared puts notebooks in order; in that order they may get further, and show more."""


def learn(
    path: Path,
    *,
    environ: Mapping[str, str],
    build: Callable[[Session], Report],
    on_edit: Callable[[Edited], None],
) -> Report:
    """Build the project of `path`, a jcache.toml, and declare what its runs used; return the last.

    It is built again as long as that gives something new to declare, since another order lets
    notebooks get further. `on_edit` is called after each change of the file. Raises what opening,
    `build` and `declare` raise.
    """
    report = Report()
    for _ in range(_ROUNDS):
        with open_session(path.parent, file=Path(path.name), environ=environ) as session:
            report = build(session)
            suggestions = () if report.interrupted else suggest(session)
        if not suggestions:
            break
        on_edit(declare(path, by_source(suggestions), environ=environ))
    return report
