"""Notebooks executed by Dask's workers: real processes on this machine."""

import importlib
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress

import distributed
import psutil
import pytest
from dask_cluster import Cluster, gone, is_below
from elsewhere_notebooks import CHAIN, PID, chain

import nbbuild
from nbbuild.building.executors import Begun, Job, Lost
from nbbuild.building.jobs import dask, working
from nbbuild.events import CellStarted

pytestmark = pytest.mark.slow

NO_ORPHANS = pytest.mark.own_way("kernels end at once with what started them")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("elsewhere"))
    cluster.add(count=2)
    yield cluster
    cluster.close()


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
