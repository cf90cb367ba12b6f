"""Say at which line of its source a notebook failed."""

from __future__ import annotations

from nbbuild.errors import NbbuildError
from nbbuild.model import Outcome
from nbbuild.notebook.read import read
from nbbuild.report.located import line_of
from nbbuild.session import Session


def failing_line(session: Session, outcome: Outcome) -> int:
    """Return the line of the source, from 1; 1 too if it cannot be read, or the cell is gone."""
    if outcome.failure is None:
        return 1
    try:
        notebook = read(session.root, outcome.source, readers=session.readers)
        text = (session.root / outcome.source).read_text(encoding="utf-8")
        return line_of(text, notebook, outcome.failure)
    except (OSError, ValueError, NbbuildError):
        return 1
