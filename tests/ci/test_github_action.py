"""What action.yml does on GitHub: its own steps are played, with a folder for what GitHub keeps."""

from __future__ import annotations

import json
import shutil
from itertools import count
from pathlib import Path

import pytest
from junitparser import JUnitXml
from played_actions import Cloud, Runner

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDER = "book"


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path / "cloud")


@pytest.fixture
def github(cloud, checkout, environ, tmp_path):
    """Run the action on a fresh checkout, on a fresh machine."""
    numbers = count(1)

    def run(*, before=lambda root: None, folder=FOLDER, **inputs):
        number = next(numbers)
        root = checkout(f"run{number}")
        before(root)
        runner = Runner(cloud, ROOT, root, tmp_path / f"runner{number}", environ, number)
        return runner.play(working_directory=folder, **inputs)

    return run


ALL_STEPS = [
    "prepare",
    "actions/cache/restore@v4",
    "build",
    "finish",
    "actions/cache/save@v4",
    "actions/upload-artifact@v4",
]
UNSAVED = [step for step in ALL_STEPS if "save" not in step]


def test_a_failure_is_shown_and_what_ran_well_is_kept(book, github, cloud):
    right = book.read("book/second.ipynb")
    book.notebook("book/second.ipynb", "1 / 0")
    cold = github(upload="_build/executed\nabsent\n")
    assert (cold.status, sorted(book.ran())) == (1, ["book/alone", "book/first", "book/second"])
    assert cold.steps == ALL_STEPS
    assert [line for line in cold.log.splitlines() if line.startswith("::error")] == [
        "::error file=book/second.ipynb,line=23,title=second.ipynb%2C cell 2 (In [2])"
        "::ZeroDivisionError: division by zero"
    ]
    assert "2 executed, 1 failed" in cold.summary
    assert list(cloud.caches) == ["nbbuild-Linux-1-1"]
    report = cloud.artifacts.pop("nbbuild-report")
    assert sorted(path.name for path in report.iterdir()) == [
        "executed", "report.html", "report.json", "report.xml",
    ]  # fmt: skip
    assert JUnitXml.fromfile(str(report / "report.xml")).failures == 1
    assert (report / "executed/first.ipynb").exists()

    # It is mended: nothing else runs.
    book.write("book/second.ipynb", right)
    mended = github()
    assert (mended.status, book.ran()) == (0, ["book/second"])
    assert list(cloud.caches) == ["nbbuild-Linux-1-1", "nbbuild-Linux-2-1"]
    cloud.artifacts.clear()

    # Nothing changed: nothing is executed, and the same cache is not saved again.
    before = cloud.uploads
    warm = github()
    assert (warm.status, book.ran(), warm.steps) == (0, [], UNSAVED)
    assert cloud.uploads == before + 1
    assert warm.summary.startswith("## nbbuild: book, all well\n\n2 refreshed, 1 restored in ")
    assert Path(warm.outputs["report"]).name == "report"


def test_a_damaged_cache_is_named_replaced_and_does_not_stop_the_build(book, github, cloud):
    broken = cloud.folder / "broken"
    broken.parent.mkdir()
    broken.write_bytes(b"no archive")
    cloud.caches["nbbuild-Linux-0-1"] = broken
    done = github(report="", targets="alone.ipynb", args="-j 1 --durations 0")
    assert (done.status, book.ran()) == (0, ["book/alone"])
    assert (
        "::warning title=nbbuild::the restored cache was not used; the log says why\n" in done.log
    )
    assert "is damaged, or no exported cache" in done.log
    assert done.steps == ALL_STEPS[:-1]
    assert list(cloud.caches) == ["nbbuild-Linux-0-1", "nbbuild-Linux-1-1"]

    # The cache keeps to its size; with none, the next run begins from nothing.
    small = github(report="", targets="alone.ipynb", max_size="10", command="python -m nbbuild")
    assert (small.status, book.ran()) == (0, [])
    again = github(report="", targets="alone.ipynb")
    assert (again.status, book.ran()) == (0, ["book/alone"])


STOPPED = """#!/bin/sh
[ "$2" != import ] || kill -TERM $PPID
exec nbbuild "$@"
"""


def test_a_job_that_is_stopped_early_does_not_replace_the_cache(github, cloud, tmp_path):
    cloud.caches["nbbuild-Linux-0-1"] = tmp_path / "kept.tar.gz"
    (tmp_path / "kept.tar.gz").write_bytes(b"whatever it holds")
    stopping = tmp_path / "stopping"
    stopping.write_text(STOPPED)
    stopping.chmod(0o755)
    done = github(command=str(stopping), report="")
    assert (done.status, done.steps) == (-15, ["prepare", ALL_STEPS[1], "build", "finish"])
    assert list(cloud.caches) == ["nbbuild-Linux-0-1"]


def test_shards_begin_alike_and_their_results_are_merged(book, github, cloud):
    ran = []
    for number in (1, 2):
        shard = github(shard=f"{number}/2")
        assert (shard.status, shard.steps) == (0, UNSAVED)
        ran += book.ran()
    assert sorted(ran) == ["book/alone", "book/first", "book/second"]
    assert cloud.caches == {}
    assert list(cloud.artifacts) == ["nbbuild-report-1-of-2", "nbbuild-report-2-of-2"]

    def download(root):
        for name, place in cloud.artifacts.items():
            shutil.copytree(place, root / "book/shards" / name)

    merged = github(before=download, shards="shards")
    assert (merged.status, book.ran()) == (0, [])
    assert list(cloud.caches) == ["nbbuild-Linux-3-1"]
    report = json.loads((cloud.artifacts["nbbuild-report"] / "report.json").read_text())
    assert report["counts"] == {"executed": 3}
    assert "3 executed" in merged.summary


def test_a_mistake_ends_the_run_and_saves_nothing_that_is_not_there(github, cloud):
    done = github(folder=".")
    assert done.status == 2
    assert "error: there is no 'jcache.toml' in " in done.log
    assert "::warning title=nbbuild::the cache was not saved; the log says why\n" in done.log
    assert done.steps == UNSAVED
    assert (cloud.caches, cloud.artifacts) == ({}, {})
