"""The processes that a kernel starts are watched too, as far as they are Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPT = "import os\nprint(open('a.txt').read(), os.environ.get('PYTHONPATH'))\n"


@pytest.fixture
def script(folder):
    (folder / "child.py").write_text(SCRIPT)


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, 'child.py'], check=True)",
        "subprocess.run([sys.executable, 'child.py'], check=True, env={})",
        "subprocess.run(f'{sys.executable} child.py', shell=True, check=True)",
        "subprocess.run([sys.executable, 'child.py'], check=True, close_fds=False)",
        "os.system(f'{sys.executable} child.py')",
        "os.popen(f'{sys.executable} child.py').read()",
        "os.spawnv(os.P_WAIT, sys.executable, [sys.executable, 'child.py'])",
        "os.spawnve(os.P_WAIT, sys.executable, [sys.executable, 'child.py'], {})",
        "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, 'child.py'], {}), 0)",
        "os.environ['PYTHONPATH'] = '/x'; subprocess.run([sys.executable, 'child.py'])",
        "os.environ['PYTHONPATH'] = '/x'; os.system(f'{sys.executable} child.py')",
        "subprocess.run([sys.executable, '-c', 'import os, sys, subprocess as s; "
        's.run([sys.executable, chr(99) + chr(104) + "ild.py"])\'])',
    ],
)
def test_python_children_are_watched_however_started(observe, script, start):
    seen = observe(f"import os, subprocess, sys\n{start}")
    assert seen.err == ""
    assert {"a.txt", "child.py"} <= seen.read
    assert not any(process.forked for process in seen.observed.processes[:1])


def test_children_of_every_python_are_watched(observe, script, python):
    seen = observe(
        "import subprocess, sys; subprocess.run([sys.executable, 'child.py'])", python=python
    )
    assert seen.out == "a\n None\n"
    assert "a.txt" in seen.read
    assert seen.observed.partial == ()
    (child,) = seen.observed.children
    assert child.watched and child.program.startswith("python")


def test_forks_and_pools_are_watched_even_when_killed(observe, python):
    seen = observe(
        """
import multiprocessing, os
def work(name):
    return open(name).read()
pid = os.fork()
if pid == 0:
    open('b.txt'); os._exit(0)
os.waitpid(pid, 0)
with multiprocessing.get_context('fork').Pool(2) as pool:
    pool.map(work, ['data/x.csv', 'data/y.csv'])
""",
        python=python,
    )
    assert {"b.txt", "data/x.csv", "data/y.csv"} <= seen.read
    assert seen.observed.partial == ()


def test_spawned_workers_are_watched(observe, folder):
    (folder / "spawning.py").write_text(
        "import multiprocessing\n"
        "def work(name): return open(name).read()\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        pool.map(work, ['data/x.csv'])\n"
    )
    seen = observe("import subprocess, sys; subprocess.run([sys.executable, 'spawning.py'])")
    assert "data/x.csv" in seen.read


def test_other_programs_are_partial_and_the_files_they_name_count(observe):
    seen = observe(
        """
import os, subprocess
subprocess.run(['cat', 'a.txt'])
os.system('cat < "b.txt" > out.txt; cat data/*.csv')
subprocess.run(['ls', 'data'], stdout=-3)
"""
    )
    assert {"a.txt", "b.txt", "data/x.csv", "data/y.csv"} <= seen.read
    assert "out.txt" in seen.made
    assert [one.names for one in seen.observed.listings] == [("fx.csv", "fy.csv")]
    # Not by their arguments, which may hold secrets.
    assert seen.observed.partial == (
        "the program cat may have read other files",
        "the program sh may have read other files",
        "the program ls may have read other files",
    )


def test_an_argument_that_names_no_file_stays_out_of_what_was_seen(observe):
    url = "https://user:SECRET@host/a?key=SECRET"
    seen = observe(
        f"""
import glob, os, subprocess
subprocess.run(['true', {url!r}, '-H', 'SECRET*', '--key=[SECRET]'])
os.system('true SECRET?')
"""
    )
    assert [child.program for child in seen.observed.children] == ["true", "sh"]
    assert "SECRET" not in str(seen.observed)
    # The shell looked whether a file matches.
    assert [one.path for one in seen.observed.listings] == [str(seen.folder)]


@pytest.mark.parametrize("flag", ["-I", "-S", "-E"])
def test_a_python_that_refuses_is_partial(observe, script, flag):
    seen = observe(
        f"import subprocess, sys; subprocess.run([sys.executable, {flag!r}, 'child.py'])"
    )
    (reason,) = seen.observed.partial
    program = Path(sys.executable).name
    assert reason == f"the program {program} may have read other files"


def test_the_users_own_sitecustomize_runs_in_children(observe, folder):
    (folder / "own").mkdir()
    (folder / "own" / "sitecustomize.py").write_text("print('own')\n")
    seen = observe(
        """
import os, subprocess, sys
os.environ['PYTHONPATH'] = 'own'
code = "import os, sys; print(sys.modules['sitecustomize'].__file__, os.environ['PYTHONPATH'])"
subprocess.run([sys.executable, '-c', code])
"""
    )
    assert seen.out.split()[1:] == [f"{folder}/own/sitecustomize.py", "own"]


def test_os_exit_and_exit_leave_an_account(observe):
    for way in ("os._exit(3)", "sys.exit(3)", "raise SystemExit(3)"):
        seen = observe(f"import os, sys; open('a.txt'); {way}")
        assert (seen.status, seen.read) == (3, {"a.txt"})
