"""Nothing that a notebook starts outlives it, however it, or nbbuild, ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nbbuild.errors import KernelError
from nbbuild.kernels.launch.launcher import process_table
from nbbuild.kernels.launch.process import Launcher

pytestmark = pytest.mark.own_way("kernels are the launcher's children")

# Started by a notebook: a child, one in a session of its own, and one that no group, session,
# parent or environment ties to the kernel.
STARTS_CHILDREN = """
import json, os, subprocess
ESCAPE = '''
import os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    child = subprocess.Popen(["sleep", "600"], env={}, start_new_session=True, stdout=2)
    print(child.pid, flush=True)
'''
child = subprocess.Popen(["sleep", "600"])
apart = subprocess.Popen(["sleep", "600"], start_new_session=True)
escaped = subprocess.run([os.sys.executable, "-c", ESCAPE], stdout=subprocess.PIPE, text=True,
                         env={}, check=True)
pids = [os.getpid(), os.getppid(), child.pid, apart.pid, int(escaped.stdout)]
story = json.dumps([os.environ["NBBUILD_KERNEL"], pids])
"""

BUILD = """
import os, sys, threading
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook
from nbbuild.kernels.execute import execute
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.launch.process import Launcher
from nbbuild.interpreter.kernelspec import KernelSpecs

with Launcher() as launcher:
    if sys.argv[2] == "a fork of nbbuild lives on":
        launcher.start(["true"], env=os.environ, cwd=Path.cwd(), output=2).kill()
        if os.fork() == 0:  # holds our end of the launcher's lifeline
            sys.stdin.read()
            os._exit(0)
    execute(
        new_notebook(cells=[new_code_cell(sys.argv[1])]),
        KernelSpecs().find("python3"),
        launcher=launcher,
        cwd=Path.cwd(),
        env=os.environ,
        allow_errors=False,
        limits=TimeLimits(),
        cancelled=threading.Event(),
    )
"""


def alive(mark: str) -> list[int]:
    return [process.pid for process in process_table().values() if mark in process.kernels]


def test_children_are_dead_when_the_notebook_is_done(run, tmp_path, watching, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.kernel.SHUTDOWN_PATIENCE", 0.3)

    done = run(STARTS_CHILDREN + "open('story', 'w').write(story)")

    assert done.failure is None
    mark, (kernel, _, *children) = json.loads((tmp_path / "story").read_text())
    assert alive(mark) == []
    assert not {kernel, *children} & set(process_table())


@pytest.mark.parametrize("victim", ["nbbuild", "launcher", "a fork of nbbuild lives on"])
def test_a_sigkill_leaves_no_process_even_of_a_kernel_that_holds_the_gil(
    victim, environ, tmp_path, pipe, watching
):
    cell = STARTS_CHILDREN + (
        f"with open({str(pipe)!r}, 'w') as file:\n    _ = file.write(story)\n"
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')"
    )
    folder = tmp_path / "tmp"
    folder.mkdir()
    build = subprocess.Popen(
        [sys.executable, "-c", BUILD, cell, victim],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        env={**environ, "TMPDIR": str(folder)},
    )
    mark, pids = json.loads(pipe.read_text())
    with watching(*pids) as watched:
        os.kill(pids[1] if victim == "launcher" else build.pid, signal.SIGKILL)
        build.wait(10)

        # What has neither mark nor kin left can be found by the launcher only.
        found = watched[:-1] if victim == "launcher" else watched
        assert [gone.within(2) for gone in found] == [True] * len(found)
    assert alive(mark) == []
    assert list(folder.iterdir()) == []
    build.stdin.close()
    if victim == "launcher":
        os.kill(pids[-1], signal.SIGKILL)


def test_leaving_the_launcher_kills_what_still_runs(environ, tmp_path, watching):
    with (tmp_path / "log").open("wb") as log, Launcher() as launcher:
        process = launcher.start(["sleep", "600"], env=environ, cwd=tmp_path, output=log.fileno())
        with watching(process.pid, launcher.pid) as watched:
            launcher.close()
            assert [gone.within(2) for gone in watched] == [True, True]
        assert process.poll() == -signal.SIGKILL
        assert process.kill() == ()


def test_a_process_is_told_dead_with_its_status(launcher, environ, tmp_path):
    def ended(script: str) -> int | None:
        with (tmp_path / "log").open("wb") as log:
            process = launcher.start(
                ["sh", "-c", script], env=environ, cwd=tmp_path, output=log.fileno()
            )
        status = process.wait(10)
        process.kill()
        return status

    assert ended("exit 7") == 7
    assert ended("kill -SEGV $$") == -signal.SIGSEGV
    assert ended('test "$JPY_PARENT_PID" = "$PPID" && test ! -t 0') == 0
    assert ended("echo out; echo err >&2") == 0
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_an_interrupt_reaches_the_whole_group(launcher, environ, tmp_path, pipe):
    script = f"trap 'exit 5' INT; sleep 600 & echo > {pipe}; wait"
    with (tmp_path / "log").open("wb") as log:
        process = launcher.start(
            ["sh", "-c", script], env=environ, cwd=tmp_path, output=log.fileno()
        )
    pipe.read_text()
    process.interrupt()

    assert process.wait(10) == 5
    assert process.kill() == ()


def test_what_cannot_be_run_is_an_error(launcher, environ, tmp_path):
    def reason(argv: list[str], cwd: Path, **env: str) -> str:
        with (tmp_path / "log").open("wb") as log, pytest.raises(KernelError) as caught:
            launcher.start(argv, env={**environ, **env}, cwd=cwd, output=log.fileno())
        return str(caught.value)

    missing = tmp_path / "missing"
    assert reason(["no-such-program"], tmp_path) == "No such file or directory: 'no-such-program'"
    assert reason(["sh"], missing) == f"No such file or directory: '{missing}'"
    assert reason(["sleep"], tmp_path, PATH=str(tmp_path)) == "No such file or directory: 'sleep'"
    (tmp_path / "file").touch()
    assert reason([str(tmp_path / "file")], tmp_path) == f"Permission denied: '{tmp_path}/file'"


def test_a_killed_launcher_is_replaced(environ, tmp_path, watching):
    with (tmp_path / "log").open("wb") as log, Launcher() as launcher:

        def start():
            return launcher.start(["sleep", "600"], env=environ, cwd=tmp_path, output=log.fileno())

        first = start()
        with watching(first.pid, launcher.pid) as (kernel, helper):
            os.kill(launcher.pid, signal.SIGKILL)
            assert helper.within(2)
            assert kernel.within(2)
        assert first.poll() == -signal.SIGKILL
        second = start()
        assert second.poll() is None
        assert (first.kill(), second.kill()) == ((), ())


def test_marks_of_nested_builds_add_up(launcher, environ, tmp_path, pipe):
    with (tmp_path / "log").open("wb") as log:
        outer = {**environ, "NBBUILD_KERNEL": "outer"}
        process = launcher.start(
            ["sh", "-c", f"echo > {pipe}; sleep 600"],
            env=outer,
            cwd=tmp_path,
            output=log.fileno(),
        )
    pipe.read_text()

    assert process.pid in alive("outer")
    process.kill()
    assert alive("outer") == []
