"""The portable way gives what our own gives.

The stories of test_kernel_outputs.py and test_kernel_failures.py pass on it as well: .ci/run has a
job for them. Here is what is worth running each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
import zmq
from nbformat.v4 import new_code_cell

from nbbuild.kernels import ways
from nbbuild.kernels.ahead import Ahead
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.outputs import Assembler
from nbbuild.kernels.portable import _Manager, kill_tree
from nbbuild.kernels.wanted import Wanted
from nbbuild.watching import seccomp

SHOWS_A_LOT = (
    "import sys\nprint('a', flush=True)\nprint('e', file=sys.stderr, flush=True)\nprint('b')",
    "handle = display('first', display_id='d')\n1 + 1",
    new_code_cell("0", id="skipped", metadata={"tags": ["skip-execution"]}),
    "handle.update('second')\nfrom IPython.display import clear_output\nprint('gone')",
    "import asyncio\ngo = asyncio.Event()\nasync def late():\n    await go.wait()\n"
    "    display('of the fifth')\ntask = asyncio.create_task(late())",
    "go.set()\nawait task\nclear_output(wait=True)\ndisplay('of the sixth')",
    new_code_cell("print('before')\n1 / 0", id="tagged", metadata={"tags": ["raises-exception"]}),
    """
from comm import create_comm
state = {"_model_module": "@jupyter-widgets/output", "_model_name": "OutputModel",
         "msg_id": "", "outputs": []}
widget = create_comm(target_name="jupyter.widget", comm_id="w1", data={"state": state})
here = get_ipython().kernel.get_parent()["header"]["msg_id"]
widget.send({"method": "update", "state": {"msg_id": here}})
display("captured")
widget.send({"method": "update", "state": {"msg_id": ""}})
display("free")
""",
    "_ = asyncio.get_running_loop().call_soon(print, 'after the last cell')\nx",
    "'never'",
)


@pytest.fixture
def portable(monkeypatch):
    monkeypatch.setenv("NBBUILD_PORTABLE", "1")


@pytest.mark.own_way("both ways are compared")
def test_a_notebook_comes_to_the_same(run, monkeypatch):
    monkeypatch.setenv("NBBUILD_PORTABLE", "0")
    ours = run(*SHOWS_A_LOT)
    monkeypatch.setenv("NBBUILD_PORTABLE", "1")
    theirs = run(*SHOWS_A_LOT)

    assert ours.failure is not None
    assert ours.failure.message == "NameError: name 'x' is not defined"
    assert theirs.failure == ours.failure
    assert theirs.notebook == ours.notebook
    assert (theirs.notes, theirs.cut_short) == (ours.notes, ours.cut_short) == ((), False)
    assert len(theirs.cell_seconds) == len(ours.cell_seconds)


def test_a_flood_that_is_read_slowly_is_whole(run, portable, monkeypatch):
    take = Assembler.take

    def slowly(self, message, index):
        time.sleep(0.0002)
        take(self, message, index)

    monkeypatch.setattr(Assembler, "take", slowly)
    done = run(
        "from IPython.display import publish_display_data\n"
        "for i in range(1500):\n    publish_display_data({'text/plain': f'{i:05}' + 'x' * 9_000})",
    )

    assert done.failure is None
    numbers = [int(o["data"]["text/plain"][:5]) for o in done.notebook.cells[0].outputs]
    assert numbers == list(range(1500))


def test_a_death_and_a_limit_are_told(run, portable):
    died = run("1", "import os; os._exit(3)")
    late = run("print('began')\nimport time\ntime.sleep(60)", timeout=0.3)

    assert [one.failure.message for one in (died, late)] == [
        "the kernel died in cell 2 (In [2]): exit status 3",
        "cell 1 (In [1]) ran longer than its limit of 0.3 s",
    ]
    outputs = late.notebook.cells[0].outputs
    assert [one["output_type"] for one in outputs] == ["stream", "error"]


def test_cancelling_kills_the_kernel_and_its_process_group(run, pipe, portable, watching):
    cancelled = threading.Event()
    pids = []

    def cancel():
        pids.extend(map(int, pipe.read_text().split()))
        stack.append(watching(*pids))
        gone.extend(stack[0].__enter__())
        cancelled.set()

    stack, gone = [], []
    thread = threading.Thread(target=cancel)
    thread.start()
    done = run(
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"with open({str(pipe)!r}, 'w') as file:\n"
        "    _ = file.write(f'{os.getpid()} {child.pid}')\n"
        "child.wait()",
        cancelled=cancelled,
    )
    thread.join()

    assert (done.cancelled, done.failure) == (True, None)
    assert [one.within(0.5) for one in gone] == [True, True]
    stack[0].__exit__(None, None, None)


def test_without_process_groups_the_descendants_are_killed(watching):
    script = "sleep 600 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        with watching(process.pid, child) as gone:
            kill_tree(process)
            assert [one.within(5) for one in gone] == [True, True]


def test_kernels_talk_over_tcp_where_there_are_no_unix_sockets(run, portable, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.portable.UNIX_SOCKETS", False)

    done = run("get_ipython().kernel.parent.transport")

    assert done.failure is None
    (shown,) = done.notebook.cells[0].outputs
    assert shown["data"]["text/plain"] == "'tcp'"


def test_a_start_that_meets_another_socket_is_tried_again(run, portable, monkeypatch):
    """Over TCP, somebody else may listen where the kernel should; then sending waited for ever."""
    monkeypatch.setattr("nbbuild.kernels.portable.UNIX_SOCKETS", False)
    monkeypatch.setattr("nbbuild.kernels.portable._NOBODY", 100)
    told, tries = _Manager.get_connection_info, []
    with zmq.Context() as context, context.socket(zmq.PUB) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")

        def misled(self, session=False):
            info = told(self, session=session)
            if session:  # for a connection; the kernel was told before
                tries.append(info["shell_port"])
            return {**info, "shell_port": port} if session and len(tries) == 1 else info

        monkeypatch.setattr(_Manager, "get_connection_info", misled)
        done = run("print(1)")
    assert done.failure is None
    assert len(tries) == 2


def test_a_kernel_knows_its_parent_and_so_when_that_has_gone(run, portable):
    done = run("import os\nos.environ['JPY_PARENT_PID'], os.getppid()")

    (shown,) = done.notebook.cells[0].outputs
    assert shown["data"]["text/plain"] == f"('{os.getpid()}', {os.getpid()})"


def test_nothing_that_only_linux_has_is_begun(portable, python, environ, tmp_path):
    with Launcher() as launcher, Ahead(launcher, most=1) as ahead:
        launcher.begin()
        ahead.begin(Wanted(kernel=python, cwd=tmp_path, env=environ))

        assert launcher.pid == 0
        assert ahead.take(Wanted(kernel=python, cwd=tmp_path, env=environ), lambda: None) is None


def test_one_variable_and_the_system_choose_the_way(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    said = {}
    for value in ("", "0", "1"):
        monkeypatch.setenv("NBBUILD_PORTABLE", value)
        said[value] = ways.portable()
    assert said == {"": False, "0": False, "1": True}
    assert ways.unseen() == "the portable way watches no system calls"
    monkeypatch.setenv("NBBUILD_PORTABLE", "0")
    assert ways.unseen() == seccomp.unavailable()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ways.portable()
