"""Notebooks executed by what another package brings: threads and processes that see little."""

import importlib
import os
import platform
import tempfile
import threading

import pytest
from elsewhere_notebooks import chain
from reader_package import install

import nbbuild
from nbbuild.building import executing
from nbbuild.building.jobs import futures, working
from nbbuild.events import CellStarted, Started

THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec

from nbbuild.building.jobs import orders
from nbbuild.building.jobs import working
from nbbuild.building.jobs import futures
from nbbuild.executors import over

waiting = threading.Event()

def near(setup):
    return over(ThreadPoolExecutor(1), slots=1)

def far_away(order):
    # The worker of a machine on which neither the project nor the store can be seen.
    order = msgspec.structs.replace(orders.decode_order(order), mark="/no", store="/proc/no")
    return working.work(orders.encode_order(order))

def far(setup):
    futures.work = far_away
    return near(setup)

def other(setup):
    futures.work = lambda order: working.work(b"0.0.1\\n" + order)
    return near(setup)

def losing(setup):
    def work(order):
        raise LookupError("manager 7 is gone")
    futures.work = work
    return near(setup)

def far_and_slow(order):
    waiting.wait(60)
    raise AssertionError

def slow(setup):
    futures.work = far_and_slow
    return near(setup)

def stopping(setup):
    place = working.workplace()
    futures.work = lambda order: place.carry_out(order, wanted=lambda: False)
    return near(setup)

def changed(setup):
    def work(order):
        order = orders.decode_order(order)
        if order.grounds is not None:
            last = order.grounds.stamps[-1]
            stamps = (*order.grounds.stamps[:-1], msgspec.structs.replace(last, mtime=1))
            grounds = msgspec.structs.replace(order.grounds, stamps=stamps)
            order = msgspec.structs.replace(order, grounds=grounds)
        order = msgspec.structs.replace(order, probe="other")
        return working.work(orders.encode_order(order))
    futures.work = work
    return near(setup)
