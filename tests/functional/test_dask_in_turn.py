"""Which notebook a Dask worker gets when many wait, and how such a build is interrupted."""

import os
import queue
import signal
import subprocess
import threading

import psutil
import pytest
from conftest import Gate
from dask_cluster import Cluster, gone, is_below
from processes import family

import nbbuild
from nbbuild.building.jobs import dask
from nbbuild.cli._signals import TOGETHER
from nbbuild.events import Noted

pytestmark = pytest.mark.slow

PATIENCE = 60  # seconds until a test that waits has failed

PID = "import os\nwith open('pid', 'w') as f: _ = f.write(str(os.getpid()))\n"

NO_ORPHANS = pytest.mark.own_way("kernels end at once with what started them")


INTERRUPTED = "interrupted: 1 executed, 2 cancelled in "


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("elsewhere"))
    cluster.add()
    yield cluster
    cluster.close()


def config(project, cluster, *, jobs, more=""):
    execution = f'[execution]\nexecutor = "dask"\njobs = {jobs}\n'
    project.config(f'{execution}[dask]\naddress = "{cluster.address}"\n{more}')


# -- whose turn it is ------------------------------------------------------------------------

CRITICAL = """
[[notebook]]
path = "second.ipynb"
depends_on = ["first.ipynb"]
[[notebook]]
path = "third.ipynb"
depends_on = ["second.ipynb"]
"""


def test_what_has_much_ahead_of_it_overtakes_in_the_line_of_a_dask_worker(
    project, cluster, monkeypatch
):
    monkeypatch.setattr(dask, "_WAITS", 0.01)
    config(project, cluster, jobs=4, more=CRITICAL)
    for name in ("first", "second", "third", "a", "b"):
        project.notebook(f"{name}.ipynb")
    seen = queue.Queue()
    build = threading.Thread(
        target=nbbuild.build, args=[project.root], kwargs={"observer": seen.put}
    )

    def stand_in_line(*names):
        missing = set(names)
        while missing:
            one = seen.get(timeout=PATIENCE)
            if isinstance(one, Noted) and one.text == "waits for a Dask worker":
                missing.discard(one.task)

    def hold(priority):
        gate = Gate()
        held = cluster.client.submit(exec, gate.code, {}, pure=False, priority=priority)
        while held.key not in sum(cluster.client.processing().values(), ()):
            pass
        holding.append(held)
        return gate

    holding = []
    one = hold(priority=9)
    one.wait()
    build.start()
    stand_in_line("first.ipynb", "a.ipynb", "b.ipynb")
    given = cluster.priorities()
    # After `first`, and before what it holds up.
    other = hold(priority=(3 * given["first.ipynb"] + given["a.ipynb"]) / 4)
    one.close()
    other.wait()
    stand_in_line("second.ipynb")  # it was handed out last
    other.close()
    build.join()

    assert project.ran()[:2] == ["first", "second"]
    assert sorted(project.ran()) == ["a", "b", "first", "second", "third"]


def test_no_notebook_stands_in_line_where_a_dask_worker_is_idle(project, cluster, gate):
    config(project, cluster, jobs=2)
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", gate.code)
    build = project.process()
    gate.wait()
    while len(sum(cluster.client.processing().values(), ())) < 2:
        pass
    cluster.add()
    gate.wait()
    gate.close()
    _, said = build.communicate(timeout=PATIENCE)

    assert build.returncode == 0, said
    assert sorted(project.ran()) == ["a", "b"]


# -- interrupts ------------------------------------------------------------------------------


def hear():
    """Hear every signal, whatever whoever runs the tests has set."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def three(project, gate):
    project.notebook("a.ipynb")
    project.notebook("b.ipynb", PID + gate.code)
    project.notebook("c.ipynb")
    return project


@NO_ORPHANS
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.stress)]
)
def test_an_interrupt_leaves_no_kernel_at_a_dask_worker(three, cluster, gate, number):
    config(three, cluster, jobs=1)
    build = three.process(preexec_fn=hear)
    gate.wait()
    kernel = int(three.read("pid"))
    build.send_signal(number)
    _, said = build.communicate(timeout=PATIENCE)

    assert build.returncode == 130
    assert said.splitlines()[-1].startswith(INTERRUPTED)
    assert not psutil.pid_exists(kernel)
    assert os.listdir(three.root / ".nbbuild/jobs") == []
    assert three.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run", "c.ipynb": "run"}


@pytest.mark.stress
@NO_ORPHANS
def test_a_second_interrupt_does_not_wait_for_a_dask_worker(three, cluster, gate):
    config(three, cluster, jobs=1)
    build = three.process(preexec_fn=hear)
    gate.wait()
    kernel = int(three.read("pid"))
    (worker,) = (pid for pid in cluster.pids() if is_below(kernel, pid))
    psutil.Process(worker).suspend()
    build.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        build.wait(2 * TOGETHER)  # for the worker to end the kernel
    build.send_signal(signal.SIGINT)
    _, said = build.communicate(timeout=PATIENCE)
    psutil.Process(worker).resume()

    assert build.returncode == 130
    assert said.endswith("\ninterrupted again: ended at once; what had finished is kept\n")
    gone(kernel)


@NO_ORPHANS
def test_ctrl_c_in_a_terminal_does_not_end_the_dask_workers_before_the_build(three, gate):
    three.config('[execution]\nexecutor = "dask"\njobs = 1\n')
    build = three.process(preexec_fn=hear, start_new_session=True)
    gate.wait()
    processes = family(three)
    os.killpg(build.pid, signal.SIGINT)
    _, said = build.communicate(timeout=PATIENCE)

    assert build.returncode == 130
    assert said.splitlines()[-2] == "executing b.ipynb: 2 cells"
    assert said.splitlines()[-1].startswith(INTERRUPTED)
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
