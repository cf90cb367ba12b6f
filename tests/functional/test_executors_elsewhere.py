"""Notebooks executed by Dask's workers, a batch system's jobs, another package's processes."""

import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress

import distributed
import psutil
import pytest
from mock_slurm import CONFIG, Slurm
from reader_package import install

import nbbuild
from nbbuild.building.jobs import dask, futures, working
from nbbuild.events import CellStarted

PID = "import os\nwith open('pid', 'w') as f: _ = f.write(str(os.getpid()))\n"

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


def gone(pid):
    """Return once a process has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        while _stat(pid)[0] not in "ZX":
            pass


def _stat(pid):
    """Return the state, the parent, … of a process."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


class Cluster:
    """A Dask scheduler with workers that are processes, each for one notebook at a time."""

    def __init__(self, folder):
        self._folder = folder
        self._local = distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=None)
        self.address = self._local.scheduler_address
        self.client = distributed.Client(self.address, set_as_default=False)
        self._workers = []

    def add(self, *words, count=1, **environ):
        """Start workers in a folder that has nothing to do with the project."""
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address]
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
        for _ in range(count):
            self._workers.append(
                subprocess.Popen(
                    [*command, *options, *words],
                    cwd=self._folder,
                    env={**os.environ, **environ},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        self.client.wait_for_workers(len([one for one in self._workers if one.poll() is None]))

    def pids(self):
        return [one.pid for one in self._workers if one.poll() is None]

    def kill(self, pid):
        """End a worker as a failing machine does."""
        (worker,) = (one for one in self._workers if one.pid == pid)
        worker.kill()
        worker.wait()

    def close(self):
        self.client.close()
        for one in self._workers:
            one.kill()
            one.wait()
        self._local.close()


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
    (worker,) = (pid for pid in cluster.pids() if _is_below(kernel, pid))
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


def _is_below(pid, above):
    """Whether a process descends from another."""
    while pid > 1:
        if pid == above:
            return True
        pid = int(_stat(pid)[1])
    return False


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
    cluster.add(
        *("--resources", "gpu=1 cores=2"),
        # A worker has what it was started with; the threads are what Dask's own supervisor sets.
        WHERE="gpu",
        OMP_NUM_THREADS="1",
        NBBUILD_SIGNING_KEY="secret",
        MAKELEVEL="1",
    )
    project.config(f"""
        [execution]
        executor = "dask"
        jobs = 4
        resources = {{ gpu = 2 }}
        [dask]
        address = "{cluster.address}"
        [[notebook]]
        path = "*.ipynb"
        resources = {{ gpu = 1 }}
        cores = 2
    """)
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", SAYS, f"'{name}'", log=False)

    two = min(2, len(os.sched_getaffinity(0)))
    assert project.build() == 2 * [f"gpu,{two},None,None"]


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


# -- another package -------------------------------------------------------------------------

THREADS = """
from concurrent.futures import ThreadPoolExecutor

import msgspec

from nbbuild.building.jobs import orders
from nbbuild.building.jobs import working
from nbbuild.building.jobs import futures
from nbbuild.executors import over

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
    names = ("near", "far", "other", "changed", "stopping")
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


def test_a_worker_with_another_nbbuild_executes_nothing(project, threads):
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("--executor", "other")
    assert (done.status, done.ran) == (1, [])
    told = f"the build is nbbuild 0.0.1, and this worker is nbbuild {nbbuild.__version__}"
    assert f"no worker begins it: {told}" in done.err


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
