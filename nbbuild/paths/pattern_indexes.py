"""Find, among many patterns or paths, those that can meet a given one, without trying them all."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from nbbuild.paths.patterns import Pattern, can_meet, climbs, matches, plain_lead


class PatternIndex:
    """Finds, among many patterns, those that can meet a given one, without trying them all.

    Two patterns can meet only if the plain text at the start of one begins with that of the other.
    So the index is sorted by that text: longer ones are neighbours, and shorter ones take a few
    look-ups. Patterns come out in the order given, equal ones only once.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = tuple(dict.fromkeys(patterns))
        self._met: dict[Pattern, tuple[Pattern, ...]] = {}
        self._climbing = [n for n, pattern in enumerate(self._patterns) if climbs(pattern)]
        self._by_lead: dict[str, list[int]] = {}
        for number, pattern in enumerate(self._patterns):
            self._by_lead.setdefault(plain_lead(pattern), []).append(number)
        self._leads = sorted(self._by_lead)
        self._lengths = sorted({len(lead) for lead in self._leads})

    def __len__(self) -> int:
        return len(self._patterns)

    def meeting(self, pattern: Pattern) -> tuple[Pattern, ...]:
        """Return the patterns that can meet `pattern`."""
        met = self._met.get(pattern)
        if met is None:
            near = (self._patterns[number] for number in self._near(pattern))
            met = tuple(other for other in near if can_meet(pattern, other))
            self._met[pattern] = met
        return met

    def matching(self, path: str) -> tuple[Pattern, ...]:
        """Return the patterns that mean the file `path`."""
        numbers = sorted({*self._shorter(path), *self._climbing})
        near = (self._patterns[number] for number in numbers)
        return tuple(pattern for pattern in near if matches(pattern, path))

    def _near(self, pattern: Pattern) -> Iterable[int]:
        if climbs(pattern):
            return range(len(self._patterns))
        lead = plain_lead(pattern)
        numbers = {*self._shorter(lead), *self._climbing}
        for place in range(bisect_left(self._leads, lead), len(self._leads)):
            if not self._leads[place].startswith(lead):
                break
            numbers.update(self._by_lead[self._leads[place]])
        return sorted(numbers)

    def _shorter(self, lead: str) -> Iterable[int]:
        for length in self._lengths:
            if length > len(lead):
                break
            yield from self._by_lead.get(lead[:length], ())


class PathIndex:
    """Finds, among many paths, those that a pattern means, without trying them all.

    Once sorted, the paths that begin with the pattern's plain text are neighbours. They come out
    sorted, each once.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = sorted(set(paths))

    def matching(self, pattern: Pattern) -> list[str]:
        """Return the paths that `pattern` means."""
        if climbs(pattern):
            return [path for path in self._paths if matches(pattern, path)]
        lead = plain_lead(pattern)
        found = []
        for place in range(bisect_left(self._paths, lead), len(self._paths)):
            path = self._paths[place]
            if not path.startswith(lead):
                break
            if matches(pattern, path):
                found.append(path)
        return found
