"""Estimate how long tasks take that have never run, so that the longest can begin first.

Only an order comes of it: what a user is shown rests on durations that were measured. So a rough
guess is worth much and an exact one little more. What tells most comes first:

1. A task that has run takes as long again.
2. One that differs by its parameters only takes the median of the others of its notebook.
3. Others take what their size makes likely, by a line through what was measured that a few odd
   ones do not bend: half of the points are paired with the other half, the median slope of the
   pairs counts (Theil's incomplete method). On top comes what those took more than their size made
   likely that import the same: the most of any module that it imports, since most modules cost
   nothing and one may cost minutes.
4. Where nothing was measured, size alone decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from nbbuild.interpreter.imports import scanned_imports
from nbbuild.model import Parsed, Task

_START = 0.5  # seconds that a notebook takes which does nothing
_PER_CHARACTER = 0.001  # seconds
_CELL = 30  # characters that a cell counts as, beyond those of its code
_LEAST = 0.01  # seconds
_ENOUGH = 1000  # notebooks that are compared with: more would not change the order
_FEW = 4  # points through which no line is drawn


def expected(
    tasks: Mapping[str, Task], parsed: Mapping[str, Parsed], remembered: Mapping[str, float]
) -> dict[str, float]:
    """Return for each of `tasks`, by name, the seconds that its run probably takes.

    `parsed` holds what the readable notebooks say, by source; `remembered` the seconds of each
    task's last run, also of tasks that are long gone.
    """
    found = {name: remembered[name] for name in tasks if name in remembered}
    if len(found) == len(tasks):
        return found
    of_notebook: dict[str, list[float]] = {}
    for name, seconds in found.items():
        of_notebook.setdefault(tasks[name].source, []).append(seconds)
    usual = {source: median(several) for source, several in of_notebook.items()}
    # Some from everywhere in the project, not the first ones: neighbours are often alike.
    step = -(-len(usual) // _ENOUGH) or 1
    sample = islice(usual.items(), 0, None, step)
    guess = _Guess([(_features(parsed.get(source)), seconds) for source, seconds in sample])
    for name, task in tasks.items():
        if name not in found:
            if task.source not in usual:
                usual[task.source] = guess.seconds(_features(parsed.get(task.source)))
            found[name] = usual[task.source]
    return found


@dataclass(frozen=True, slots=True)
class _Features:
    """What of a notebook has to do with how long it takes, and can be seen without running it."""

    size: int
    modules: frozenset[str]  # top-level ones; "" where it imports nothing


def _features(said: Parsed | None) -> _Features:
    cells = said.cells if said is not None else ()
    imports = (one for cell in cells for one in scanned_imports(cell.source) if one.level == 0)
    modules = {one.module.partition(".")[0] for one in imports}
    size = sum(len(cell.source) + _CELL for cell in cells)
    return _Features(size, frozenset(modules or {""}))


class _Guess:
    """Seconds by features, as `measured` has them together."""

    def __init__(self, measured: Sequence[tuple[_Features, float]]) -> None:
        self._base, self._slope = _line([(one.size, seconds) for one, seconds in measured])
        more: dict[str, list[float]] = {}
        for features, seconds in measured:
            for module in features.modules:
                more.setdefault(module, []).append(seconds - self._by_size(features.size))
        self._more = {module: median(several) for module, several in more.items()}

    def seconds(self, features: _Features) -> float:
        """Return the seconds that a notebook with these features probably takes."""
        more = [self._more[module] for module in features.modules if module in self._more]
        return max(_LEAST, self._by_size(features.size) + max(more, default=0.0))

    def _by_size(self, size: int) -> float:
        return self._base + self._slope * size


def _line(points: Iterable[tuple[int, float]]) -> tuple[float, float]:
    """Return the seconds at size 0, and those per character, of a line through (size, seconds)."""
    ordered = sorted(points)
    half = len(ordered) // 2
    pairs = zip(ordered[:half], ordered[-half:], strict=True) if len(ordered) >= _FEW else ()
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if a[0] < b[0]]
    if slopes:
        slope = max(0.0, median(slopes))
        return median(seconds - slope * size for size, seconds in ordered), slope
    # The usual line, as much steeper as what was measured took longer.
    ratios = [seconds / (_START + _PER_CHARACTER * size) for size, seconds in ordered]
    factor = median(ratios) if ratios else 1.0
    return factor * _START, factor * _PER_CHARACTER
