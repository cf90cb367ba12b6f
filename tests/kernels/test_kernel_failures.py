"""Notebooks that do not end well: each failure is told at once, and what was shown is kept."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
import time

import pytest
from nbformat.v4 import new_code_cell

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels import running
from nbbuild.kernels.ways import portable
from nbbuild.model import Failure

SWALLOWS = """
import time
print("began", flush=True)
end = time.monotonic() + {}
while time.monotonic() < end:
    try:
        time.sleep(10)
    except KeyboardInterrupt:
        pass
print("ended")
"""

HELD = "" if portable() else r" It held \d+ MB at most"


def text(cell):
    return "".join(o.get("text", "") for o in cell.outputs)


def test_an_error_names_its_cell_and_ends_the_notebook(run):
    done = run("a = 1", "print('shown')\nx", "print('never')")

    assert done.failure is not None
    assert (done.failure.kind, done.failure.cell) == ("error", 1)
    assert done.failure.message == "NameError: name 'x' is not defined"
    assert "----> 2 x" in done.failure.traceback
    assert "\x1b" not in done.failure.traceback
    assert text(done.notebook.cells[1]) == "shown\n"
    assert done.notebook.cells[2].outputs == []
    assert len(done.cell_seconds) == 2


def test_errors_that_are_allowed_are_no_failure(run):
    tagged = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})

    assert run(tagged, "1").failure is None
    assert run("1 / 0", "1", allow_errors=True).failure is None


def test_a_cell_past_its_limit_is_a_failure_and_keeps_what_it_showed(run, python):
    for kernel in (python, dataclasses.replace(python, interrupt_mode="message")):
        done = run("1", "print('began')\nimport time\ntime.sleep(60)", timeout=0.4, kernel=kernel)

        assert done.failure == Failure(
            kind="timeout",
            message="cell 2 (In [2]) ran longer than its limit of 0.4 s",
            cell=1,
            execution_count=2,
            hint="raise 'timeout' in jcache.toml, under [execution] or [[notebook]]",
        )
        assert [o["output_type"] for o in done.notebook.cells[1].outputs] == ["stream", "error"]
        assert done.notebook.cells[1].outputs[1]["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("ends_after", [0.8, 60])
def test_swallowing_the_interrupt_does_not_help(run, ends_after):
    done = run(SWALLOWS.format(ends_after), timeout=0.4, allow_errors=True)

    assert done.failure is not None
    assert done.failure.message == "cell 1 (In [1]) ran longer than its limit of 0.4 s"
    assert text(done.notebook.cells[0]).startswith("began\n")
    assert done.seconds < 5


def test_the_notebook_has_a_limit_too(run):
    done = run("1", "import time\ntime.sleep(60)", notebook_timeout=2.5, timeout=50)

    assert done.failure == Failure(
        kind="timeout",
        message="the notebook ran longer than its limit of 2.5 s, in cell 2 (In [2])",
        cell=1,
        execution_count=2,
        hint="raise 'notebook_timeout' in jcache.toml, under [execution] or [[notebook]]",
    )


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("import os; os._exit(3)", r"the kernel died in cell 2 \(In \[2\]\): exit status 3"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            r"the kernel died in cell 2 \(In \[2\]\): killed by SIGKILL \(signal 9\), "
            rf"out of memory\?{HELD}",
        ),
        (
            "import ctypes; ctypes.string_at(0)",
            r"the kernel died in cell 2 \(In \[2\]\): killed by SIGSEGV \(signal 11\)",
        ),
    ],
)
def test_a_death_is_told_at_once_with_what_is_known(run, tmp_path, end, message):
    done = run(
        "print('shown')",
        f"import time, pathlib\npathlib.Path('when').write_text(str(time.monotonic()))\n{end}",
        "1",
    )
    told_after = time.monotonic() - float((tmp_path / "when").read_text())

    assert done.failure is not None
    assert (done.failure.kind, done.failure.cell) == ("died", 1)
    assert re.fullmatch(message, done.failure.message)
    assert told_after < 0.5
    assert text(done.notebook.cells[0]) == "shown\n"


def test_cancelling_ends_it_promptly_and_is_no_failure(run, pipe):
    cancelled = threading.Event()
    when = []

    def cancel():
        pipe.read_text()
        when.append(time.monotonic())
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    done = run(
        f"open({str(pipe)!r}, 'w').close()\nimport re\nre.match('(a+)+$', 'a' * 64 + 'b')",
        cancelled=cancelled,
    )
    thread.join()

    assert (done.cancelled, done.failure) == (True, None)
    assert time.monotonic() - when[0] < 0.5


def test_what_is_cancelled_before_it_began_runs_no_cell(run):
    cancelled = threading.Event()
    cancelled.set()

    done = run("1", cancelled=cancelled)

    assert (done.cancelled, done.failure, done.cell_seconds) == (True, None, ())


def test_exit_in_the_last_cell_that_runs_is_no_failure(run):
    skipped = new_code_cell("2", metadata={"tags": ["skip-execution"]})

    done = run("print('shown')\nexit()", " ", skipped)

    assert done.failure is None
    assert text(done.notebook.cells[0]) == "shown\n"
    assert run("quit(keep_kernel=True)", "1").failure is None


def test_exit_before_the_last_cell_is_a_failure(run):
    done = run("print('shown')\nexit()", "print('never')")

    assert done.failure == Failure(
        kind="error",
        message="the notebook called exit() in cell 1 (In [1]), before its last cell",
        cell=0,
        execution_count=1,
        hint="tag the cells that should not run 'skip-execution', or remove them",
    )
    assert done.notebook.cells[1].outputs == []


def test_input_is_refused(run):
    done = run("input('who? ')")

    assert done.failure is not None
    assert done.failure.message == (
        "StdinNotImplementedError: raw_input was called, "
        "but this frontend does not support input requests."
    )


def test_a_reply_without_its_idle_is_never_success(run, monkeypatch):
    monkeypatch.setattr(running, "LOST_AFTER", 0.3)

    done = run("get_ipython().kernel._publish_status_and_flush = lambda *_: None\nprint('shown')")

    assert done.failure is not None
    assert (done.failure.kind, done.failure.cell) == ("lost", 0)
    assert done.failure.message == "outputs may be missing: the kernel sent nothing for 0.3 s"
    assert text(done.notebook.cells[0]) == "shown\n"


def test_an_output_that_makes_no_sense_is_told(run):
    done = run(
        "kernel = get_ipython().kernel\n"
        "_ = kernel.session.send(kernel.iopub_socket, 'display_data', {'data': {}}, "
        "parent=kernel.get_parent())"
    )

    assert done.failure is not None
    assert done.failure.kind == "lost"
    assert done.failure.message == (
        "outputs may be missing: a message of the kernel cannot be read: "
        "display_data in cell 1 (In [1]): KeyError('metadata')"
    )


_FORGED = """
kernel = get_ipython().kernel
message = kernel.session.msg("stream", content={"name": "stdout", "text": "x"})
message["parent_header"] = [1]
_ = kernel.session.send(kernel.iopub_socket, message)
"""
_ODD_REPLY = """
kernel = get_ipython().kernel
async def reply(*args, **more):
    return {**await type(kernel).do_execute(kernel, *args, **more), "payload": ["x"]}
