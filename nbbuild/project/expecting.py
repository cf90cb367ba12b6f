"""Estimate how long tasks take that have never run, so that the longest can begin first.

The estimates only decide an order; what a user sees rests on measured durations. So a rough guess
is worth much, and an exact one little more. The best evidence comes first:

1. A task that has run will take as long again.
2. A task that differs from others only by its parameters takes the median of those others.
3. Any other task takes what its size makes likely, by a line through the measurements that a few
   odd ones do not bend: half of the points are paired with the other half, and the median slope of
   the pairs counts (Theil's incomplete method). To that is added how much longer than likely other
   tasks with the same imports took: the largest such value for any module that the task imports,
   since most modules cost nothing and one may cost minutes.
4. If nothing was measured, size alone decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from nbbuild.interpreter.imports import scanned_imports
from nbbuild.model import Parsed, Task

_START = 0.5  # seconds for a notebook that does nothing
_PER_CHARACTER = 0.001  # seconds
_CELL = 30  # characters that each cell adds to those of its code
_LEAST = 0.01  # seconds
_ENOUGH = 1000  # notebooks to compare with: more would not change the order
_FEW = 4  # too few points to draw a line


def expected(
    tasks: Mapping[str, Task], parsed: Mapping[str, Parsed], remembered: Mapping[str, float]
) -> dict[str, float]:
    """Return for each of `tasks`, by name, the seconds that its run will probably take.

    `parsed` holds the readable notebooks by source; `remembered` the seconds of each task's last
    run, including tasks that are long gone.
    """
    found = {name: remembered[name] for name in tasks if name in remembered}
    if len(found) == len(tasks):
        return found
    of_notebook: dict[str, list[float]] = {}
    for name, seconds in found.items():
        of_notebook.setdefault(tasks[name].source, []).append(seconds)
    usual = {source: median(several) for source, several in of_notebook.items()}
    # Take some from all over the project, not the first ones: neighbours are often alike.
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
    """The features of a notebook that affect how long it takes and are visible without a run."""

    size: int
    modules: frozenset[str]  # top-level ones; "" if it imports nothing


def _features(said: Parsed | None) -> _Features:
    cells = said.cells if said is not None else ()
    imports = (one for cell in cells for one in scanned_imports(cell.source) if one.level == 0)
    modules = {one.module.partition(".")[0] for one in imports}
    size = sum(len(cell.source) + _CELL for cell in cells)
    return _Features(size, frozenset(modules or {""}))


class _Guess:
    """Predicts seconds from features, judging by the pairs in `measured`."""

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
    # The usual line, made steeper in proportion to how much longer the measured ones took.
    ratios = [seconds / (_START + _PER_CHARACTER * size) for size, seconds in ordered]
    factor = median(ratios) if ratios else 1.0
    return factor * _START, factor * _PER_CHARACTER
