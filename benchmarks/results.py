"""What measuring comes to: figures, their bars, and what several works need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Contender, Failed

JOBS = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to come to: `value` at most `limit`, in `unit`."""

    what: str
    value: float
    limit: float
    unit: str = "×"

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Result:
    """What one piece of work came to."""

    work: str
    contenders: tuple[Contender, ...]
    bars: tuple[Bar, ...]


Work = Callable[[Path, int], Result]
"""Make a corpus in a folder, run so many rounds, and return the result."""


def ratio(what: str, one: Contender, other: Contender | None, limit: float) -> Iterator[Bar]:
    """Yield the bar that `one` takes at most `limit` of what `other` takes, if that is there."""
    if other is not None:
        yield Bar(f"{what}: nbbuild / {other.name}", one.wall / other.wall, limit)


def contender(
    name: str, argv: Sequence[str] | None, root: Path, before: Callable[[], None] = lambda: None
) -> Contender | None:
    """Return a contender; None if its command is not installed."""
    return None if argv is None else Contender(name, argv, root, before=before)


def there(*contenders: Contender | None) -> list[Contender]:
    """Return those of `contenders` that are installed."""
    return [one for one in contenders if one is not None]


def forget(root: Path) -> None:
    """Take away all that builds left in `root`."""
    for name in (".nbbuild", "_build", "out", ".jupyter_cache"):
        shutil.rmtree(root / name, ignore_errors=True)


def all_executed(root: Path, paths: Sequence[Path]) -> None:
    """Raise Failed unless each notebook has a built one in which every cell ran."""
    for path in paths:
        built = (root / "_build/executed" / path.relative_to(root)).with_suffix(".ipynb")
        cells = json.loads(built.read_text(encoding="utf-8"))["cells"]
        if any(one["execution_count"] is None for one in cells if one["cell_type"] == "code"):
            raise Failed(f"{built} has cells that did not run")


def add_to_jupyter_cache(cache: Path, paths: Sequence[Path], *, reader: str = "") -> None:
    """Tell jupyter-cache of notebooks; `reader` is the plugin that reads them, "" its own."""
    from jupyter_cache import get_cache

    store = get_cache(str(cache))
    how = {"read_data": {"name": reader, "type": "plugin"}} if reader else {}
    for path in paths:
        store.add_nb_to_project(str(path), **how)
