"""However a build is told to stop, it says so by its status, and nothing of it is left running."""

import os
import pty
import select
import signal
import subprocess
import sys
from functools import partial

import psutil
import pytest
from processes import family

from nbbuild.cli._signals import TOGETHER

PATIENCE = 60  # seconds until a test that waits has failed


def start(project, *words, command=(sys.executable, "-m", "nbbuild"), **more):
    """Start a build that hears every signal, whatever whoever runs the tests has set."""
    project.log.write_text("")

    def heard():
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)

    streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(
        [*command, *words],
        cwd=project.root,
        env={**os.environ, **project.environ},
        **{"stdin": subprocess.DEVNULL, "preexec_fn": heard, **streams, **more},
    )


@pytest.fixture
def three(project, gate):
    """A build of three notebooks holds in the second one."""
    project.config("[execution]\njobs = 1\n")
    project.notebook("a.ipynb", "print('done')")
    project.notebook("b.ipynb", gate.code)
    project.notebook("c.ipynb")
    return project


HELD_UP = """
import sys, threading
from nbbuild.kernels.launch.process import KernelProcess

end = KernelProcess.kill

def kill(self):
    if self.poll() is not None:
        return end(self)
    print("held up", file=sys.stderr, flush=True)
    threading.Event().wait()

KernelProcess.kill = kill
from nbbuild.__main__ import script
script()
"""


def test_a_second_ctrl_c_ends_at_once(three, gate):
    build = start(three, command=[sys.executable, "-c", HELD_UP])
    gate.wait()
    processes = family(three)
    build.send_signal(signal.SIGINT)
    said = b""
    while b"held up" not in said:
        said += build.stderr.readline()
    assert select.select([build.stderr], [], [], TOGETHER)[0] == []
    build.send_signal(signal.SIGINT)
    _, err = build.communicate(timeout=PATIENCE)
    assert build.returncode == 130
    assert err == b"\ninterrupted again: ended at once; what had finished is kept\n"
    assert none_left(processes)
    assert three.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run", "c.ipynb": "run"}


@pytest.mark.own_way("has a launcher")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_launcher_that_somebody_has_stopped_leaves_nothing(three, gate, number):
    build = start(three)
    gate.wait()
    processes = family(three)
    (launcher,) = [one for one in processes if "launcher.py" in " ".join(one.cmdline())]
    launcher.suspend()
    build.send_signal(number)
    build.communicate(timeout=PATIENCE)
    assert build.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert none_left(processes)


def none_left(processes):
    return psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


def test_a_hang_up_is_an_interrupt(three, gate):
    build = start(three, "--json")
    gate.wait()
    processes = family(three)
    build.send_signal(signal.SIGHUP)
    out, err = build.communicate(timeout=PATIENCE)
    assert build.returncode == 130, err
    assert none_left(processes)
    assert err.splitlines()[-1].startswith(b"interrupted: 1 executed, 2 cancelled in ")
    assert b'"interrupted": true' in out


def test_who_ignores_hang_ups_is_built_on(three, gate):
    build = start(three, preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_IGN))
    gate.wait()
    build.send_signal(signal.SIGHUP)  # as `nohup` has it
    gate.close()
    _, err = build.communicate(timeout=PATIENCE)
    assert build.returncode == 0, err


def test_a_closed_terminal_ends_the_build(three, gate):
    ours, theirs = pty.openpty()

    def in_the_terminal():
        os.setsid()
        import fcntl
        import termios

        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    build = start(three, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=in_the_terminal)
    os.close(theirs)
    gate.wait()
    processes = family(three)
    os.close(ours)
    assert build.wait(PATIENCE) == 130
    assert none_left(processes)
    assert three.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run", "c.ipynb": "run"}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away(three, gate, stream):
    reading, writing = os.pipe()
    build = start(three, "--json", **{stream: writing})
    os.close(writing)
    gate.wait()
    processes = family(three)
    os.close(reading)
    gate.close()
    build.communicate(timeout=PATIENCE)
    print(build.returncode)
    assert build.returncode == (141 if stream == "stdout" else 0)
    assert none_left(processes)
    assert three.ran() == ["a", "b", "c"]
