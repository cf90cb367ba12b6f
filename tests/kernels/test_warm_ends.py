"""Warm kernels begin and end as others do, whatever becomes of the zygote they come from."""

from __future__ import annotations

import json
import os
import pydoc
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_kernel_launcher import STARTS_CHILDREN, alive

from nbbuild.errors import KernelError
from nbbuild.interpreter.imports import Import
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.execute import Execution, execute
from nbbuild.kernels.launch.launcher import process_table
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.watching.injection import zygote_code

pytestmark = pytest.mark.own_way("kernels are forked")

HOW = "'zygote.py' in open('/proc/self/cmdline').read()"

BUILD = """
import os, sys, threading
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook
from nbbuild.kernels.execute import execute
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.watching.injection import zygote_code
from nbbuild.kernels.launch.process import Launcher
from nbbuild.interpreter.kernelspec import KernelSpecs

kernel = KernelSpecs().find("python3")
with Launcher() as launcher:
    done = execute(
        new_notebook(cells=[new_code_cell(sys.argv[1])]),
        kernel,
        launcher=launcher,
        cwd=Path.cwd(),
        env=os.environ,
        allow_errors=False,
        limits=TimeLimits(),
        cancelled=threading.Event(),
        warm=Warm.of(kernel, os.environ, installed=""),
    )
print(done.shortfall)
"""


def zygotes(launcher: int, *, but: int = 0) -> list[int]:
    """Return the zygotes of a launcher; a kernel that runs, `but`, looks the same in a listing."""
    return [
        process.pid
        for process in process_table().values()
        if process.parent == launcher
        and process.pid != but
        and b"zygote.py" in _command(process.pid)
    ]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended since it was listed
        return b""


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with Launcher() as one:
        yield one


@pytest.fixture
def warm(python: Kernel, environ: dict[str, str]) -> Warm:
    chosen = Warm.of(python, environ, installed="")
    assert chosen is not None
    return chosen


@pytest.fixture
def run(
    launcher: Launcher, python: Kernel, environ: dict[str, str], warm: Warm, tmp_path, notebook
) -> Callable[..., Execution]:
    def run_cells(
        *cells: str,
        kernel: Kernel = python,
        warm: Warm | None = warm,
        cancelled: threading.Event | None = None,
        **limits: float,
    ) -> Execution:
        return execute(
            notebook(*cells),
            kernel,
            launcher=launcher,
            cwd=tmp_path,
            env=environ,
            allow_errors=False,
            limits=TimeLimits(**limits),
            cancelled=cancelled or threading.Event(),
            warm=warm,
        )

    return run_cells


@pytest.fixture
def zygote(run, launcher: Launcher) -> Iterator[int]:
    """The process id of the zygote, after one notebook."""
    assert shown(run(HOW)) == "True"
    (pid,) = zygotes(launcher.pid)
    yield pid


def shown(done: Execution, cell: int = 0) -> str:
    assert done.failure is None, done.failure
    return str(done.notebook.cells[cell].outputs[0]["data"]["text/plain"])


def test_a_warm_kernel_is_the_launchers_own_child_with_a_marker_of_its_own(run, launcher, zygote):
    facts = "import os; os.getppid(), os.getpgid(0) == os.getsid(0) == os.getpid()"
    marker = (
        "environ = open('/proc/self/environ').read().split('\\0'); "
        "'NBBUILD_KERNEL=' + os.environ['NBBUILD_KERNEL'] in environ"
    )

    done = run(facts, marker)

    assert shown(done) == f"({launcher.pid}, True)"
    assert shown(done, 1) == "True"
    assert done.shortfall == ""
    assert zygotes(launcher.pid) == [zygote]


