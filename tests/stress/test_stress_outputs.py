"""Nothing that a notebook shows is lost, however much; and kernels leave nothing where they were.

The small versions are in tests/kernels/test_kernel_outputs.py.
"""

import os
import threading
import time

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.interpreter.kernelspec import KernelSpecs
from nbbuild.kernels.execute import execute
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.outputs import Assembler
from nbbuild.kernels.wanted import TimeLimits

pytestmark = pytest.mark.stress

STARTS = int(os.environ.get("NBBUILD_STRESS_STARTS", "1000"))
DISPLAYS = int(os.environ.get("NBBUILD_STRESS_DISPLAYS", "100000"))


def ran(launcher, folder, *cells):
    environ = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    return execute(
        new_notebook(cells=[new_code_cell(cell) for cell in cells]),
        KernelSpecs().find("python3"),
        launcher=launcher,
        cwd=folder,
        env=environ,
        allow_errors=False,
        limits=TimeLimits(),
        cancelled=threading.Event(),
        on_cell=lambda number, total: None,
    )


def test_a_hundred_megabytes_are_whole(tmp_path):
    line = "x" * 99 + "\n"
    with Launcher() as launcher:
        done = ran(launcher, tmp_path, f"for _ in range(1_000_000): print({line[:-1]!r})", "1")
    assert done.failure is None
    assert "".join(out["text"] for out in done.notebook.cells[0].outputs) == line * 1_000_000


@pytest.mark.parametrize("slow", [False, True], ids=["", "a slow reader"])
def test_so_many_displays_are_all_there(slow, tmp_path, monkeypatch):
    number = DISPLAYS if not slow else DISPLAYS // 20
    if slow:
        take = Assembler.take

        def slowly(self, message, index):
            time.sleep(0.004)  # as a client that writes each message to a disk
            take(self, message, index)

        monkeypatch.setattr(Assembler, "take", slowly)
    code = f"from IPython.display import display\nfor i in range({number}): display(i)"
    with Launcher() as launcher:
        done = ran(launcher, tmp_path, code, "import time; time.sleep(1)")
    assert done.failure is None
    shown = [out["data"]["text/plain"] for out in done.notebook.cells[0].outputs]
    assert shown == [str(at) for at in range(number)]


def test_so_many_kernels_leave_nothing(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    us = psutil.Process()
    with Launcher() as launcher:
        ran(launcher, tmp_path, "1")
        helper = psutil.Process(launcher.pid)
        before = (us.num_fds(), helper.num_fds(), threading.active_count())
        for _ in range(STARTS):
            assert ran(launcher, tmp_path, "1").failure is None
        assert (us.num_fds(), helper.num_fds(), threading.active_count()) == before
        assert helper.children() == []
    assert [*temporary.iterdir()] == []
    assert us.children(recursive=True) == []
