"""Notebooks executed as the jobs of a batch system, which outlive the build."""

import os
import signal

import pytest
from dask_cluster import gone
from elsewhere_notebooks import CHAIN, PID
from mock_slurm import CONFIG, Slurm

pytestmark = pytest.mark.slow

IS_GONE = """
import pathlib
status = pathlib.Path("/proc/{}/status")
assert not status.exists() or "State:\tZ" in status.read_text()
"""

NO_ORPHANS = pytest.mark.own_way("kernels end at once with what started them")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    slurm = Slurm(tmp_path / "slurm", monkeypatch)
    yield slurm
    slurm.end()


def test_a_batch_system_builds_and_a_new_build_finds_the_jobs_of_a_killed_one(project, slurm, gate):
    project.config(f'[execution]\nexecutor = "command"\n{CHAIN}{CONFIG}')
    project.notebook("make.ipynb", f"{gate.code}\nwith open('made.txt', 'w') as f: f.write('made')")
    project.notebook("use.ipynb", "print(open('made.txt').read())")
    killed = project.process()
    gate.wait()
    killed.kill()
    killed.communicate()

    assert len(slurm.submitted) == 1
    second = project.process()
    while "make.ipynb" not in (second.stderr.readline()):
        pass
    gate.close()
    second.communicate()

    assert second.returncode == 0
    assert sorted(project.ran()) == ["make", "use"]
    assert len(slurm.submitted) == 2
    assert project.shown("use.ipynb") == "made\n"
    assert os.listdir(project.root / ".nbbuild/jobs") == []
    assert project.build("--executor", "local") == []


@NO_ORPHANS
def test_a_lost_job_is_a_failure_and_an_interrupt_ends_jobs(project, slurm, gate):
    project.config(f'[execution]\nexecutor = "command"\n{CONFIG}')
    project.notebook("a.ipynb", PID + gate.code)
    build = project.process()
    gate.wait()
    (job,) = slurm.jobs()
    slurm.kill(job)
    _, said = build.communicate()
    assert build.returncode == 1
    assert f"the worker that executed it was lost: the batch system has no job {job}" in said

    build = project.process()
    gate.wait()
    kernel = int(project.read("pid"))
    build.send_signal(signal.SIGINT)
    build.communicate()
    gone(kernel)
    assert os.listdir(project.root / ".nbbuild/jobs") == []
    assert len(slurm.submitted) == 2


def test_an_artefact_that_was_changed_after_its_job_ended_is_no_result(project, slurm, gate):
    project.config(
        '[execution]\nexecutor = "command"\n'
        f'[[notebook]]\npath = "a.ipynb"\nartefacts = ["made.txt"]\n{CONFIG}'
    )
    project.notebook("a.ipynb", gate.code, "with open('made.txt', 'w') as f: _ = f.write('run')")
    killed = project.process()
    gate.wait()
    killed.kill()
    killed.communicate()
    gate.close()
    while not (answers := [*project.root.glob(".nbbuild/jobs/*/answer")]):
        pass
    made = project.write("made.txt", "by hand")
    later = answers[0].stat().st_mtime_ns + 1
    os.utime(made, ns=(later, later))

    done = project.nbbuild()
    assert "a.ipynb: runs again: 'made.txt' has changed since its job ended\n" in done.err
    assert project.read("made.txt") == "run"
    made.unlink()
    assert project.build() == []
    assert project.read("made.txt") == "run"


def test_an_answer_that_cannot_be_read_is_asked_for_again(project, slurm, gate):
    project.config(f'[execution]\nexecutor = "command"\n{CONFIG}')
    project.notebook("a.ipynb", gate.code)
    killed = project.process()
    gate.wait()
    killed.kill()
    killed.communicate()
    gate.close()
    jobs = project.root / ".nbbuild/jobs"
    while not (answers := [*jobs.glob("*/answer")]):
        pass
    answers[0].write_bytes(b"of another shape")

    done = project.nbbuild()
    assert (done.status, len(slurm.submitted)) == (1, 1)
    assert "the answer of the worker that executed 'a.ipynb' cannot be read" in done.err
    assert os.listdir(jobs) == []
    project.build()  # as the hint says
    assert len(slurm.submitted) == 2


@NO_ORPHANS
@pytest.mark.parametrize("executor", ["command", "local"])
def test_the_job_of_a_killed_build_ends_before_its_task_runs_anew(project, slurm, gate, executor):
    """It would write into the tree, beside the new run or after it."""
    project.config(
        '[execution]\nexecutor = "command"\n'
        f'[[notebook]]\npath = "a.ipynb"\nartefacts = ["made.txt"]\n{CONFIG}'
    )
    made = "with open('made.txt', 'w') as f: _ = f.write('{}')"
    project.notebook("a.ipynb", f"{PID}{gate.code}\n{made.format('old')}")
    killed = project.process()
    gate.wait()
    kernel = int(project.read("pid"))
    killed.kill()
    killed.communicate()

    project.notebook("a.ipynb", IS_GONE.format(kernel), made.format("new"))
    assert project.build("--executor", executor) == ["a"]
    gate.close()
    assert project.read("made.txt") == "new"
    assert os.listdir(project.root / ".nbbuild/jobs") == []
