"""Many processes build one project, or clones that share a store; some of them are killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from played_kernels import command, internal, six
from sizes import tried

import nbbuild.cli

SMALL, FULL = (4, 3), (16, 50)  # processes, rounds


def several():
    """Parametrize a test by how many processes build, and how often."""
    rounds = int(os.environ.get("NBBUILD_STRESS_SIZE", FULL[1]))
    return pytest.mark.parametrize(
        ("processes", "rounds"),
        [
            pytest.param(*SMALL, id="small"),
            pytest.param(FULL[0], rounds, id="full", marks=pytest.mark.stress),
        ],
    )


def started(root, *words, said):
    """Run nbbuild at `root` in a process of its own; return its id. What it says goes to `said`."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            done = command(root, *words)
            said.write_text(f"{done.err}{done.out}")
            status = 71 if internal(done) else done.status
        finally:
            os._exit(status)
    return child


def ran(log, begin):
    """Return which process ran what since the log had `begin` bytes."""
    with open(log) as file:
        file.seek(begin)
        return [(int(pid), task) for pid, task in (line.split() for line in file)]


@pytest.mark.parametrize("clones", [False, True], ids=["one-project", "clones"])
@several()
def test_many_builds_at_once_run_each_key_once(
    played, clean, clean_after, chance, monkeypatch, clones, processes, rounds
):
    store = played / "store"
    monkeypatch.setenv("NBBUILD_CACHE", str(store))
    roots = [played / f"project-{number}" for number in range(processes if clones else 1)]
    for root in roots:
        six(root)
    log = Path(os.environ["RUN_LOG"])

    def trial(number):
        way = ("cold", "warm", "mixed")[number % 3]
        wanted, data = (clean, "data\n") if number % 2 else (clean_after, "other data\n")
        if way == "cold":
            shutil.rmtree(store, ignore_errors=True)
        for root in roots:
            if way == "cold":
                shutil.rmtree(root)
                six(root, data=data)
            if (root / "data.txt").read_text() != data:
                (root / "data.txt").write_text(data)
            if way == "mixed" and chance.random() < 0.5:
                shutil.rmtree(root / "_build", ignore_errors=True)
        begin = log.stat().st_size
        builds = {
            started(roots[at % len(roots)], "-j2", said=played / f"said-{at}"): at
            for at in range(processes)
        }
        collector = started(roots[0], "cache", "gc", said=played / "said-gc")
        victims = [child for child in builds if chance.random() < 0.1]
        if victims:
            time.sleep(chance.uniform(0, 0.4))
        for child in victims:
            os.kill(child, signal.SIGKILL)
        for child, at in [*builds.items(), (collector, "gc")]:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status and child not in victims:
                yield f"{way}: a process ended with {status}: {(played / f'said-{at}').read_text()}"
        counts = Counter(task for child, task in ran(log, begin) if child not in victims)
        for task, count in counts.items():
            if count > 1:
                yield f"{way}: {task} ran {count} times"
        for root in roots:
            rest = command(root, "-j1")
            if rest.status or (rest.ran and not victims):
                yield f"{way}: the build after all ran {rest.ran}: {rest.err}"
            # Nobody puts back what a run left undeclared.
            faults = wanted.faults(root, store=store, also=(clean, clean_after), but=("left.txt",))
            yield from faults

    assert tried(range(rounds), trial, chance) == ""


@pytest.mark.stress
def test_the_lock_of_a_process_that_was_killed_is_waited_for_no_longer(played, monkeypatch):
    root = played / "project"
    six(root)
    (root / "e.ipynb").write_text((root / "e.ipynb").read_text().replace("show e", "wait"))
    gate = played / "gate"
    gate.touch()
    monkeypatch.setenv("RUN_GATE", str(gate))
    log = Path(os.environ["RUN_LOG"])
    begin = log.stat().st_size if log.exists() else 0
    first = started(root, "e.ipynb", said=played / "first")
    while not log.exists() or not ran(log, begin):
        time.sleep(0.01)
    second = started(root, "e.ipynb", said=played / "second")
    time.sleep(1)
    assert [pid for pid, _ in ran(log, begin)] == [first]
    os.kill(first, signal.SIGKILL)
    killed = time.monotonic()
    os.waitpid(first, 0)
    while len(ran(log, begin)) < 2:
        time.sleep(0.01)
        assert time.monotonic() - killed < 5
    gate.unlink()
    assert os.waitpid(second, 0)[1] == 0
    assert f"note: e.ipynb: waits for process {first}" in (played / "second").read_text()


HOLD = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.stress
def test_a_locked_state_file_is_said_within_two_seconds(played, clean):
    root = played / "project"
    shutil.copytree(clean.root, root)
    (root / "data.txt").write_text("other data\n")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, root / ".nbbuild/state.sqlite"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(write, "w", buffering=1) as pipe, redirect_stderr(pipe):
                nbbuild.cli.group.main(["-C", str(root), "-j1"], prog_name="nbbuild")
        finally:
            os._exit(0)
    os.close(write)
    began = time.monotonic()
    with os.fdopen(read) as pipe:
        said = next(line for line in pipe if "locked" in line)
        assert time.monotonic() - began < 2
        holder.communicate(b"enough\n")
        rest = pipe.read()
    os.waitpid(child, 0)
    place = root / ".nbbuild/state.sqlite"
    assert said == f"note: waits for '{place}', which another process has locked\n"
    assert "4 executed, 2 fresh in " in rest
