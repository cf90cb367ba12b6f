"""A kernel that is lost before its first cell, alone or with what started it, is replaced."""

import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from nbbuild.kernels import running
from nbbuild.kernels.execute import execute
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import start
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.watching import seccomp

pytestmark = pytest.mark.own_way("kernels are the launcher's children")


@pytest.fixture
def launcher():
    """A launcher that a test may kill."""
    with Launcher() as started:
        yield started


@pytest.fixture
def run(launcher, python, environ, tmp_path, notebook):
    """Runs a notebook; `ready(begin)` gives its first kernel, which `begin()` starts."""

    def run_cells(*cells, ready=lambda begin: None, warm=None):
        def begin():
            return start(
                python, launcher=launcher, cwd=tmp_path, env=environ, check=lambda: None, warm=warm
            )

        return execute(
            notebook(*cells),
            python,
            launcher=launcher,
            cwd=tmp_path,
            env=environ,
            allow_errors=False,
            limits=TimeLimits(),
            cancelled=threading.Event(),
            warm=warm,
            ready=lambda check: ready(begin),
        )

    return run_cells


def shown(done):
    return [output["data"]["text/plain"] for cell in done.notebook.cells for output in cell.outputs]


def test_a_kernel_that_is_killed_while_it_stands_ready_is_replaced(run):
    def ready(begin):
        session = begin()
        os.kill(session.process.pid, signal.SIGKILL)
        return session

    done = run("6 * 7", ready=ready)
    assert done.failure is None
    assert shown(done) == ["42"]
    assert done.notes == ()


def test_so_is_one_that_goes_with_its_launcher(run, launcher):
    def ready(begin):
        session = begin()
        os.kill(launcher.pid, signal.SIGKILL)
        os.waitid(os.P_PID, launcher.pid, os.WEXITED | os.WNOWAIT)  # the kernel goes with it
        return session

    done = run("6 * 7", ready=ready)
    assert done.failure is None
    assert shown(done) == ["42"]


def test_so_is_one_whose_zygote_is_killed(run, launcher, python, environ):
    warm = Warm.of(python, environ, installed="this")
    launcher.warm_up(warm, lambda: None)
    (kind,) = launcher._nursery._kinds.values()

    def ready(begin):
        os.kill(kind.zygote._process.pid, signal.SIGKILL)
        return None

    done = run("6 * 7", ready=ready, warm=warm)
    assert done.failure is None
    assert shown(done) == ["42"]


class GivesUp:
    """A zygote whose kernel says that it is unfit and closes all it holds, in one moment."""

    warm = Warm(interpreter=("python",), env=())
    seconds = 0.0

    def __init__(self, launcher):
        self._launcher = launcher

    def fork(self, channel):
        with subprocess.Popen(["sleep", "600"]) as kernel:
            channel.sendall(json.dumps({"pid": kernel.pid}).encode() + b"\n")
            _, descriptors, _, _ = socket.recv_fds(channel, 65536, 8)
            os.kill(self._launcher.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self._launcher.pid, os.WSTOPPED | os.WNOWAIT)
            channel.sendall(b'{"unfit": "it has threads"}\n')
            for descriptor in descriptors:
                os.close(descriptor)
            channel.close()
            os.kill(self._launcher.pid, signal.SIGCONT)
            kernel.kill()


@pytest.mark.skipif(seccomp.unavailable() != "", reason="a kernel cannot be watched here")
def test_one_that_gives_up_and_goes_in_one_moment_is_started_in_the_ordinary_way(
    launcher, environ, tmp_path, monkeypatch
):
    launcher.begin()
    before = launcher.pid
    monkeypatch.setattr(launcher._nursery, "zygote", lambda warm, check: (GivesUp(launcher), ""))
    process = launcher.start(
        ["sh", "-c", "exit 7"],
        env=environ,
        cwd=tmp_path,
        output=2,
        folder=tmp_path / "private",
        watched=True,
        warm=GivesUp.warm,
    )
    assert process.wait(60) == 7
    assert "it has threads" in process.shortfall
    assert launcher.pid == before


def test_a_launcher_that_ends_while_it_starts_a_kernel_is_replaced(run, launcher, monkeypatch):
    lost = []
    request = Launcher._request

    def killed(self, *args, **more):
        if len(lost) < 2:
            lost.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
        return request(self, *args, **more)

    monkeypatch.setattr(Launcher, "_request", killed)
    done = run("6 * 7")
    assert done.failure is None
    assert shown(done) == ["42"]
    assert len({*lost, launcher.pid}) == 3


def test_one_that_always_dies_is_a_failure_after_a_few_tries(run, monkeypatch):
    monkeypatch.setattr(running, "KEEP_ALL", "import os; os.kill(os.getpid(), 9)")
    begun = []
    done = run("1", ready=lambda begin: begun.append(begin()) or begun[0])
    assert done.failure.kind == "died"
    assert done.failure.message.startswith(
        "the kernel died before the first cell: killed by SIGKILL"
    )
    assert done.failure.cell is None
