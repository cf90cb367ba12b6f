"""Notebooks executed by Dask's workers on other hosts, which see nothing of the project."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import network_hosts
import pytest
from conftest import PATIENCE, Gate
from dask_cluster import gone

import nbbuild

PORT = 8786
SILENCE = "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP"  # how long nothing may be heard; 11 s at least
WHY = network_hosts.missing()
pytestmark = [
    pytest.mark.skipif(bool(WHY), reason=WHY),
    pytest.mark.own_way("kernels end at once with what started them"),
]

PID = "import os\nwith open('{log}.pid', 'w') as f: _ = f.write(str(os.getpid()))\n"

WHERE = """
import os, platform
with open(os.environ["RUN_LOG"], "a") as log:
    print({name!r}, platform.node(), os.stat("/proc/self/ns/net").st_ino, sep="@", file=log)
"""


class Cluster:
    """A scheduler on the hosts' base, and a worker on each host."""

    def __init__(self, project, *hosts):
        self.network = network_hosts.Network()
        self.address = f"tcp://{self.network.base.address}:{PORT}"
        self.environ = {**os.environ, **project.environ, SILENCE: "11s"}
        self.hidden = project.root
        self.processes = []
        words = ["--host", self.network.base.address, "--no-dashboard"]
        self.scheduler = self._start(self.network.base, "scheduler", *words)
        self.workers = {name: self.add(name) for name in hosts}

    def add(self, name):
        """Start a worker on a new host; return the host and the process."""
        host = self.network.add(name, [self.hidden])
        words = ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
        return host, self._start(host, "worker", self.address, *words)

    def _start(self, host, what, *words):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *words]
        self.processes.append(host.start(*command, env=self.environ))
        return self.processes[-1]

    def build(self, project, *words, **more):
        command = [sys.executable, "-m", "nbbuild", *words]
        return self.network.base.start(
            *command, folder=project.root, env=self.environ, text=True, **more
        )

    def close(self):
        for one in self.processes:
            one.kill()
            one.wait()
        self.network.close()


@pytest.fixture
def hosts(project):
    """Return what starts a cluster with a worker on each of the hosts that are named."""
    with ExitStack() as stack:
        yield lambda *names: stack.enter_context(closing(Cluster(project, *names)))


@pytest.fixture
def cluster(hosts):
    return hosts("one", "two")


@pytest.fixture
def gate(cluster):
    gate = Gate(cluster.network.base.listen())
    yield gate
    gate.close()


CONFIG = """
[project]
notebooks = ["*.ipynb"]
[dask]
address = "{address}"
[execution]
executor = "dask"
jobs = 4
"""

CHAIN = """
[[notebook]]
path = "make.ipynb"
artefacts = ["made.txt"]
assets = ["numbers.csv"]
[[notebook]]
path = "use.ipynb"
assets = ["made.txt"]
artefacts = ["used.txt"]
modules = ["helper"]
[[notebook]]
path = "last.ipynb"
assets = ["used.txt"]
"""


NOTEBOOKS = {
    "make": "text = open('numbers.csv').read()\nwith open('made.txt', 'w') as f: f.write(text * 2)",
    "use": "import helper\nmade = helper.shout(open('made.txt').read())\n"
    "with open('used.txt', 'w') as f: f.write(made)\nprint(made)",
    "last": "print(open('used.txt').read())\n'last'",
}


def chain(project, cluster, **more):
    """Write a chain of three, with what it needs, and the notebooks `more`."""
    project.config(CONFIG.format(address=cluster.address) + CHAIN)
    project.write("numbers.csv", "one,two\n")
    project.write("helper.py", "def shout(text): return text.upper()\n")
    for name, cell in {**NOTEBOOKS, **more}.items():
        project.notebook(f"{name}.ipynb", WHERE.format(name=name), cell, log=False)


def results(project):
    """Return what built notebooks show, and the artefacts."""
    names = sorted(path.name for path in project.root.glob("*.ipynb"))
    shown = {name: [cell.get("outputs") for cell in project.built(name)["cells"]] for name in names}
    return {**shown, **{name: project.read(name) for name in ("made.txt", "used.txt")}}


@pytest.mark.slow
def test_a_host_that_sees_nothing_of_the_project_builds_a_chain(project, hosts):
    cluster = hosts("one")
    chain(project, cluster)
    assert cluster.build(project).wait(PATIENCE) == 0

    ((host, _),) = cluster.workers.values()
    there = f"{host.name}@{host.network}"
    assert project.ran() == [f"{name}@{there}" for name in ("make", "use", "last")]
    assert project.shown("last.ipynb") == "ONE,TWO\nONE,TWO\n\n'last'"
    assert set(project.verdicts().values()) == {"fresh"}


