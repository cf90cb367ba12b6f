"""A thousand jobs of a batch system, whose builds are killed again and again.

Everything is real but the batch system (batch_system.py) and the kernel (quick_kernel.py): the
command line, the commands that submit, `nbbuild worker`, the launcher.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from batch_system import CONFIG, BatchSystem
from notebook_sources import code, ipynb
from played_kernels import results
from sizes import sizes

KILLS = 20
"""Of so many jobs, a build is killed once."""

QUICK = [sys.executable, str(Path(__file__).with_name("quick_kernel.py")), "{connection_file}"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of a project whose kernel is there at once; RUN_LOG says what ran."""
    share = tmp_path / "jupyter" / "kernels" / "quick"
    share.mkdir(parents=True)
    spec = {"argv": QUICK, "display_name": "quick", "language": "quick"}
    (share / "kernel.json").write_text(json.dumps(spec))
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUN_LOG", str(tmp_path / "ran"))
    monkeypatch.delenv("NBBUILD_CACHE", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    (root / "jcache.toml").write_text(f'[project]\nnotebooks = ["*.ipynb"]\n{CONFIG}')
    return root


def write(root, name):
    """Write a notebook of one cell."""
    (root / f"{name}.ipynb").write_text(ipynb([code(name)], kernel="quick"))


def ran(root):
    """What ran, in order."""
    log = root.with_name("ran")
    return log.read_text().splitlines() if log.exists() else []


def start(root):
    """Start a build."""
    with (root.parent / "said").open("ab") as said:
        command = [sys.executable, "-m", "nbbuild"]
        return subprocess.Popen(command, cwd=root, stdout=said, stderr=said)


def killed_after(root, count, seconds):
    """Kill a build some time after so many notebooks have run; whether there was one to kill."""
    build = start(root)
    while len(ran(root)) < count and build.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    alive = build.poll() is None
    build.send_signal(signal.SIGKILL)
    build.wait()
    return alive


@sizes(small=3, full=1_000)
def test_no_job_is_lost_or_submitted_twice_whenever_its_build_is_killed(
    project, tmp_path, monkeypatch, chance, size
):
    names = [f"n{number:04}" for number in range(size)]
    for name in names:
        write(project, name)
    moments = sorted(chance.randrange(size) for _ in range(max(1, size // KILLS)))
    with BatchSystem(tmp_path / "slurm", places=3) as slurm:
        monkeypatch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
        kills = sum(killed_after(project, one, chance.uniform(0, 1)) for one in moments)
        slurm.holds_back = False
        status = start(project).wait()

        assert status == 0, tmp_path.joinpath("said").read_text()
        assert kills == len(moments)
        assert Counter(ran(project)) == Counter(names)
        assert len(slurm.submitted) == len({*slurm.submitted}) == size
        found = results(project / ".nbbuild/store")
        assert {task: [row[1] for row in rows] for task, rows in found.items()} == {
            f"{name}.ipynb": [True] for name in names
        }
        # What the killed ones left goes with the next build that executes something.
        write(project, "last")
        assert start(project).wait() == 0
        assert ran(project)[size:] == ["last"]
        assert slurm.jobs == []
        assert os.listdir(project / ".nbbuild/jobs") == []
