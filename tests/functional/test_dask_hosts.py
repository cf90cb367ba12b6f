"""Notebooks executed by Dask's workers on other hosts, which see nothing of the project."""

import os
import shutil
import sys

import network_hosts
import pytest
from conftest import Gate

PORT = 8786
WHY = network_hosts.missing()
pytestmark = [
    pytest.mark.skipif(bool(WHY), reason=WHY),
    pytest.mark.own_way("kernels end at once with what started them"),
]

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
        self.environ = {**os.environ, **project.environ}
        self.hidden = project.root
        self.processes = []
        words = ["--host", self.network.base.address, "--no-dashboard"]
        self._start(self.network.base, "scheduler", *words)
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
def cluster(project):
    cluster = Cluster(project, "one", "two")
    yield cluster
    cluster.close()


@pytest.fixture
def gate(cluster):
    gate = Gate(cluster.network.base.listen())
    yield gate
    gate.close()


CHAIN = """
[project]
notebooks = ["*.ipynb"]
[execution]
executor = "dask"
jobs = 4
[dask]
address = "{address}"

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
    project.config(CHAIN.format(address=cluster.address))
    project.write("numbers.csv", "one,two\n")
    project.write("helper.py", "def shout(text): return text.upper()\n")
    for name, cell in {**NOTEBOOKS, **more}.items():
        project.notebook(f"{name}.ipynb", WHERE.format(name=name), cell, log=False)


def results(project):
    """Return what built notebooks show, and the artefacts."""
    names = sorted(path.name for path in project.root.glob("*.ipynb"))
    shown = {name: [cell.get("outputs") for cell in project.built(name)["cells"]] for name in names}
    return {**shown, **{name: project.read(name) for name in ("made.txt", "used.txt")}}


def test_hosts_that_share_no_file_build_what_this_one_would(
    project, project_class, cluster, gate, tmp_path
):
    chain(project, cluster, first=f"{gate.code}\n1", second=f"{gate.code}\n2")
    shutil.copytree(project.root, tmp_path / "here")
    build = cluster.build(project)
    gate.wait()
    gate.wait()  # so both hosts have one of these
    gate.close()
    assert build.wait() == 0

    ran = dict(line.split("@", 1) for line in project.ran())
    there = {f"{host.name}@{host.network}" for host, _ in cluster.workers.values()}
    assert sorted(ran) == ["first", "last", "make", "second", "use"]
    assert set(ran.values()) == there
    assert set(project.verdicts().values()) == {"fresh"}

    here = project_class(tmp_path / "here", project.environ)
    assert cluster.build(here, "--executor", "local").wait() == 0
    assert results(project) == results(here)