@pytest.mark.stress
def test_hosts_that_share_no_file_build_what_this_one_would(
    project, project_class, cluster, gate, tmp_path
):
    chain(project, cluster, first=f"{gate.code}\n1", second=f"{gate.code}\n2")
    shutil.copytree(project.root, tmp_path / "here")
    build = cluster.build(project)
    gate.wait()
    gate.wait()  # so both hosts have one of these
    gate.close()
    assert build.wait(PATIENCE) == 0

    ran = dict(line.split("@", 1) for line in project.ran())
    there = {f"{host.name}@{host.network}" for host, _ in cluster.workers.values()}
    assert sorted(ran) == ["first", "last", "make", "second", "use"]
    assert set(ran.values()) == there
    assert set(project.verdicts().values()) == {"fresh"}

    here = project_class(tmp_path / "here", project.environ)
    assert cluster.build(here, "--executor", "local").wait(PATIENCE) == 0
    assert results(project) == results(here)


LOST = "note: a.ipynb: attempt 1 of 2 failed: the worker that executed it was lost: tcp://{}:"


def hold(project, cluster, gate):
    """Begin to build a notebook, and return once a host has it: the build, and the host's name."""
    project.config(CONFIG.format(address=cluster.address) + "retries = 1\n")
    note = PID.format(log=project.log)
    project.notebook("a.ipynb", WHERE.format(name="a"), note, gate.code, log=False)
    build = cluster.build(project, stderr=subprocess.PIPE)
    gate.wait()
    return build, places(project)[-1]


def places(project):
    """Return the names of the hosts that began a notebook, in order."""
    return [line.split("@")[1] for line in project.ran()]


@pytest.mark.stress
@pytest.mark.parametrize("way", ["killed", "silent"])
def test_another_host_takes_over_from_one_that_is_lost(project, cluster, gate, way):
    build, first = hold(project, cluster, gate)
    kernel = int(Path(f"{project.log}.pid").read_text())
    host, worker = cluster.workers[first]
    if way == "killed":
        worker.kill()
    else:
        cluster.network.silence(host)
    gate.wait()  # the other host's
    gone(kernel)
    gate.close()
    _, said = build.communicate(timeout=PATIENCE)

    assert build.returncode == 0, said
    assert LOST.format(host.address) in said
    assert sorted(places(project)) == ["one", "two"]
    with nbbuild.open_session(project.root) as session:
        assert len(list(session.store.all_records())) == 1


@pytest.mark.stress
def test_no_third_host_gets_what_may_be_tried_twice(project, cluster, gate):
    cluster.workers["three"] = cluster.add("three")
    build, first = hold(project, cluster, gate)
    cluster.workers[first][1].kill()
    gate.wait()
    cluster.workers[places(project)[-1]][1].kill()
    _, said = build.communicate(timeout=PATIENCE)

    assert build.returncode == 1
    assert said.count("the worker that executed it was lost: tcp://") >= 2
    assert len(places(project)) == len(set(places(project))) == 2
    with nbbuild.open_session(project.root) as session:
        assert list(session.store.all_records()) == []


@pytest.mark.stress
def test_a_scheduler_that_ends_takes_the_notebooks_along(project, cluster, gate):
    build, _ = hold(project, cluster, gate)
    cluster.scheduler.kill()
    _, said = build.communicate(timeout=2 * PATIENCE)

    gone = "the worker that executed it was lost: Dask's scheduler is gone"
    assert build.returncode == 1
    assert f"note: a.ipynb: attempt 1 of 2 failed: {gone}\n" in said
    assert f" s: {gone}\n    as far as it went: " in said


@pytest.mark.stress
def test_ctrl_c_does_not_wait_for_a_scheduler_that_does_not_answer(project, cluster, gate):
    build, _ = hold(project, cluster, gate)
    cluster.scheduler.send_signal(signal.SIGSTOP)
    silent = "note: a.ipynb: waits for Dask's scheduler, which does not answer\n"
    while build.stderr.readline() != silent:
        assert build.poll() is None
    build.send_signal(signal.SIGINT)
    _, said = build.communicate(timeout=PATIENCE)

    assert build.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted: 1 cancelled in ")