kernel.do_execute = reply
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (_FORGED, "its parent header is no object"),
        (_ODD_REPLY, "the payload or the traceback in it is of another kind"),
    ],
)
def test_a_message_that_the_notebook_forged_is_told(run, code, reason):
    done = run(code, "1 + 1")

    assert done.failure is not None
    assert (done.failure.kind, done.failure.message) == (
        "lost",
        f"outputs may be missing: a message of the kernel cannot be read: {reason}",
    )


def test_a_kernel_that_does_not_leave_is_told(run, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.kernel.SHUTDOWN_PATIENCE", 0.5)

    done = run("import atexit, time\n_ = atexit.register(time.sleep, 60)")

    assert done.failure is None
    assert done.notes == (
        "the kernel did not exit within 10 s and was killed: exit hooks, and files that the "
        "notebook did not close, may be incomplete",
    )


def test_children_that_nobody_waited_for_do_not_keep_a_notebook(run):
    done = run("import subprocess\nchild = subprocess.Popen(['sleep', '600'])")

    assert (done.failure, done.notes) == (None, ())


def test_exit_hooks_run_and_files_are_completed(run, tmp_path):
    done = run(
        "import atexit, pathlib\nfile = open('rows.csv', 'w')\n_ = file.write('1,2')\n"
        "_ = atexit.register(pathlib.Path('hook').touch)"
    )

    assert (done.failure, done.notes) == (None, ())
    assert (tmp_path / "rows.csv").read_text() == "1,2"
    assert (tmp_path / "hook").exists()


# -- kernels that do not start -----------------------------------------------------------------


def kernel(*argv: str) -> Kernel:
    return Kernel(name="odd", argv=argv, language="python")


def test_a_command_that_does_not_exist_is_told(run):
    done = run("1", kernel=kernel("no-such-program", "{connection_file}"))

    assert done.failure == Failure(
        kind="start",
        message="the kernel 'odd' does not start: No such file or directory: 'no-such-program'",
        hint="try its command by hand: no-such-program {connection_file}",
    )


def test_a_kernel_that_dies_at_start_is_tried_twice_and_heard(run, tmp_path):
    source = "import sys; open('tries', 'a').write('x'); sys.exit('\\x1b[31mno licence\\x1b[0m')"

    done = run("1", kernel=kernel(sys.executable, "-c", source))

    assert done.failure is not None
    assert (done.failure.kind, done.failure.traceback) == ("start", "no licence")
    assert done.failure.message == "the kernel 'odd' does not start: it ended with exit status 1"
    assert (tmp_path / "tries").read_text() == "xx"


def test_a_start_that_fails_once_does_no_harm(run, python):
    script = 'test -e tried && exec "$@"; touch tried; exit 1'

    done = run(
        "1 + 1", kernel=dataclasses.replace(python, argv=("sh", "-c", script, "", *python.argv))
    )

    assert done.failure is None
    assert done.notebook.cells[0].outputs[0]["data"] == {"text/plain": "2"}


def test_a_kernel_that_never_answers_is_given_up(run, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.kernel.START_TIMEOUT", 0.3)

    done = run("1", kernel=kernel("sleep", "60"))

    assert done.failure is not None
    assert done.failure.message == "the kernel 'odd' does not start: it did not answer within 0.3 s"
