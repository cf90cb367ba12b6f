"""Nothing grows faster than the project does: counts of calls, and schedules in virtual time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import nbbuild
from nbbuild.disk.digests import Digests
from nbbuild.store import DiskStore, records
from nbbuild.store.blobs import Blobs
from nbbuild.store.pruning import Limits

ROOT = Path(__file__).parents[2]
LINEAR = 1.1  # the exponent of what is called linear; n log n is below that, too


@pytest.fixture
def benchmarks(monkeypatch):
    """The package, which is no part of an installed nbbuild."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import graphs, growing, growth, scale, virtual

    assert sys.modules["benchmarks"]
    return graphs, growth, scale, virtual, growing


@pytest.mark.parametrize("shape", ["wide", "deep", "random"])
def test_a_schedule_is_as_short_as_the_best_list_schedule(benchmarks, shape):
    graphs, _, _, virtual, _ = benchmarks
    one = graphs.sample(shape, 300)
    for slots in (2, 7, 40):
        done = virtual.simulate(one, slots)
        assert sorted(done.began) == sorted(one.graph.order)
        assert done.makespan <= virtual.best_list_schedule(one, slots) * 1.0001
        assert one.least(slots) * 0.9999 <= done.makespan


def test_with_pools_and_cores_a_schedule_comes_close_to_the_least_possible(benchmarks):
    graphs, _, scale, virtual, _ = benchmarks
    one = graphs.sample("random", 1000)
    shares = scale.mixed(one)
    done = virtual.simulate(one, 16, shares=shares)
    assert sorted(done.began) == sorted(one.graph.order)
    assert done.makespan <= scale.least_shared(one, 16, shares) * 1.05


@pytest.mark.parametrize("shape", ["wide", "random"])
@pytest.mark.parametrize("slots", [2, 100])
def test_scheduling_takes_as_many_calls_more_as_there_are_tasks(benchmarks, shape, slots):
    graphs, growth, _, virtual, _ = benchmarks

    def made(count):
        one = graphs.sample(shape, count)
        return growth.calls(lambda: virtual.simulate(one, slots))

    assert growth.exponent({count: made(count) for count in (100, 200, 400)}) < LINEAR


def test_linking_takes_as_many_calls_more_as_there_are_tasks(benchmarks):
    graphs, growth, _, _, _ = benchmarks
    graphs.sample("random", 10)  # imports networkx

    def made(count):
        return growth.calls(lambda: graphs.sample("random", count))

    assert growth.exponent({count: made(count) for count in (200, 400, 800)}) < LINEAR


def test_judging_takes_as_many_calls_more_as_there_are_tasks_and_items(benchmarks, tmp_path):
    _, growth, scale, _, _ = benchmarks
    root = scale.project(tmp_path / "project", 40)

    def judging(first=40):
        with nbbuild.open_session(root) as session:
            judge, names = session.judge(), list(session.wanted(()))[:first]
            counted = growth.calls(lambda: judge.plan(names))
        return counted

    judging()  # imports what judging imports
    assert growth.exponent({first: judging(first) for first in (10, 20, 40)}) < LINEAR

    taken = {}
    for shared, own in ((100, 0), (300, 0), (300, 10)):
        scale.fatten(root, shared=shared, own=own)
        taken[shared, own] = judging()
    # Each is looked up once, and then without a call for each record that has it.
    assert taken[300, 0] - taken[100, 0] < 200 * 60
    assert taken[300, 10] - taken[300, 0] < 40 * 10 * 40

    scale.filled(root / ".nbbuild/store", 300)
    assert judging() <= taken[300, 10] * 1.01  # records of others do not count


def test_judging_reads_each_result_of_a_task_and_none_of_others(benchmarks, tmp_path, monkeypatch):
    scale, growing = benchmarks[2], benchmarks[4]
    root = scale.project(tmp_path / "project", 10)
    held = DiskStore(root / ".nbbuild/store")
    read, paths = records.read, []
    monkeypatch.setattr(
        records, "read", lambda path, **most: paths.append(path) or read(path, **most)
    )

    def reads():
        paths.clear()
        with nbbuild.open_session(root) as session:
            judge, names = session.judge(), list(session.wanted(()))
            assert judge.plan(names).fresh
        return len(paths)

    taken = {}
    for before, size in ((0, 1), (1, 100), (100, 400)):
        scale.fill(held, range(before, size))
        taken[size] = reads()
    assert taken == {1: 10, 100: 10, 400: 10}

    for before, size in ((1, 2), (2, 4)):
        growing.add_older(root, range(before, size))
        taken[size] = reads()
    assert (taken[2], taken[4]) == (20, 40)


def test_what_traces_have_in_common_is_read_once_and_compared_once(
    benchmarks, tmp_path, monkeypatch
):
    _, _, scale, _, _ = benchmarks
    root = scale.project(tmp_path / "project", 40)

    def taken(shared):
        """Return the chunks, the bytes of records and the items compared of judging 40 tasks."""
        scale.fatten(root, shared=shared, own=2)
        chunks, sizes, looks = [], [], []
        with monkeypatch.context() as patched:
            peek, read, nothing = Blobs.peek, records.read, Digests.nothing_at
            patched.setattr(Blobs, "peek", lambda *a, **m: chunks.append(a[1]) or peek(*a, **m))
            patched.setattr(
                records, "read", lambda path, **m: sizes.append(path) or read(path, **m)
            )
            patched.setattr(Digests, "nothing_at", lambda *a: looks.append(a[1]) or nothing(*a))
            with nbbuild.open_session(root) as session:
                judge, names = session.judge(), list(session.wanted(()))
                assert judge.plan(names).fresh
        assert len(chunks) == len(set(chunks))
        sizes = sorted(Path(path).stat().st_size for path in sizes)
        return len(chunks), sizes, len(looks)

    for shared in (150, 600):
        chunks, sizes, looks = taken(shared)
        assert shared // 64 < chunks < shared // 16
        assert len(sizes) == 40
        assert sizes[-2] < 10_000 < sizes[-1]  # only the first that was kept has all items
        assert looks <= shared // 3 * 2 + 40 * 2  # by the first, by the chunks, and each one's own


def test_a_store_takes_as_much_more_as_it_has_records(benchmarks, tmp_path):
    _, growth, scale, _, _ = benchmarks

    def taken(count):
        held = scale.filled(tmp_path / str(count), count)
        return growth.calls(lambda: held.prune(Limits(max_size=1), dry_run=True))

    taken(1)  # imports what pruning imports
    assert growth.exponent({count: taken(count) for count in (50, 100, 200)}) < LINEAR


def test_assets_take_as_many_calls_more_as_there_are_files(benchmarks, project):
    growth = benchmarks[1]
    project.config("""
        [[notebook]]
        path = "*.ipynb"
        assets = ["data/*.csv"]
    """)
    for name in "abc":
        project.notebook(f"{name}.ipynb", "1", log=False)

    def judging(files):
        for number in range(files):
            project.write(f"data/{number}.csv", "1")
        with nbbuild.open_session(project.root) as session:
            judge, names = session.judge(), session.wanted(())
            return growth.calls(lambda: judge.plan(names))

    judging(1)  # imports what judging imports
    assert growth.exponent({files: judging(files) for files in (50, 100, 200)}) < LINEAR


def test_a_calls_counter_and_the_exponent_are_right(benchmarks):
    _, growth, _, _, _ = benchmarks
    assert growth.calls(lambda: [abs(n) for n in range(100)]) in range(100, 110)
    assert growth.exponent({n: n * n for n in (1, 2, 4, 8)}) == pytest.approx(2)
