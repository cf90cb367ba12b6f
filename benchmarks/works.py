"""The pieces of work that are measured, each with the bars it has to meet."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import (
    batch,
    corpora,
    first_builds,
    growing,
    peers,
    saving,
    scale,
    sharing,
    watching,
)
from benchmarks import in_memory as memory
from benchmarks.measure import Contender, Failed, Run, interleaved, timed
from benchmarks.results import (
    JOBS,
    Bar,
    Result,
    Work,
    add_to_jupyter_cache,
    all_executed,
    contender,
    forget,
    ratio,
    there,
)

ROOT = Path(__file__).parents[1]
SETTLE = 2.1  # seconds: what is younger is not relied on (docs/decisions/0015)


# -- nothing to do, little to do ---------------------------------------------------------------


def _accepted(root: Path, count: int) -> list[Path]:
    """Make a project of `count` notebooks that are up to date; kept in `root` for the next time."""
    done = root / "paths.json"
    if done.exists():
        return [root / path for path in json.loads(done.read_text())]
    shutil.rmtree(root, ignore_errors=True)
    paths = corpora.project(root, [corpora.trivial(number) for number in range(count)])
    corpora.built(root, paths)
    timed(peers.nbbuild("-t", "-s"), cwd=root, env={})
    done.write_text(json.dumps([str(path.relative_to(root)) for path in paths]))
    return paths


def _quick(root: Path) -> None:
    """Build until the quick answer is there."""
    subprocess.run([sys.executable, "-c", f"import time; time.sleep({SETTLE})"], check=True)
    for _ in range(2):
        timed(peers.nbbuild(), cwd=root, env={})
    if not any((root / ".nbbuild/uptodate").iterdir()):
        raise Failed("there is no quick answer after two builds")


def nothing_1000(work: Path, rounds: int) -> Result:
    """Nothing to do, 1,000 notebooks: nbbuild, doit, make, ninja, Snakemake, jupyter-cache."""
    root = work / "nothing-1000"
    paths = _accepted(root, 1000)
    _quick(root)
    ours = Contender("nbbuild", peers.nbbuild(), root)
    doit = Contender("doit", peers.doit(root, paths), root)
    others = [
        contender("make", peers.make(root, paths), root),
        contender("ninja", peers.ninja(root, paths), root),
        contender("Snakemake", peers.snakemake(root, paths), root),
    ]
    cache = root / "jupyter-cache"
    jupyter_cache = contender("jupyter-cache", peers.jupyter_cache(cache), root)
    if jupyter_cache is not None and not cache.exists():
        _fill_jupyter_cache(cache, paths)
    contenders = there(ours, doit, *others, jupyter_cache)
    for one in contenders:
        timed(one.argv, cwd=one.cwd, env=one.env)  # the first time there is something to do
    interleaved(contenders, rounds=rounds)
    bars = [
        *ratio("nothing to do", ours, doit, 0.5),
        *ratio("nothing to do", ours, jupyter_cache, 1 / 50),
    ]
    return Result("nothing to do, 1,000 notebooks", tuple(contenders), tuple(bars))


def _fill_jupyter_cache(cache: Path, paths: Sequence[Path]) -> None:
    """Put notebooks that look executed into a cache, through jupyter-cache's own API."""
    import nbformat
    from jupyter_cache import get_cache
    from jupyter_cache.cache.main import CacheBundleIn

    store = get_cache(str(cache))
    store.change_cache_limit(len(paths) + 1)
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        for count, cell in enumerate(notebook.cells, 1):
            cell.execution_count = count
        bundle = CacheBundleIn(notebook, str(path))
        store.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        store.add_nb_to_project(str(path))


def nothing_slope(work: Path, rounds: int) -> Result:
    """Nothing to do: the seconds per further notebook, from 1,000 to 10,000."""
    few, many = work / "nothing-1000", work / "nothing-10000"
    _accepted(few, 1000)
    _accepted(many, 10000)
    for root in (few, many):
        _quick(root)
    contenders = [
        Contender("nbbuild, 1,000", peers.nbbuild(), few),
        Contender("nbbuild, 10,000", peers.nbbuild(), many),
    ]
    interleaved(contenders, rounds=rounds)
    slope = (contenders[1].wall - contenders[0].wall) / 9000 * 1e6
    bar = Bar("per further notebook", slope, 50, "µs")
    return Result("nothing to do, up to 10,000 notebooks", tuple(contenders), (bar,))


def judging_10000(work: Path, rounds: int) -> Result:
    """Judging 10,000 tasks that are up to date, without the quick answer: `nbbuild -n`."""
    root = work / "nothing-10000"
    _accepted(root, 10000)
    ours = Contender("nbbuild -n, 10,000", peers.nbbuild("-n"), root)
    interleaved([ours], rounds=rounds)
    bar = Bar("loading and judging 10,000 tasks", ours.wall, 3, "s")
    return Result("judging 10,000 notebooks", (ours,), (bar,))


