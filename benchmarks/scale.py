"""What ten thousand notebooks cost: scheduling in virtual time, judging, a large store."""

from __future__ import annotations

import random
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import corpora, peers
from benchmarks.graphs import SHAPES, Sample, sample
from benchmarks.growth import exponent
from benchmarks.measure import Contender, Run, timed
from benchmarks.results import Bar, Result
from benchmarks.virtual import best_list_schedule, simulate
from nbbuild.building.scheduling.choosing import Needs, Shares
from nbbuild.model import ActionKey, Fingerprint, Judgement, Record, Trace, TraceItem, Verdict
from nbbuild.session import Session, open_session
from nbbuild.store import DiskStore
from nbbuild.store.pruning import Limits
from nbbuild.store.records import encode

SLOTS = (2, 8, 32, 128, 1000)
MB = 1_000_000


# -- scheduling --------------------------------------------------------------------------------


def scheduling(work: Path, rounds: int, *, count: int = 10_000) -> Result:
    """Schedule 10,000 tasks in virtual time, on 2 to 1,000 slots: wide, deep and random graphs."""
    contenders, bars = [], []
    for shape in SHAPES:
        one = sample(shape, count)
        for slots in SLOTS:
            done = simulate(one, slots)
            contenders.append(ran(f"{shape}, {slots} slots", done.cpu))
            goal = min(one.least(slots), best_list_schedule(one, slots))
            bars += [
                Bar(f"{shape}, {slots} slots: a task", done.cpu / count * 1000, 1, "ms CPU"),
                Bar(f"{shape}, {slots} slots: makespan / least", done.makespan / goal, 1.05),
            ]
        peak = simulate(one, SLOTS[-1], memory=True).peak
        bars.append(Bar(f"{shape}: memory", peak / MB, 200, "MB"))
    one, slots = sample("random", count), 32
    shares = mixed(one)
    done = simulate(one, slots, shares=shares)
    contenders.append(ran(f"with pools and cores, {slots} slots", done.cpu))
    least = least_shared(one, slots, shares)
    bars.append(Bar("with pools and cores: a task", done.cpu / count * 1000, 1, "ms CPU"))
    bars.append(Bar("with pools and cores: makespan / least", done.makespan / least, 1.05))
    return Result(f"scheduling {count:,} tasks", tuple(contenders), tuple(bars))


def mixed(one: Sample, *, seed: int = 2) -> Shares:
    """Return needs of which each kind comes in every graph: a database, GPUs, several cores."""
    dice = random.Random(seed)
    kinds = [Needs()] * 85 + [Needs(4)] * 8 + [Needs.of(1, {"db": 1})] * 2
    kinds += [Needs.of(2, {"gpu": 1})] * 5
    needs = {name: dice.choice(kinds) for name in one.graph.order}
    return Shares({"db": 1, "gpu": 4}, needs.__getitem__)


def least_shared(one: Sample, slots: int, shares: Shares) -> float:
    """Return the seconds that no schedule can go below, by slots and by each pool."""
    taken = dict.fromkeys(shares.pools, 0.0)
    area = 0.0
    for name, seconds in one.seconds.items():
        needs = shares.needs(name)
        area += needs.slots * seconds
        for pool, units in needs.units:
            taken[pool] += units * seconds
    by_pool = (taken[pool] / units for pool, units in shares.pools.items())
    return max(one.longest, area / slots, *by_pool)


# -- judging -----------------------------------------------------------------------------------


