"""Make the objects that start the kernels of a build, from an open session.

This is imported before anything is judged, so it imports nothing that executes notebooks.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbbuild.building.head_start import IsNew
from nbbuild.building.preparing import Preparing, Warming, stock
from nbbuild.building.warming import Warmings
from nbbuild.session import Session


def preparing_of(session: Session, *, threads: int, warming: Warming = stock) -> Preparing:
    """Return what makes the actions of a build in `session`'s project."""
    return Preparing(
        root=session.root,
        tasks=session.graph.tasks,
        inputs=session.inputs,
        walker=session.walker,
        environ=session.environ,
        warming=warming,
        threads=threads,
    )


def warmings_of(session: Session, executing: Sequence[str]) -> Warmings:
    """Return what the kernels of `executing` are forked from."""
    return Warmings(session.graph.tasks, session.inputs, session.runs, executing)


def is_new_of(session: Session) -> IsNew:
    """Return the function that says which tasks have new code."""
    return IsNew(
        readings=session.readings,
        unreadable=session.project.unreadable,
        parsed=session.inputs.parsed,
        last=session.state.outcome,
    )
