"""`nbbuild --no-execute` puts results back from the cache, or fails by name; no kernel starts."""

from __future__ import annotations

import pytest

import nbbuild
from nbbuild.kernels.launch.process import Launcher

TABLE = """
[[notebook]]
path = "a.ipynb"
artefacts = ["a.txt"]

[[notebook]]
path = "b.ipynb"
assets = ["a.txt"]
"""
HINT = "    hint: run it where notebooks are executed, and bring the cache here\n"


@pytest.fixture
def three(project):
    """A notebook, one that reads what it writes, and one by itself."""
    project.config(TABLE)
    project.notebook("a.ipynb", "_ = open('a.txt', 'w').write('x')")
    project.notebook("b.ipynb", "print(open('a.txt').read())")
    project.notebook("c.ipynb", "1 / 1")
    return project


@pytest.fixture
def no_kernels(monkeypatch):
    """Make it fail to start what kernels come from; return how to allow it again."""

    def refused(self):
        raise AssertionError("a kernel was wanted")

    with monkeypatch.context() as patched:
        patched.setattr(Launcher, "_start_helper", refused)
        yield patched


def test_what_the_cache_lacks_fails_by_name_and_nothing_starts(three, no_kernels):
    done = three.nbbuild("--no-execute", "--log-format", "plain")
    assert (done.status, done.ran) == (1, [])
    assert done.err == (
        "failed a.ipynb: it would have to run: it has not been run yet\n"
        f"{HINT}"
        "blocked b.ipynb: needs 'a.ipynb', which would have to run\n"
        "failed c.ipynb: it would have to run: it has not been run yet\n"
        f"{HINT}"
        "failed:\n"
        "    a.ipynb: it would have to run: it has not been run yet\n"
        "    c.ipynb: it would have to run: it has not been run yet\n"
        "2 failed, 1 blocked in 0.0 s\n"
    ).replace("0.0 s", done.err.rpartition(" in ")[2].strip())

    # That is no outcome of a run: nothing failed, and everything still runs for the first time.
    no_kernels.undo()
    assert three.reasons("a.ipynb") == ["it has not been run yet"]
    assert three.nbbuild("--last-failed").ran == []
    assert three.build() == ["a", "b", "c"]


def test_what_the_cache_holds_is_put_back(three, no_kernels):
    no_kernels.undo()
    assert three.build() == ["a", "b", "c"]
    for path in ("a.txt", "_build/executed/b.ipynb", "_build/executed/c.ipynb"):
        (three.root / path).unlink()
    no_kernels.setattr(Launcher, "_start_helper", None)

    report = nbbuild.build(three.root, execute=False)

    assert [one.kind.value for one in report.outcomes] == ["restored", "refreshed", "refreshed"]
    assert (report.exit_status, three.read("a.txt")) == (0, "x")
    done = three.nbbuild("--no-execute")
    assert (done.status, done.err) == (0, "nothing to do: 3 notebooks are up to date\n")


def test_a_result_with_lost_bytes_fails_and_the_others_come_back(three, no_kernels):
    no_kernels.undo()
    assert three.build() == ["a", "b", "c"]
    (record,) = nbbuild.Store(three.root / ".nbbuild/store").records("c.ipynb")
    cells = record.cells
    (blob,) = (three.root / ".nbbuild/store").rglob(cells)
    blob.write_bytes(b"damaged")
    for path in ("_build/executed/b.ipynb", "_build/executed/c.ipynb"):
        (three.root / path).unlink()
    no_kernels.setattr(Launcher, "_start_helper", None)

    done = three.nbbuild("--no-execute", "--log-format", "plain")

    why = "its result is no longer complete in the cache"
    assert done.status == 1
    assert f"failed c.ipynb: it would have to run: {why}\n" in done.err
    assert three.shown("b.ipynb") == "x\n"


def test_a_dry_run_says_it_too_and_contrary_options_are_refused(three):
    verdicts = three.nbbuild("-n", "--json", "--no-execute").data
    assert {one["task"]: one["verdict"] for one in verdicts} == dict.fromkeys(
        ("a.ipynb", "b.ipynb", "c.ipynb"), "blocked"
    )
    done = three.nbbuild("-B", "--no-execute")
    assert (done.status, done.err.splitlines()[0]) == (
        2,
        "error: -B and --no-execute contradict each other: one runs everything, the other nothing",
    )
