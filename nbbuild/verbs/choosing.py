"""Choose among the tasks that targets mean: what failed, what a change touches, one shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nbbuild.model import OutcomeKind
from nbbuild.project.shards import divided
from nbbuild.session import Session, Shard
from nbbuild.verbs.git_changes import changes_since
from nbbuild.verbs.touched import last_record, touched


@dataclass(frozen=True, slots=True)
class Chosen:
    """A session in which any targets mean the chosen tasks, and what there is to say of them."""

    session: Session
    notes: tuple[str, ...] = ()
    nothing: str = ""  # why there is no task


def choose(
    session: Session,
    targets: Sequence[str],
    *,
    last_failed: bool = False,
    since: str | None = None,
    shard: tuple[int, int] | None = None,
) -> Chosen:
    """Return the tasks of `targets` that all the options agree on.

    `since` names a commit of git, and `shard` is (i, n), from 1. Raises `UsageError`.
    """
    names = session.wanted(targets, upstream=False)
    notes: list[str] = []
    nothing = ""
    part: Shard | None = None
    if last_failed:
        names = _failed(session, session.wanted(targets))
        nothing = "" if names else "no notebook failed in its last run"
    if since is not None:
        these = set(touched(session, changes_since(session.root, since)))
        names = tuple(name for name in names if name in these)
        notes.append(f"what changed since '{since}' can touch {_count(session, len(names))}")
        nothing = nothing or ("" if names else f"what changed since '{since}' touches no notebook")
    if shard is not None:
        number, count = shard
        shards = divided(session.graph, names, count, _seconds(session, names))
        names = shards.parts[number - 1]
        part = Shard(f"{number}/{count}", shards.identity)
        elsewhere = shards.elsewhere(number - 1)
        also = f"; other shards also build {', '.join(elsewhere)}" if elsewhere else ""
        notes.append(f"shard {number}/{count} has {_count(session, len(names))}{also}")
        nothing = nothing or ("" if names else f"shard {number}/{count} has no notebook")
    chosen = replace(session, chosen=frozenset(names), shard=part)
    return Chosen(chosen, tuple(notes), nothing)


def _failed(session: Session, names: Iterable[str]) -> tuple[str, ...]:
    outcomes = {name: session.state.outcome(name) for name in names}
    return tuple(
        name
        for name, last in outcomes.items()
        if last is not None and last.kind is OutcomeKind.FAILED
    )


def _seconds(session: Session, names: Iterable[str]) -> dict[str, float]:
    """Return the seconds of each task's last run that is known, here or from the cache."""
    remembered = session.state.durations()
    found: dict[str, float] = {}
    for name in session.graph.needed(names):
        if name in remembered:
            found[name] = remembered[name]
            continue
        record = last_record(session, session.graph.tasks[name])
        if record is not None:
            found[name] = record.seconds
    return found


def _count(session: Session, number: int) -> str:
    total = len(session.tasks)
    return f"{number} of {total} notebook{'s'[: total != 1]}"
