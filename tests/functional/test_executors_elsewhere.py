"""Notebooks executed by Dask's workers, a batch system's jobs, another package's processes."""

import importlib
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress

import distributed
import psutil
import pytest
from dask_cluster import Cluster, gone, is_below
from mock_slurm import CONFIG, Slurm
from reader_package import install

import nbbuild
from nbbuild.building import executing
from nbbuild.building.executors import Begun, Job, Lost
from nbbuild.building.jobs import dask, futures, working
from nbbuild.events import CellStarted, Started

PID = "import os\nwith open('pid', 'w') as f: _ = f.write(str(os.getpid()))\n"

IS_GONE = """
import pathlib
status = pathlib.Path("/proc/{}/status")
assert not status.exists() or "State:\tZ" in status.read_text()
"""

NO_ORPHANS = pytest.mark.own_way("kernels end at once with what started them")

CHAIN = """
[[notebook]]
path = "make.ipynb"
artefacts = ["made.txt"]

[[notebook]]
path = "use.ipynb"
assets = ["made.txt"]
"""


def chain(project, more=""):
    """Write two notebooks, of which one reads what the other writes, and a module."""
    project.config(CHAIN + more)
    project.write("helper.py", "def shout(text): return text.upper()\n")
    project.notebook("make.ipynb", "with open('made.txt', 'w') as f: _ = f.write('made')")
    project.notebook("use.ipynb", "import helper\nprint(helper.shout(open('made.txt').read()))")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("elsewhere"))
    cluster.add(count=2)
    yield cluster
    cluster.close()


# -- Dask ------------------------------------------------------------------------------------


def test_dask_workers_build_in_place_what_is_then_fresh_here(project, cluster):
    chain(project, f'[execution]\nexecutor = "dask"\n[dask]\naddress = "{cluster.address}"\n')
    seen = []
    report = nbbuild.build(project.root, observer=seen.append)

    assert [str(one.kind.value) for one in report.outcomes] == ["executed", "executed"]
    assert project.shown("use.ipynb") == "MADE\n"
    cells = [(one.task, one.number, one.total) for one in seen if isinstance(one, CellStarted)]
    assert ("use.ipynb", 1, 2) in cells
    # The trace is that of a run here: the module that nobody declared counts.
    assert project.build("--executor", "local") == []
    project.write("helper.py", "def shout(text): return text.title()\n")
    assert project.reasons("use.ipynb") == ["'helper.py' changed (imported by In [2])"]
    assert os.listdir(project.root / ".nbbuild/jobs") == []


@NO_ORPHANS
def test_a_lost_dask_worker_means_another_attempt_elsewhere(project, cluster, gate):
    project.config(
        f'[execution]\nexecutor = "dask"\nretries = 1\n[dask]\naddress = "{cluster.address}"\n'
    )
    project.notebook("a.ipynb", PID + gate.code)
    build = project.process()
    gate.wait()
    kernel = int(project.read("pid"))
    (worker,) = (pid for pid in cluster.pids() if is_below(kernel, pid))
    cluster.kill(worker)
    gone(kernel)  # no orphan
    gate.wait()  # the other worker's
    gate.close()
    _, said = build.communicate()

    assert build.returncode == 0, said
    assert project.ran() == ["a", "a"]
    with nbbuild.open_session(project.root) as session:
        assert len(list(session.store.all_records())) == 1
    assert "attempt 1 of 2 failed: the worker that executed it was lost: tcp://" in said


@NO_ORPHANS
def test_a_killed_build_leaves_no_kernel_at_a_dask_worker(project, cluster, gate):
    project.config(f'[dask]\naddress = "{cluster.address}"\n')
    project.notebook("a.ipynb", PID + gate.code)
    build = project.process("--executor", "dask")
    gate.wait()
    kernel = int(project.read("pid"))
    build.kill()
    build.communicate()
    gone(kernel)


def test_dask_workers_that_do_not_see_the_project_get_what_is_declared(project, cluster):
    for pid in cluster.pids():
        cluster.kill(pid)
    cluster.add(**{working.STAGING: "1"})
    chain(project, f'[execution]\nexecutor = "dask"\n[dask]\naddress = "{cluster.address}"\n')

    done = project.nbbuild()
    assert done.status == 1
    assert (
        "In [2] imports 'helper.py', which is in the project but not in its sandbox" in done.err
        or 'modules = ["helper"]' in done.err
    )
    project.config(
        CHAIN + 'modules = ["helper"]\n'
        f'[execution]\nexecutor = "dask"\n[dask]\naddress = "{cluster.address}"\n'
    )
    assert project.build() == ["use"]
    assert project.read("made.txt") == "made"
    assert project.shown("use.ipynb") == "MADE\n"
    assert project.build("--executor", "local") == []


def test_a_notebook_whose_name_is_not_utf8_goes_to_dask_like_others(project, cluster):
    project.config(f'[execution]\nexecutor = "dask"\n[dask]\naddress = "{cluster.address}"\n')
    project.notebook("caf\udce9.ipynb", "print('served')", log=False)
    assert project.nbbuild().status == 0
    assert project.shown("caf\udce9.ipynb") == "served\n"


