"""What a newcomer gets: default settings, the first build, nothing in any cache."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks import corpora, peers
from benchmarks.measure import Contender, Failed, interleaved
from benchmarks.results import (
    JOBS,
    Bar,
    Result,
    add_to_jupyter_cache,
    all_executed,
    contender,
    forget,
    ratio,
    there,
)

OURS, JUPYTER_CACHE, NBMAKE = "nbbuild", "jupyter-cache local-parallel", f"pytest --nbmake -n{JOBS}"
_TICK = 0.05  # seconds between two looks at memory


def plots(work: Path, rounds: int) -> Result:
    """24 notebooks with numpy, pandas and a plot: the first build."""
    root = work / "plots-first"
    paths = corpora.project(root, [corpora.plotting(number) for number in range(24)])
    contenders = _contenders(root, paths)
    interleaved(contenders, rounds=rounds, warm_up=0)
    bars = [
        *ratio("plots, first build", contenders[0], _named(JUPYTER_CACHE, contenders), 1 / 4),
        *ratio("plots, first build", contenders[0], _named(NBMAKE, contenders), 1 / 4),
    ]
    return Result("24 plots, the first build", tuple(contenders), tuple(bars))


def book(work: Path, rounds: int) -> Result:
    """A book of 30 MyST pages with tables, plots, two slow pages and a helper: the first build."""
    root = work / "book-first"
    paths = corpora.book(root)
    contenders = _contenders(root, paths, reader="jupytext")
    interleaved(contenders, rounds=rounds, warm_up=0)
    bars = ratio("book, first build", contenders[0], _named(JUPYTER_CACHE, contenders), 0.4)
    return Result("a book of 30 pages, the first build", tuple(contenders), tuple(bars))


def memory(work: Path, rounds: int) -> Result:
    """The most memory of all processes together, in PSS, in the first build of the plots."""
    root = work / "plots-memory"
    paths = corpora.project(root, [corpora.plotting(number) for number in range(24)])
    contenders = [one for one in _contenders(root, paths) if one.name in (OURS, JUPYTER_CACHE)]
    peaks: dict[str, list[int]] = {one.name: [] for one in contenders}
    for _ in range(rounds):
        for one in contenders:
            one.run()  # without a look at memory, which takes time
            one.before()
            peaks[one.name].append(peak_pss(one.argv, cwd=one.cwd))
    medians = {name: statistics.median(found) for name, found in peaks.items()}
    for name, found in medians.items():
        print(f"{name}: {found / 1e6:.0f} MB of PSS at the peak")
    bars: tuple[Bar, ...] = ()
    if len(contenders) > 1:
        other = medians[JUPYTER_CACHE]
        bars = (Bar("peak of PSS, against jupyter-cache", medians[OURS] / other, 1.2),)
    return Result("24 plots, memory at the peak", tuple(contenders), bars)


def _contenders(root: Path, paths: Sequence[Path], *, reader: str = "") -> list[Contender]:
    cache = root / ".jupyter_cache"
    config = (root / "jcache.toml").read_text()
    (root / "kernel.toml").write_text(f'{config}[execution]\nwarm = "kernel"\n')

    def again_with_cache() -> None:
        forget(root)
        add_to_jupyter_cache(cache, paths, reader=reader)

    again: Callable[[], None] = partial(forget, root)
    ours = Contender(OURS, peers.nbbuild(f"-j{JOBS}"), root, before=again)
    ours.after = partial(all_executed, root, paths)
    kernel = peers.nbbuild(f"-j{JOBS}", "-f", "kernel.toml")
    nbmake = None if reader else peers.nbmake(paths, jobs=JOBS)
    return there(
        ours,
        Contender('nbbuild, warm = "kernel"', kernel, root, before=again),
        contender(
            JUPYTER_CACHE,
            peers.jupyter_cache(cache),
            root,
            before=again_with_cache,
        ),
        contender(NBMAKE, nbmake, root),
    )


def _named(name: str, contenders: Sequence[Contender]) -> Contender | None:
    return next((one for one in contenders if one.name == name), None)


def peak_pss(argv: Sequence[str], *, cwd: Path) -> int:
    """Run a command; return the most bytes that it and all its descendants had, each page once.

    A page that several processes share counts in parts (PSS, proc_pid_smaps(5)).
    """
    environ = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=cwd, env=environ, stdout=quiet, stderr=quiet) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_pss, _family(process.pid))))
            time.sleep(_TICK)
    if process.returncode:
        raise Failed(f"{' '.join(argv)} ended with {process.returncode}")
    return peak


def _family(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with suppress(OSError):
                stat = (place / "stat").read_text(errors="replace")
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(place.name))
    family, todo = set[int](), [pid]
    while todo:
        family.add(one := todo.pop())
        todo += children.get(one, ())
    return family


def _pss(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