def judging(work: Path, rounds: int, *, count: int = 10_000, items: int = 500) -> Result:
    """Judge 10,000 tasks once, with records of 500 items each; and how that grows."""
    root = project(work / f"scale-{count}", count)
    contenders, bars = [], []
    cpus: dict[int, float] = {}
    for many in (0, items):
        fatten(root, shared=many - many // 50, own=many // 50)
        cpus[many], wall, peak = judged(root, rounds)
        run = Run(wall=wall, cpu=cpus[many], peak=peak)
        contenders.append(ran(f"{count:,} records of {many} items", run=run))
    more = cpus[items] - cpus[0]
    bars.append(Bar(f"{items} items each, {count:,} records: more CPU", more, 1, "s"))
    sizes = [count // 8, count // 4, count // 2, count]
    by_tasks = {size: judged(root, rounds, first=size)[0] for size in sizes}
    bars.append(Bar("judging, as tasks grow: exponent", exponent(by_tasks), 1.1, ""))
    return Result(f"judging {count:,} tasks", tuple(contenders), tuple(bars))


def project(root: Path, count: int) -> Path:
    """Make a project of `count` notebooks that are up to date; kept for the next time."""
    if not (root / "done").exists():
        shutil.rmtree(root, ignore_errors=True)
        paths = corpora.project(root, [corpora.trivial(number) for number in range(count)])
        corpora.built(root, paths)
        timed(peers.nbbuild("-t", "-s"), cwd=root, env={})
        (root / "done").touch()
    return root


def fatten(root: Path, *, shared: int, own: int) -> None:
    """Give each record of a project as many items, shared by all and of its own."""
    (root / "data").mkdir(exist_ok=True)
    with open_session(root) as session:
        items = tuple(shared_items(root, session, shared))
        for number, record in enumerate([*session.store.all_records()]):
            mine = (TraceItem("absent", f"data/{number}/{n}.csv", way="exists") for n in range(own))
            trace = Trace("syscalls", (*items, *mine), path=("<stdlib>", "nb"), best=True)
            changed = msgspec.structs.replace(record, trace=trace)
            session.store.publish_fetched(changed)


def shared_items(root: Path, session: Session, count: int) -> Iterator[TraceItem]:
    """Yield items that hold: files that were read, their kinds, names where nothing was."""
    for number in range(count):
        name = f"data/shared{number // 3}.csv"
        via = f"read by In [{number % 9 + 1}]"
        if number % 3 == 0:
            (root / name).write_text(str(number), encoding="utf-8")
            digest = session.digests.digest(root / name)
            assert digest is not None
            yield TraceItem("file", name, digest, via)
        elif number % 3 == 1:
            yield TraceItem("stat", name, "f", via, "exists")
        else:
            yield TraceItem("absent", f"{name}.lock", "", via, "exists")


def judged(root: Path, rounds: int, *, first: int | None = None) -> tuple[float, float, int]:
    """Return CPU seconds, seconds and bytes of judging (the `first` tasks); the best of all."""
    best = float("inf"), float("inf"), 0
    for _ in range(rounds):
        with open_session(root) as session:
            names = list(session.wanted(()))[:first]
            judge = session.judge()
            with measured() as (cpu, wall):
                plan = judge.plan(names)
            assert all(one.verdict is Verdict.FRESH for one in plan.judgements)
        best = min(best, (cpu(), wall(), 0))
    with open_session(root) as session:
        judge = session.judge()
        tracemalloc.start()
        kept: list[Judgement] = list(judge.plan(list(session.wanted(()))[:first]).judgements)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del kept
    return best[0], best[1], peak


# -- a large store -----------------------------------------------------------------------------


def store(work: Path, rounds: int, *, count: int = 100_000) -> Result:
    """A store of 100,000 records: find those of a key, add up its size, see what to remove."""
    held = filled(work / f"store-{count}", count)
    some = [_key(number) for number in range(0, count, max(1, count // 1000))]
    taken: list[Contender] = []
    figures: dict[str, float] = {}
    for name, act in (
        ("the records of 1,000 keys", lambda: [held.records(key) for key in some]),
        ("its size (`cache info`)", held.size),
        ("all records", lambda: sum(1 for _ in held.all_records())),
        ("what to remove (`cache gc -n`)", lambda: held.prune(Limits(max_size=1), dry_run=True)),
    ):
        figures[name] = min(cpu_of(act) for _ in range(rounds))
        taken.append(ran(name, figures[name]))
    first, size, every, removing = figures.values()
    bars = (
        Bar("finding the records of a key", first / len(some) * 1e6, 500, "µs CPU"),
        Bar("its size", size / count * 1e6, 50, "µs CPU a record"),
        Bar("reading all", every / count * 1e6, 200, "µs CPU a record"),
        Bar("choosing what to remove", removing / count * 1e6, 400, "µs CPU a record"),
    )
    return Result(f"a store of {count:,} records", tuple(taken), bars)


def filled(folder: Path, count: int) -> DiskStore:
    """Return a store with `count` records of ten items, each of its own key."""
    held = DiskStore(folder)
    if not (folder / "done").exists():
        fill(held, range(count))
        (folder / "done").touch()
    return held


def fill(held: DiskStore, numbers: Iterable[int]) -> None:
    """Put a record for each of `numbers` into a store, as `publish`, without flushing each."""
    cells = held.put(b"[]")
    items = tuple(TraceItem("file", f"data/{n}.csv", "0" * 64) for n in range(10))
    for number in numbers:
        record = Record(
            id=f"{_key(number)[:12]}-{number:016x}",
            key=ActionKey(_key(number), (Fingerprint("code", (("cell 1", str(number)),)),)),
            trace=Trace("syscalls", items, best=True),
            task=f"t{number}",
            source=f"t{number}.ipynb",
            cells=cells,
            created=float(number),
        )
        place = held.layout.record(record.key.digest, record.id)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encode(record))


def _key(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}" * 4


# -- what they have in common ------------------------------------------------------------------


@contextmanager
def measured() -> Iterator[tuple[Callable[[], float], Callable[[], float]]]:
    """Yield functions that return the CPU and the time of the block, once it is over."""
    ends: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    yield lambda: ends[0] - cpu, lambda: ends[1] - wall
    ends += [time.process_time(), time.perf_counter()]


def cpu_of(act: Callable[[], object]) -> float:
    """Return the CPU seconds that `act` takes."""
    with measured() as (cpu, _):
        act()
    return cpu()


def ran(name: str, cpu: float = 0.0, *, run: Run | None = None) -> Contender:
    """Return what was measured already, as a table shows it."""
    one = Contender(name, [], Path())
    one.runs.append(run or Run(wall=cpu, cpu=cpu, peak=0))
    return one