def one_of_1000(work: Path, rounds: int) -> Result:
    """One of 1,000 notebooks changed, beside executing that one alone with nbclient."""
    root = work / "nothing-1000"
    paths = _accepted(root, 1000)
    versions = iter(range(1, 1000))

    def change() -> None:
        cells = [*corpora.trivial(500), f"version = {next(versions)}"]
        paths[500].write_text(corpora.notebook(cells), encoding="utf-8")

    _quick(root)
    ours = Contender("nbbuild", peers.nbbuild(), root, before=change)
    stock = Contender("nbclient, that one", peers.nbclient(paths[500:501], jobs=1), root)
    interleaved([ours, stock], rounds=rounds)
    bar = Bar("more than nbclient alone", ours.wall - stock.wall, 0.8, "s")
    return Result("one of 1,000 changed", (ours, stock), (bar,))


# -- executing ---------------------------------------------------------------------------------


def cold_trivial(work: Path, rounds: int) -> Result:
    """24 trivial notebooks, cold, two at a time, beside all that execute notebooks."""
    root = work / "cold-trivial"
    paths = corpora.project(root, [corpora.trivial(number) for number in range(24)])
    cache = root / ".jupyter_cache"

    def again() -> None:
        forget(root)
        (root / "out").mkdir()

    def again_with_cache() -> None:
        again()
        add_to_jupyter_cache(cache, paths)

    ours = Contender(
        "nbbuild",
        peers.nbbuild(f"-j{JOBS}"),
        root,
        before=again,
        after=partial(all_executed, root, paths),
    )
    cold = Contender("nbbuild, warm = false", peers.nbbuild(f"-j{JOBS}", "-f", "cold.toml"), root)
    cold.before = again
    (root / "cold.toml").write_text(f"{corpora.CONFIG}[execution]\nwarm = false\n")
    jupyter_cache = contender(
        "jupyter-cache local-parallel", peers.jupyter_cache(cache), root, before=again_with_cache
    )
    nbmake = contender(f"pytest --nbmake -n{JOBS}", peers.nbmake(paths, jobs=JOBS), root)
    papermill = contender(
        f"papermill, {JOBS} at a time",
        peers.papermill(paths, root / "out", jobs=JOBS),
        root,
        before=again,
    )
    plain = Contender("plain Python", peers.plain_python(paths, jobs=JOBS), root)
    contenders = there(ours, cold, jupyter_cache, nbmake, papermill, plain)
    interleaved(contenders, rounds=rounds, warm_up=0)
    bars = [
        *ratio("cold", ours, jupyter_cache, 1 / 8),
        *ratio("cold", ours, nbmake, 1 / 4),
    ]
    return Result("24 trivial notebooks, cold", tuple(contenders), tuple(bars))


def plots(work: Path, rounds: int) -> Result:
    """24 notebooks with numpy, pandas and a plot, on the second version of their code."""
    root = work / "plots"
    cache = root / ".jupyter_cache"
    config = '\n[execution]\nwarm = "auto"\n'

    def written(version: int) -> list[Path]:
        cells = [corpora.plotting(number, version=version) for number in range(24)]
        return corpora.project(root, cells, config=config)

    def second_version() -> None:
        forget(root)
        written(1)
        timed(peers.nbbuild(f"-j{JOBS}"), cwd=root, env={})
        written(2)

    def again_with_cache() -> None:
        forget(root)
        add_to_jupyter_cache(cache, written(2))

    paths = written(1)
    ours = Contender(
        "nbbuild, warm = auto",
        peers.nbbuild(f"-j{JOBS}"),
        root,
        before=second_version,
        after=partial(all_executed, root, paths),
    )
    jupyter_cache = contender(
        "jupyter-cache local-parallel", peers.jupyter_cache(cache), root, before=again_with_cache
    )
    contenders = there(ours, jupyter_cache)
    interleaved(contenders, rounds=rounds, warm_up=0)
    bars = tuple(ratio("plots", ours, jupyter_cache, 1 / 5))
    return Result("24 plots, the second version", tuple(contenders), bars)


def many_cells(work: Path, rounds: int, *, count: int = 12, cells: int = 60) -> Result:
    """12 notebooks of 60 small cells, beside stock nbclient, two at a time."""
    root = work / "many-cells"
    paths = corpora.project(root, [corpora.many_cells(number, cells) for number in range(count)])
    ours = Contender(
        "nbbuild",
        peers.nbbuild(f"-j{JOBS}"),
        root,
        before=partial(forget, root),
        after=partial(all_executed, root, paths),
    )
    stock = Contender(f"nbclient, {JOBS} at a time", peers.nbclient(paths, jobs=JOBS), root)
    interleaved([ours, stock], rounds=rounds, warm_up=0)
    bars = tuple(ratio("many cells", ours, stock, 0.3))
    return Result(f"{count} notebooks of {cells} cells", (ours, stock), bars)