class Unknown:
    """What a scheduler or a worker without nbbuild cannot read."""

    def __call__(self, order, name, topic): ...

    def __reduce__(self):
        return importlib.import_module, ("no_such_nbbuild",)


def test_a_dask_worker_without_nbbuild_says_so():
    """It would end if it could not even read what it is sent."""
    code = (
        "import pickle, sys\n"
        "sys.modules['nbbuild'] = None\n"
        "try: pickle.load(sys.stdin.buffer)(b'', 'a', 'topic')\n"
        "except ImportError: print('no nbbuild')\n"
    )
    sent = distributed.protocol.pickle.dumps(dask.travelling())
    said = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert said.stdout == b"no nbbuild\n"


def test_a_dask_scheduler_that_fails_or_goes_away_is_no_bug_of_nbbuild(
    project, cluster, monkeypatch
):
    monkeypatch.setattr(dask, "travelling", Unknown)
    project.config(f'[execution]\nexecutor = "dask"\n[dask]\naddress = "{cluster.address}"\n')
    project.notebook("a.ipynb")
    done = project.nbbuild()
    assert (done.status, done.ran) == (1, [])
    assert "no worker begins it: Dask says: RuntimeError: Error during deserialization" in done.err

    client = distributed.Client(cluster.address, set_as_default=False)
    jobs = dask.DaskJobs(client)
    client.close()  # as it closes itself once it has lost the scheduler for long
    begun = Begun(began_ns=0, found={})
    with pytest.raises(Lost, match=r"^Dask's scheduler is gone$"):
        jobs.carry_out(Job(name="a", key="", order=b"", begun=begun), cancelled=threading.Event())
    jobs.close()


SAYS = """
import os
with open(os.environ["RUN_LOG"], "a") as log:
    names = ("WHERE", "OMP_NUM_THREADS", "NBBUILD_SIGNING_KEY", "MAKELEVEL")
    print(*(os.environ.get(name) for name in names), sep=",", file=log)
"""