def test_children_are_dead_when_a_warm_notebook_is_done(run, tmp_path, zygote, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.kernel.SHUTDOWN_PATIENCE", 0.3)

    done = run(STARTS_CHILDREN + "open('story', 'w').write(story)")

    assert done.failure is None
    mark, (kernel, _, *children) = json.loads((tmp_path / "story").read_text())
    assert alive(mark) == []
    assert not {kernel, *children} & set(process_table())
    assert zygote in process_table()


@pytest.mark.parametrize("victim", ["nbbuild", "launcher"])
def test_a_sigkill_leaves_no_process_of_a_warm_kernel_that_holds_the_gil(
    victim, environ, tmp_path, pipe, watching
):
    cell = STARTS_CHILDREN + (
        f"with open({str(pipe)!r}, 'w') as file:\n    _ = file.write(story)\n"
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')"
    )
    folder = tmp_path / "tmp"
    folder.mkdir()
    build = subprocess.Popen(
        [sys.executable, "-c", BUILD, cell], cwd=tmp_path, env={**environ, "TMPDIR": str(folder)}
    )
    mark, pids = json.loads(pipe.read_text())
    (zygote,) = zygotes(pids[1], but=pids[0])
    with watching(*pids, zygote) as watched:
        os.kill(pids[1] if victim == "launcher" else build.pid, signal.SIGKILL)
        build.wait(10)

        # What has neither mark nor kin left can be found by the launcher only.
        escaped = watched[-2]
        found = [one for one in watched if victim == "nbbuild" or one is not escaped]
        assert [gone.within(2) for gone in found] == [True] * len(found)
    assert alive(mark) == []
    assert list(folder.iterdir()) == []
    if victim == "launcher":
        os.kill(pids[-1], signal.SIGKILL)


def test_a_kernel_outlives_its_zygote_and_the_next_one_has_another(run, launcher, zygote):
    done = run(f"import os\nos.kill({zygote}, 9)\n{HOW}", "6 * 7")

    assert (shown(done), shown(done, 1)) == ("True", "42")
    after = run(HOW)
    assert after.failure is None
    assert zygote not in process_table()
    assert shown(run(HOW)) == "True"
    (second,) = zygotes(launcher.pid)
    os.kill(second, signal.SIGKILL)
    told = [run(HOW) for _ in range(3)]
    assert shown(told[-1]) == "False"
    assert told[-1].shortfall == (
        "its kernel was started in the ordinary way: the process that forks kernels was lost"
    )


def test_a_zygote_that_hangs_is_given_up(run, launcher, zygote, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.launch.process.WARM_PATIENCE", 0.2)
    os.kill(zygote, signal.SIGSTOP)

    done = run(HOW)

    assert shown(done) == "False"
    assert done.shortfall == (
        "its kernel was started in the ordinary way: the process that forks kernels has ended"
    )
    assert zygote not in process_table()


def test_the_death_of_a_warm_kernel_is_told_with_its_signal_and_memory(run, zygote):
    done = run("held = bytearray(80_000_000)", "import os\nos.kill(os.getpid(), 9)")
    small = run("import os\nos.kill(os.getpid(), 9)")

    assert done.failure.kind == small.failure.kind == "died"
    start = (
        "the kernel died in cell 2 (In [2]): killed by SIGKILL (signal 9), out of memory? It held "
    )
    assert done.failure.message.startswith(start)
    assert int(done.failure.message.removeprefix(start).split()[0]) > 100
    assert int(small.failure.message.split(" It held ")[1].split()[0]) < 80
    assert run("import os\nos._exit(3)").failure.message == (
        "the kernel died in cell 1 (In [1]): exit status 3"
    )


def test_deadlines_and_cancelling_reach_warm_kernels(run, zygote, tmp_path, pipe):
    late = run("print('begun', flush=True)\nwhile True: pass", timeout=0.5)
    assert late.failure.message == "cell 1 (In [1]) ran longer than its limit of 0.5 s"
    assert late.notebook.cells[0].outputs[0]["text"] == "begun\n"
    assert late.notebook.cells[0].outputs[1]["ename"] == "KeyboardInterrupt"

    cancelled = threading.Event()
    waiter = threading.Thread(target=lambda: (pipe.read_text(), cancelled.set()))
    waiter.start()
    stopped = run(
        f"open({str(pipe)!r}, 'w').close()\nimport re\nre.match('(a+)+$', 'a' * 64 + 'b')",
        cancelled=cancelled,
    )
    waiter.join()
    assert (stopped.cancelled, stopped.failure) == (True, None)


def test_what_cannot_be_run_is_the_same_error(launcher, environ, tmp_path, warm, python):
    def reason(warm: Warm | None) -> str:
        with (tmp_path / "log").open("wb") as log, pytest.raises(KernelError) as caught:
            launcher.start(
                python.argv,
                env=environ,
                cwd=tmp_path / "missing",
                output=log.fileno(),
                warm=warm,
            )
        return str(caught.value)

    assert reason(warm) == reason(None) == f"No such file or directory: '{tmp_path}/missing'"


def test_where_there_can_be_no_zygote_kernels_start_as_ever(run, python, environ, tmp_path):
    def told(argv: tuple[str, ...], **more: str) -> tuple[str, str]:
        kernel = Kernel(name="other", argv=argv, language="python")
        warm = Warm.of(kernel, {**environ, **more}, installed="")
        done = run(HOW, kernel=kernel, warm=warm)
        return shown(done), done.shortfall

    cold = "its kernel was started in the ordinary way: "
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\n{sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    assert told((str(wrapper), *python.argv[1:])) == (
        "False",
        f"{cold}the kernel's command starts Python in a process of its own",
    )
    broken = tmp_path / "broken"
    broken.write_text(
        f'#!/bin/sh\ncase "$1" in *zygote.py) echo no; exit 1; esac\nexec {sys.executable} "$@"\n'
    )
    broken.chmod(0o755)
    assert told((str(broken), *python.argv[1:])) == (
        "False",
        f"{cold}the process that forks kernels ended before it was ready: no",
    )
    # A program that stays above the interpreter, and a path that is another one in each folder.
    above = Kernel(name="other", argv=("conda", "run", *python.argv))
    assert Warm.of(above, environ, installed="") is None
    assert Warm.of(python, {**environ, "PYTHONPATH": "lib"}, installed="") is None


def test_a_file_that_an_ordinary_kernel_would_import_is_not_overlooked(
    run, environ, tmp_path, warm
):
    library = tmp_path / "library"
    library.mkdir()
    environ["PYTHONPATH"] = str(library)
    assert shown(run(HOW)) == "True"
    (library / "imaplib.py").write_text("")
    assert shown(run(HOW)) == "True"  # no kernel has that loaded

    shutil.copy(pydoc.__file__, library)  # which every kernel has loaded
    done = run(HOW, "__import__('pydoc').__file__")

    assert (shown(done), shown(done, 1)) == ("False", f"'{library}/pydoc.py'")
    assert done.shortfall == (
        f"its kernel was started in the ordinary way: '{library}/pydoc.py' would be imported first"
    )


def test_a_path_above_the_virtual_environment_brings_nothing_strange(run, environ):
    environ["PYTHONPATH"] = sys.prefix
    assert shown(run(HOW)) == "True"


def test_a_module_of_the_path_that_every_kernel_imports_is_never_loaded_beforehand(
    run, environ, tmp_path
):
    library = tmp_path / "library"
    library.mkdir()
    shutil.copy(pydoc.__file__, library)
    environ["PYTHONPATH"] = str(library)
    done = run(HOW, "__import__('pydoc').__file__")
    assert (shown(done), shown(done, 1)) == ("False", f"'{library}/pydoc.py'")
    assert done.shortfall.startswith("its kernel was started in the ordinary way: ")
    assert f"'{library}/pydoc.py'" in done.shortfall or "'pydoc' is imported" in done.shortfall


def test_what_draws_random_numbers_is_not_loaded_beforehand(run, python, environ, tmp_path):
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "draws.py").write_text("import random\nGENERATOR = random.Random()\n")
    environ["PYTHONPATH"] = str(library)
    bare = Warm.of(python, environ, installed="")
    assert bare is not None
    warm = replace(bare, modules=(Import(0, "draws"),), watch=zygote_code())

    done = run(HOW, "import draws", warm=warm)

    assert shown(done) == "True"
    assert done.shortfall == (
        "'draws' is not loaded beforehand: it keeps a generator of random numbers"
    )