def outputs(work: Path, rounds: int) -> Result:
    """A print of 100 MB, and 100,000 displays: all kept, and what memory that takes."""
    size, displays = 100_000_000, 100_000
    cells = {
        "idle": ["pass"],
        "print": [f"print('x' * {size})"],
        "displays": [f"for number in range({displays}): display(number)"],
    }
    contenders, sizes = [], {}
    for name, source in cells.items():
        root = work / f"outputs-{name}"
        (path,) = corpora.project(root, [source])
        again = partial(forget, root)
        contenders.append(Contender(name, peers.nbbuild(), root, before=again))
        contenders[-1].after = partial(_count_outputs, root, path, name, size, displays)
        sizes[name] = root / "_build/executed" / path.relative_to(root)
    interleaved(contenders, rounds=max(1, rounds // 2), warm_up=0)
    idle, printed, displayed = (one.peak for one in contenders)
    held = {name: path.stat().st_size for name, path in sizes.items()}
    bars = (
        Bar("print: peak over idle / output", (printed - idle) / size, 6),
        Bar("displays: peak over idle / built", (displayed - idle) / held["displays"], 15),
    )
    return Result("much output", tuple(contenders), bars)


def _count_outputs(root: Path, path: Path, name: str, size: int, displays: int) -> None:
    built = root / "_build/executed" / path.relative_to(root)
    (cell,) = json.loads(built.read_text(encoding="utf-8"))["cells"]
    if name == "print" and sum(len("".join(one["text"])) for one in cell["outputs"]) != size + 1:
        raise Failed("a part of the print is missing")
    if name == "displays" and len(cell["outputs"]) != displays:
        raise Failed(f"{len(cell['outputs'])} of {displays} displays are there")


def cpu_slope(work: Path, rounds: int) -> Result:
    """CPU per further trivial notebook, from 24 to 200: nbbuild's own process, and the kernels."""
    figures: dict[int, list[tuple[float, float]]] = {24: [], 200: []}
    contenders = []
    for count, taken in figures.items():
        root = work / f"slope-{count}"
        corpora.project(root, [corpora.trivial(number) for number in range(count)])
        out = root / "cpu"

        def keep(taken: list[tuple[float, float]] = taken, out: Path = out) -> None:
            own, children = map(float, out.read_text(encoding="utf-8").split())
            taken.append((own, children))

        contenders.append(
            Contender(
                f"nbbuild, {count}",
                peers.own(out, f"-j{JOBS}"),
                root,
                before=partial(forget, root),
                after=keep,
            )
        )
    interleaved(contenders, rounds=rounds, warm_up=0)
    slopes = [
        (statistics.median(one[part] for one in figures[200])
         - statistics.median(one[part] for one in figures[24])) / (200 - 24) * 1000
        for part in (0, 1)
    ]  # fmt: skip
    bars = (
        Bar("own process, per further notebook", slopes[0], 50, "ms CPU"),
        Bar("kernel, per further notebook", slopes[1], 130, "ms CPU"),
    )
    return Result("CPU from 24 to 200 trivial notebooks", tuple(contenders), bars)


def watched(work: Path, rounds: int) -> Result:
    """Ten realistic notebooks of about a second, unwatched and watched, one after the other."""
    taken = watching.measure(work, rounds, watching.REALISTIC)
    print(watching.table(taken))
    contenders = []
    for way, value in watching.WAYS.items():
        one = Contender(f"trace = {value}", peers.nbbuild("-B", "-j1"), work / f"watching-{way}")
        sums = zip(*(ways[way] for ways in taken.values()), strict=True)
        one.runs += [Run(wall=sum(seconds), cpu=0.0, peak=0) for seconds in sums]
        contenders.append(one)
    more = statistics.median(watching.ratios(taken, "true").values())
    return Result(
        "ten realistic notebooks, watched",
        tuple(contenders),
        (Bar("median of a notebook's seconds, watched / unwatched", more, 1.08),),
    )


def in_memory(work: Path, rounds: int) -> Result:
    """Build 1,000 tasks in memory, without kernels and disk; what is imported once is not in it."""
    argv = [sys.executable, "-m", "benchmarks.in_memory"]
    ours = Contender("nbbuild, in memory, with the start of Python", argv, ROOT)
    interleaved([ours], rounds=rounds)
    memory.build()  # imports what a build imports
    seconds = statistics.median(memory.build() for _ in range(rounds))
    bar = Bar("a build of 1,000 tasks in memory", seconds, 1, "s")
    return Result("1,000 tasks in memory", (ours,), (bar,))


WORKS: dict[str, Work] = {
    "nothing": nothing_1000,
    "nothing-slope": nothing_slope,
    "judging": judging_10000,
    "in-memory": in_memory,
    "one-of-1000": one_of_1000,
    "cold": cold_trivial,
    "plots-first": first_builds.plots,
    "book": first_builds.book,
    "memory": first_builds.memory,
    "plots": plots,
    "many-cells": many_cells,
    "outputs": outputs,
    "cpu": cpu_slope,
    "watching": watched,
    "saving": saving.saving,
    "restoring": sharing.restoring,
    "small-blobs": sharing.small_blobs,
    "jobs": batch.overhead,
    "jobs-waiting": batch.waiting,
    "scale": scale.scheduling,
    "scale-judging": scale.judging,
    "scale-store": scale.store,
    "scale-growing": growing.growing,
}
"""Name on the command line → the work."""
