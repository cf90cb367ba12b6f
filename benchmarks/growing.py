"""How judging and the store grow: with tasks, with assets, with records of others and of its own.

Each line is a figure for several sizes, of which the largest is a hundred times the smallest, and
the exponent that fits them best on logarithmic scales: 0 does not grow, 1 is linear.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import corpora, peers, scale
from benchmarks.growth import exponent
from benchmarks.measure import Contender, Failed, timed
from benchmarks.results import Bar, Result
from nbbuild.session import open_session
from nbbuild.store import DiskStore
from nbbuild.store.pruning import Limits

LINEAR, CONSTANT = 1.1, 0.1
TASKS = 100  # of the project that stays as it is


def growing(work: Path, rounds: int) -> Result:
    """Judging as tasks, assets and records grow, up to a store of 100,000: fitted exponents."""
    curves: dict[str, tuple[float, Mapping[int, float]]] = {
        "tasks": (LINEAR, by_tasks(work, rounds, (100, 1000, 10_000))),
        "assets of 10 tasks": (LINEAR, by_assets(work, rounds, (100, 1000, 10_000))),
        f"records of others, {TASKS} tasks": (
            CONSTANT,
            by_records_of_others(work, rounds, (1000, 10_000, 100_000)),
        ),
        f"records of each of {TASKS} tasks": (
            LINEAR,
            by_records_of_each(work, rounds, (1, 10, 100)),
        ),
        **{name: (LINEAR, taken) for name, taken in stores(work, rounds).items()},
    }
    contenders: list[Contender] = []
    bars: list[Bar] = []
    for what, (limit, taken) in curves.items():
        contenders += [scale.ran(f"{what}: {size:,}", cpu) for size, cpu in taken.items()]
        bars.append(Bar(f"{what}: exponent", exponent(taken), limit, ""))
    return Result("how judging and the store grow", tuple(contenders), tuple(bars))


def by_tasks(work: Path, rounds: int, sizes: tuple[int, ...]) -> dict[int, float]:
    """Return the CPU seconds of judging the first so many tasks of a project."""
    root = scale.project(work / f"scale-{max(sizes)}", max(sizes))
    return {size: _judging(root, rounds, first=size) for size in sizes}


def by_assets(work: Path, rounds: int, sizes: tuple[int, ...]) -> dict[int, float]:
    """Return the CPU seconds of judging ten tasks that have so many assets."""
    root = work / "growing-assets"
    shutil.rmtree(root, ignore_errors=True)
    config = '\n[[notebook]]\npath = "nb/**/*.ipynb"\nassets = ["data/*.csv"]\n'
    paths = corpora.project(root, [corpora.trivial(n) for n in range(10)], config=config)
    corpora.built(root, paths)
    taken = {}
    for size in sizes:
        (root / "data").mkdir(exist_ok=True)
        for number in range(size):
            (root / f"data/{number}.csv").write_text("1", encoding="utf-8")
        timed(peers.nbbuild("-t", "-s"), cwd=root, env={})
        taken[size] = _judging(root, rounds)
    return taken


def by_records_of_others(work: Path, rounds: int, sizes: tuple[int, ...]) -> dict[int, float]:
    """Return the CPU seconds of judging a project while its store grows by other records."""
    root = _fixed(work / "growing-others")
    held = DiskStore(root / ".nbbuild/store")
    taken: dict[int, float] = {}
    for before, size in zip((0, *sizes), sizes, strict=False):
        scale.fill(held, range(before, size))
        taken[size] = _judging(root, rounds)
    return taken


def by_records_of_each(work: Path, rounds: int, sizes: tuple[int, ...]) -> dict[int, float]:
    """Return the CPU seconds of judging a project that has so many results of each task."""
    root = _fixed(work / "growing-each")
    taken: dict[int, float] = {}
    for before, size in zip((1, *sizes), sizes, strict=False):
        add_older(root, range(before, size))
        taken[size] = _judging(root, rounds)
    return taken


def add_older(root: Path, numbers: Iterable[int]) -> None:
    """Give each task of a project an older result for each of `numbers`, with the same key."""
    with open_session(root) as session:
        newest = [one.record for one in session.judge().plan(session.wanted(())).judgements]
        for number in numbers:
            for record in filter(None, newest):
                one = f"{record.key.digest[:12]}-older-{number}"
                older = msgspec.structs.replace(record, id=one, created=float(number))
                session.store.publish_fetched(older)


def stores(work: Path, rounds: int) -> dict[str, dict[int, float]]:
    """Return the CPU seconds of what looks at a whole store, by the number of its records."""
    sizes = (1000, 10_000, 100_000)
    held = {size: scale.filled(work / f"store-{size}", size) for size in sizes}

    def each(act: Callable[[DiskStore], object]) -> dict[int, float]:
        return {
            size: min(scale.cpu_of(partial(act, one)) for _ in range(rounds))
            for size, one in held.items()
        }

    return {
        "the size of a store": each(DiskStore.size),
        "what to remove of a store": each(lambda one: one.prune(Limits(max_size=1), dry_run=True)),
    }


def _fixed(root: Path) -> Path:
    """Make a project of `TASKS` notebooks, with a store of its own, anew."""
    shutil.rmtree(root, ignore_errors=True)
    return scale.project(root, TASKS)


def _judging(root: Path, rounds: int, *, first: int | None = None) -> float:
    """Return the CPU seconds of judging the `first` tasks of a project; the best of all rounds."""
    best = float("inf")
    for _ in range(rounds):
        with open_session(root) as session:
            names = list(session.wanted(()))[:first]
            judge = session.judge()
            with scale.measured() as (cpu, _):
                plan = judge.plan(names)
        best = min(best, cpu())
        if not plan.fresh:
            raise Failed(f"{root} is not up to date")
    return best