"""


@pytest.fixture
def threads(tmp_path, monkeypatch):
    """Workers that are threads of this process: quick to start."""
    names = ("near", "far", "other", "changed", "stopping", "losing", "slow")
    groups = {"nbbuild.executors": {name: f"my_threads:{name}" for name in names}}
    install(monkeypatch, tmp_path / "site", "my_threads", THREADS, groups)
    monkeypatch.setattr(futures, "work", futures.work)
    yield
    working.leave()


def test_workers_that_see_neither_project_nor_store_are_sent_all_of_it(project, threads):
    chain(project)
    done = project.nbbuild("--executor", "far")
    assert done.status == 1
    assert (
        "it had only what is declared: its worker on "
        f"{platform.node()} does not see the project" in done.err
    )
    chain(project, 'modules = ["helper"]\n')
    assert project.build("--executor", "far") == ["use"]
    assert project.read("made.txt") == "made"
    assert project.shown("use.ipynb") == "MADE\n"
    assert project.build() == []


def test_a_sandbox_elsewhere_is_as_strict_as_one_here(project, threads):
    chain(project, "[execution]\nsandbox = true\n")
    done = project.nbbuild("--executor", "near")
    here = project.nbbuild("-B", "--executor", "local")
    assert done.status == here.status == 1
    told = "cell 2 (In [2]): ModuleNotFoundError: No module named 'helper'"
    hint = """in jcache.toml, for this notebook: modules = ["helper"]"""
    for one in (done, here):
        assert told in one.err
        assert hint in one.err
    assert project.read("made.txt") == "made"


def test_a_worker_with_other_packages_executes_nothing(project, threads):
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("--executor", "changed")
    assert (done.status, done.ran) == (1, [])
    assert "the kernel 'python3' has something else installed on" in done.err


def test_a_run_that_its_worker_stops_has_failed(project, threads):
    project.config("")
    project.notebook("a.ipynb", "while True: pass")
    done = project.nbbuild("--executor", "stopping")
    assert done.status == 1
    assert (
        f"its worker on {platform.node()} ended it: it did not see any more that it is wanted"
        in done.err
    )


def test_what_an_executor_raises_of_its_own_means_a_lost_worker(project, threads):
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("--executor", "losing")
    assert (done.status, done.ran) == (1, [])
    told = "the worker that executed it was lost: LookupError: manager 7 is gone"
    assert told in done.err


def test_a_worker_makes_nothing_beside_a_file_that_is_no_order(project):
    project.write("a/notes.txt", "some text")
    assert project.nbbuild("worker", "a/notes.txt").status == 0
    assert os.listdir(project.root / "a") == ["notes.txt"]


def test_a_worker_that_stages_ends_when_the_project_does_not_want_it(project, threads, monkeypatch):
    monkeypatch.setenv(working.STAGING, "1")
    project.config("")
    project.notebook("a.ipynb", "while True: pass")

    def unwanted(event):
        if isinstance(event, CellStarted) and event.number == 2:
            (mark,) = project.root.glob(".nbbuild/jobs/*.lock")
            mark.unlink()

    (outcome,) = nbbuild.build(project.root, executor="near", observer=unwanted).outcomes
    assert outcome.failure.message == (
        f"its worker on {platform.node()} ended it: it did not see any more that it is wanted"
    )


def test_a_build_does_not_wait_for_an_attempt_that_cannot_be_cancelled(
    project, threads, monkeypatch
):
    monkeypatch.setattr(futures, "PATIENCE", 0.1)
    project.config("")
    project.notebook("a.ipynb")
    cancelled = threading.Event()

    def cancel(event):
        if isinstance(event, Started):
            cancelled.set()

    report = nbbuild.build(project.root, executor="slow", observer=cancel, cancelled=cancelled)
    assert [one.kind.value for one in report.outcomes] == ["cancelled"]
    importlib.import_module("my_threads").waiting.set()


def test_what_was_started_ends_though_the_build_fails_before_its_first_task(
    project, threads, monkeypatch
):
    def fails(*args):
        raise ZeroDivisionError

    closed = []
    monkeypatch.setattr(executing, "_last_records", fails)
    monkeypatch.setattr(futures.FutureJobs, "close", lambda self: closed.append("closed"))
    project.config("")
    project.notebook("a.ipynb")
    with pytest.raises(ZeroDivisionError):
        nbbuild.build(project.root, executor="near")
    assert len(closed) == 1


def test_a_worker_with_another_nbbuild_executes_nothing(project, threads):
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("--executor", "other")
    assert (done.status, done.ran) == (1, [])
    told = f"the build is nbbuild 0.0.1, and this worker is nbbuild {nbbuild.__version__}"
    assert f"no worker begins it: {told}" in done.err


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (OSError(28, "No space left on device"), 1, "{} cannot execute it: [Errno 28] No space"),
        (ZeroDivisionError("by 0"), 3, "nbbuild itself failed: ZeroDivisionError: by 0"),
    ],
)
def test_what_goes_wrong_at_a_worker_is_said(project, threads, monkeypatch, error, status, told):
    def fails(*args, **more):
        raise error

    monkeypatch.setattr(working.temporary, "folder", fails)
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("--executor", "near")
    assert (done.status, done.ran) == (status, [])
    assert told.format(platform.node()) in done.err


def test_what_killed_workers_and_builds_have_left_is_removed(project, tmp_path, monkeypatch):
    left = tmp_path / "temporary" / "nbb-left"
    left.mkdir(parents=True)
    (left / "owner").write_text("nbbuild\n")  # locked as long as its process lives
    (left / "1").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left.parent))
    working.Workplace().close()
    assert not left.exists()

    mark = project.write(".nbbuild/jobs/abc-def.lock", "cell 3 of 7\n")
    project.config("")
    project.notebook("a.ipynb")
    project.build()
    assert not mark.exists()


def test_verify_and_a_build_that_executes_nothing_need_no_worker(project, threads):
    project.config('[execution]\nexecutor = "other"\n')
    project.notebook("a.ipynb")
    assert project.build("--executor", "local") == ["a"]

    done = project.nbbuild("verify")
    assert (done.status, done.ran) == (0, ["a"]), done.err
    (project.root / "_build/executed/a.ipynb").unlink()
    done = project.nbbuild("--no-execute")
    assert (done.status, done.ran) == (0, []), done.err
    assert (project.root / "_build/executed/a.ipynb").exists()


PACKAGE = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from nbbuild.executors import over


def start(setup):
    context = multiprocessing.get_context("spawn")
    return over(ProcessPoolExecutor(setup.options["processes"], mp_context=context), slots=2)
"""


def test_another_package_brings_an_executor(project, tmp_path, monkeypatch):
    groups = {"nbbuild.executors": {"pool": "my_pool:start"}}
    install(monkeypatch, tmp_path / "site", "my_pool", PACKAGE, groups)
    chain(project, "[executor]\noptions = { processes = 1 }\n")
    seen = []
    report = nbbuild.build(project.root, executor="pool", observer=seen.append)

    assert [one.kind.value for one in report.outcomes] == ["executed", "executed"]
    assert project.shown("use.ipynb") == "MADE\n"
    assert any(isinstance(one, CellStarted) for one in seen)
    assert project.build("--executor", "local") == []


BROKEN = """
def start(setup):
    return setup.options["processes"]
"""


@pytest.mark.parametrize(
    ("point", "told"),
    [
        (
            "my_broken:strat",
            "error: the executor 'broken' cannot be loaded\n"
            "  because: AttributeError: module 'my_broken' has no attribute 'strat'\n",
        ),
        (
            "my_broken:start",
            "error: the executor 'broken' cannot be started\n"
            "  in: jcache.toml, [executor]\n"
            "  because: KeyError: 'processes'\n\n"
            "hint: does it take these options?\n",
        ),
    ],
)
def test_what_is_wrong_with_another_packages_executor_is_no_bug_of_nbbuild(
    project, tmp_path, monkeypatch, point, told
):
    groups = {"nbbuild.executors": {"broken": point}}
    install(monkeypatch, tmp_path / "site", "my_broken", BROKEN, groups)
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("--executor", "broken")
    assert (done.status, done.err) == (2, told)