def test_a_notebook_gets_the_resources_and_the_cores_of_a_dask_worker(
    project, cluster, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cluster.add("--resources", "gpu=1 cores=2 memory=4e9", WHERE="small")
    cluster.add(
        *("--resources", "gpu=1 cores=2 memory=8e9"),
        # A worker has what it was started with; the threads are what Dask's own supervisor sets.
        WHERE="large",
        OMP_NUM_THREADS="1",
        NBBUILD_SIGNING_KEY="secret",
        MAKELEVEL="1",
    )
    project.config(f"""
        [execution]
        executor = "dask"
        jobs = 4
        resources = {{ gpu = 2, memory = "16GB" }}
        [dask]
        address = "{cluster.address}"
        [[notebook]]
        path = "*.ipynb"
        resources = {{ gpu = 1, memory = "8GB" }}
        cores = 2
    """)
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", SAYS, f"'{name}'", log=False)

    two = min(2, len(os.sched_getaffinity(0)))
    assert project.build() == 2 * [f"large,{two},None,None"]


def test_a_cluster_is_started_and_ended(project):
    project.config(
        '[execution]\nexecutor = "dask"\n[dask]\ncluster = "distributed.LocalCluster"\n'
        "options = { n_workers = 1, threads_per_worker = 1, dashboard_address = '127.0.0.1:0' }\n"
    )
    project.notebook("a.ipynb")
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    assert project.build() == ["a"]
    left = {one.pid for one in psutil.Process().children(recursive=True)} - before
    names = [" ".join(psutil.Process(pid).cmdline()) for pid in left]
    assert [name for name in names if "resource_tracker" not in name] == []


def test_two_clusters_beside_each_other_warn_of_nothing(project, recwarn):
    project.notebook("a.ipynb")
    project.config("[execution]\njobs = 1\n")
    with ExitStack() as stack:
        with suppress(OSError):  # another process has it
            stack.enter_context(socket.create_server(("127.0.0.1", 8787)))
        assert project.build("--executor", "dask") == ["a"]
    assert [str(one.message) for one in recwarn if "8787" in str(one.message)] == []


def test_a_cluster_that_nobody_knows_is_an_error(project):
    project.config('[execution]\nexecutor = "dask"\n[dask]\ncluster = "distributed.LocalClustre"\n')
    project.notebook("a.ipynb")
    done = project.nbbuild()
    assert done.status == 2
    assert done.err.startswith(
        "error: the Dask cluster 'distributed.LocalClustre' cannot be started\n"
        "  in: jcache.toml, [dask]\n"
        "  because: module 'distributed' has no attribute 'LocalClustre'\n"
    )


def test_a_scheduler_that_does_not_answer_is_an_error(project, monkeypatch):
    monkeypatch.setattr(dask, "PATIENCE", 0.3)
    project.config('[execution]\nexecutor = "dask"\n[dask]\naddress = "tcp://127.0.0.1:9"\n')
    project.notebook("a.ipynb")
    done = project.nbbuild()
    assert done.status == 2
    assert done.err.startswith(
        "error: the Dask scheduler at 'tcp://127.0.0.1:9' cannot be reached\n"
    )
    assert done.ran == []


# -- a batch system --------------------------------------------------------------------------


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    slurm = Slurm(tmp_path / "slurm", monkeypatch)
    yield slurm
    slurm.end()


def test_a_batch_system_builds_and_a_new_build_finds_the_jobs_of_a_killed_one(project, slurm, gate):
    project.config(f'[execution]\nexecutor = "command"\n{CHAIN}{CONFIG}')
    project.notebook("make.ipynb", f"{gate.code}\nwith open('made.txt', 'w') as f: f.write('made')")
    project.notebook("use.ipynb", "print(open('made.txt').read())")
    killed = project.process()
    gate.wait()
    killed.kill()
    killed.communicate()

    assert len(slurm.submitted) == 1
    second = project.process()
    while "make.ipynb" not in (second.stderr.readline()):
        pass
    gate.close()
    second.communicate()

    assert second.returncode == 0
    assert sorted(project.ran()) == ["make", "use"]
    assert len(slurm.submitted) == 2
    assert project.shown("use.ipynb") == "made\n"
    assert os.listdir(project.root / ".nbbuild/jobs") == []
    assert project.build("--executor", "local") == []


@NO_ORPHANS
def test_a_lost_job_is_a_failure_and_an_interrupt_ends_jobs(project, slurm, gate):
    project.config(f'[execution]\nexecutor = "command"\n{CONFIG}')
    project.notebook("a.ipynb", PID + gate.code)
    build = project.process()
    gate.wait()
    (job,) = slurm.jobs()
    slurm.kill(job)
    _, said = build.communicate()
    assert build.returncode == 1
    assert f"the worker that executed it was lost: the batch system has no job {job}" in said

    build = project.process()
    gate.wait()
    kernel = int(project.read("pid"))
    build.send_signal(signal.SIGINT)
    build.communicate()
    gone(kernel)
    assert os.listdir(project.root / ".nbbuild/jobs") == []
    assert len(slurm.submitted) == 2


def test_an_artefact_that_was_changed_after_its_job_ended_is_no_result(project, slurm, gate):
    project.config(
        '[execution]\nexecutor = "command"\n'
        f'[[notebook]]\npath = "a.ipynb"\nartefacts = ["made.txt"]\n{CONFIG}'
    )
    project.notebook("a.ipynb", gate.code, "with open('made.txt', 'w') as f: _ = f.write('run')")
    killed = project.process()
    gate.wait()
    killed.kill()
    killed.communicate()
    gate.close()
    while not (answers := [*project.root.glob(".nbbuild/jobs/*/answer")]):
        pass
    made = project.write("made.txt", "by hand")
    later = answers[0].stat().st_mtime_ns + 1
    os.utime(made, ns=(later, later))

    done = project.nbbuild()
    assert "a.ipynb: runs again: 'made.txt' has changed since its job ended\n" in done.err
    assert project.read("made.txt") == "run"
    made.unlink()
    assert project.build() == []
    assert project.read("made.txt") == "run"


def test_an_answer_that_cannot_be_read_is_asked_for_again(project, slurm, gate):
    project.config(f'[execution]\nexecutor = "command"\n{CONFIG}')
    project.notebook("a.ipynb", gate.code)
    killed = project.process()
    gate.wait()
    killed.kill()
    killed.communicate()
    gate.close()
    jobs = project.root / ".nbbuild/jobs"
    while not (answers := [*jobs.glob("*/answer")]):
        pass
    answers[0].write_bytes(b"of another shape")

    done = project.nbbuild()
    assert (done.status, len(slurm.submitted)) == (1, 1)
    assert "the answer of the worker that executed 'a.ipynb' cannot be read" in done.err
    assert os.listdir(jobs) == []
    project.build()  # as the hint says
    assert len(slurm.submitted) == 2


@NO_ORPHANS
@pytest.mark.parametrize("executor", ["command", "local"])
def test_the_job_of_a_killed_build_ends_before_its_task_runs_anew(project, slurm, gate, executor):
    """It would write into the tree, beside the new run or after it."""
    project.config(
        '[execution]\nexecutor = "command"\n'
        f'[[notebook]]\npath = "a.ipynb"\nartefacts = ["made.txt"]\n{CONFIG}'
    )
    made = "with open('made.txt', 'w') as f: _ = f.write('{}')"
    project.notebook("a.ipynb", f"{PID}{gate.code}\n{made.format('old')}")
    killed = project.process()
    gate.wait()
    kernel = int(project.read("pid"))
    killed.kill()
    killed.communicate()

    project.notebook("a.ipynb", IS_GONE.format(kernel), made.format("new"))
    assert project.build("--executor", executor) == ["a"]
    gate.close()
    assert project.read("made.txt") == "new"
    assert os.listdir(project.root / ".nbbuild/jobs") == []


# -- another package -------------------------------------------------------------------------

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
