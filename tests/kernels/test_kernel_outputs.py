"""What a notebook shows after its execution."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell

from nbbuild.kernels.outputs import Assembler


def shown(execution):
    return [
        [
            o.get("text") or o.get("data", {}).get("text/plain") or o.get("ename")
            for o in cell.outputs
        ]
        for cell in execution.notebook.cells
    ]


SHOWS_A_LOT = (
    "import sys\nfor i in range(3):\n    print(i, flush=True)\nprint('err', file=sys.stderr)",
    "handle = display('first', display_id='d')\ndisplay({'a': 1})\n1 + 1",
    "handle.update('second')\ndisplay('twin', display_id='d')",
    "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('kept')",
    "display('waits')\nclear_output(wait=True)\ndisplay('replaces')",
    "print('before')\n1 / 0",
    "raise KeyError('told in full')",
    "for i in range(100):\n    print(f'\\r{i} %', end='', flush=True)",
    "from IPython.display import HTML, Markdown\nHTML('<b>x</b>')",
    "   ",
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
)


def test_outputs_are_those_of_nbclient(run, notebook, python, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with TemporaryDirectory() as folder:
        # Over TCP two kernels may be given one port, and wait for ever.
        file = str(Path(folder, "c.json"))
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=file)
        stock = NotebookClient(
            notebook(*SHOWS_A_LOT),
            km=manager,
            timeout=60,
            allow_errors=True,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute(cleanup_kc=True)

    ours = run(*SHOWS_A_LOT, allow_errors=True)

    assert ours.failure is None
    assert ours.notebook == stock
    assert len(ours.cell_seconds) == len(SHOWS_A_LOT) - 1


def test_the_source_is_left_alone_and_only_cells_that_run_lose_their_outputs(run, notebook):
    old = [{"output_type": "stream", "name": "stderr", "text": "old"}]
    skipped = new_code_cell("0", outputs=list(old), metadata={"tags": ["skip-execution"]})
    timed = new_code_cell("1", metadata={"execution": {"iopub.status.busy": "2020-01-01"}})
    never = new_code_cell("2", outputs=list(old), execution_count=7)
    seen = []

    done = run(
        new_markdown_cell("# text"),
        skipped,
        timed,
        "1 / 0",
        never,
        on_cell=lambda number, total: seen.append((number, total)),
    )

    assert never.outputs == old
    assert done.notebook.cells[1].outputs == old
    assert done.notebook.cells[2].metadata == {}
    assert done.notebook.cells[2].execution_count == 1
    assert done.notebook.cells[3].execution_count == 2
    assert (done.notebook.cells[4].outputs, done.notebook.cells[4].execution_count) == ([], None)
    assert seen == [(1, 3), (2, 3)]
    assert done.notebook.metadata.language_info.name == "python"


def test_streams_and_displays_keep_their_order_and_text_is_whole(run):
    done = run(
        "import sys\nprint('a', flush=True)\nprint('e', file=sys.stderr, flush=True)\n"
        "print('b', flush=True)\ndisplay(1)\nprint('c')"
    )

    assert shown(done) == [["a\nb\n", "e\n", "1", "c\n"]]


def test_late_output_goes_to_the_cell_it_belongs_to(run):
    done = run(
        "import asyncio\ngo = asyncio.Event()\nasync def late():\n    await go.wait()\n"
        "    display('of the first')\ntask = asyncio.create_task(late())",
        "go.set()\nawait task\ndisplay('of the second')",
        "_ = asyncio.get_running_loop().call_soon(print, 'after the last cell')",
    )

    assert shown(done) == [["'of the first'"], ["'of the second'"], ["after the last cell\n"]]


SLOW = """
import os, subprocess, threading
import ipykernel.iostream
class Slow:
    def __getattr__(self, name):
        return getattr(os, name)
    def read(self, descriptor, size):
        data = os.read(descriptor, size)
        threading.Event().wait(0.3)  # as on a busy machine
        return data
ipykernel.iostream.os = Slow()
"""


@pytest.mark.parametrize(("name", "descriptor"), [("stdout", 1), ("stderr", 2)])
def test_what_is_written_to_a_descriptor_at_the_end_is_waited_for(run, name, descriptor):
    text = "é" * 1500  # more than is read at once
    done = run(
        SLOW,
        f"_ = os.write({descriptor}, {text!r}.encode())",
        f"_ = subprocess.run('echo child >&{descriptor}', shell=True)",
    )
    assert done.failure is None
    assert "".join(text for cell in shown(done) for text in cell) == f"{text}child\n"
    assert {o["name"] for cell in done.notebook.cells for o in cell.outputs} == {name}


def test_a_descriptor_that_the_notebook_led_elsewhere_is_left_alone(run):
    done = run("import os\nfile = os.open('mine', os.O_CREAT | os.O_RDWR)\n_ = os.dup2(file, 1)")
    assert (done.failure, shown(done)) == (None, [[]])
    done = run("import os; os.lseek(os.open('mine', os.O_RDONLY), 0, os.SEEK_END)")
    assert shown(done) == [["0"]]


def test_what_exit_hooks_show_is_of_no_cell(run):
    hook = "import atexit\n_ = atexit.register(lambda: (print('bye', flush=True), display('bye')))"
    assert shown(run(hook, "print('last')")) == [[], ["last\n"]]
    assert shown(run(hook, "print('last')\nexit()")) == [[], ["last\n"]]


@pytest.mark.slow
def test_a_slow_reader_loses_nothing(run, monkeypatch):
    take = Assembler.take

    def slowly(self, message, index):
        time.sleep(0.001)
        take(self, message, index)

    monkeypatch.setattr(Assembler, "take", slowly)

    done = run(
        "from IPython.display import publish_display_data\n"
        "for i in range(5000):\n    publish_display_data({'text/plain': f'{i:05}' + 'x' * 20_000})"
    )

    assert done.failure is None
    numbers = [int(o["data"]["text/plain"][:5]) for o in done.notebook.cells[0].outputs]
    assert numbers == list(range(5000))


def test_the_kernel_too_drops_nothing_and_what_told_it_so_leaves_no_trace(run):
    done = run(
        "import zmq\nget_ipython().kernel.iopub_thread.socket.getsockopt(zmq.SNDHWM)",
        "len(In), sorted(Out), list(get_ipython().history_manager.get_range())[0][1]",
    )

    assert shown(done) == [["0"], ["(3, [1], 1)"]]


def test_what_a_kernel_prints_on_its_descriptors_does_not_reach_ours(run, capfd):
    # ipykernel's own thread fetches such text; which cell it then names is chance.
    done = run("import os\n_ = os.system('echo loud')\n_ = os.write(2, b'louder\\n')")

    assert done.failure is None
    assert capfd.readouterr() == ("", "")


def test_executions_leave_no_descriptor_no_thread_and_no_folder(run, tmp_path, monkeypatch):
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    run("1")  # what is made once is made now

    def held():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    before = held()
    for cell in ("1", "1 / 0", "import os; os._exit(1)"):
        run(cell)

    assert held() == before
    assert list(folder.iterdir()) == []


def test_a_long_tmpdir_does_not_stop_a_kernel(run, tmp_path, monkeypatch):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    done = run("import sys\nsys.argv[-2]")

    assert done.failure is None
    (where,) = shown(done)[0]
    assert Path(where.strip("'")).parents[2] == Path("/tmp")
