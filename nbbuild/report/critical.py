"""Find the critical path of a build: the chain of tasks that decided how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


def chain(
    seconds: Mapping[str, float], upstream: Callable[[str], Iterable[str]]
) -> tuple[str, ...]:
    """Return the chain of tasks, each upstream of the next, that worked for the most seconds.

    `seconds` holds the tasks that did any work, in the graph's order; empty if none did.
    """
    longest: dict[str, float] = {}
    before: dict[str, str] = {}
    for name, own in seconds.items():
        above = [other for other in upstream(name) if other in longest]
        slowest = max(above, key=longest.__getitem__, default=None)
        longest[name] = own + (longest[slowest] if slowest is not None else 0.0)
        if slowest is not None:
            before[name] = slowest
    if not longest:
        return ()
    path = [max(longest, key=longest.__getitem__)]
    while path[-1] in before:
        path.append(before[path[-1]])
    return tuple(reversed(path))
