"""The benchmarks measure what they say, on a small piece of work; see docs/performance.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmarks(monkeypatch):
    """The package, which is no part of an installed nbbuild."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import __main__, measure, works

    return sys.modules["benchmarks"], __main__, measure, works


@pytest.mark.slow
def test_a_piece_of_work_is_run_by_all_in_turn_and_shown_with_its_bars(benchmarks, tmp_path):
    _, main, _, works = benchmarks
    result = works.many_cells(tmp_path, 1, count=2, cells=3)
    rows = main.table(result).splitlines()
    assert result.work == "2 notebooks of 3 cells"
    assert re.fullmatch(r"\| nbbuild \| \S+ s \(\S+\) \| 1.00 \| \S+ s \| \d+ MB \|", rows[3])
    assert rows[4].startswith("| nbclient, 2 at a time | ")
    (bar,) = result.bars
    ours, stock = result.contenders
    assert bar.value == ours.wall / stock.wall
    assert rows[-1].startswith("| many cells: nbbuild / nbclient, 2 at a time | ")
    assert all(
        run.cpu > 0 and run.peak > 10_000_000 for one in result.contenders for run in one.runs
    )


def test_a_command_that_fails_is_told_and_not_measured(benchmarks, tmp_path):
    _, _, measure, _ = benchmarks
    argv = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(measure.Failed, match=r"ended with 1:\nno such thing"):
        measure.timed(argv, cwd=tmp_path, env={})


def test_every_piece_of_work_is_described_in_the_page(benchmarks):
    _, _, _, works = benchmarks
    page = (ROOT / "docs/performance.md").read_text()
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)
    assert named == list(works.WORKS)


@pytest.mark.slow
def test_each_edit_of_a_watched_notebook_is_timed_to_its_own_output(benchmarks, tmp_path):
    works = benchmarks[-1]
    result = works.WORKS["saving"](tmp_path, 1, edits=3, pause=0)
    (watch,) = result.contenders
    assert (result.work, len(watch.runs)) == ("3 edits of a light notebook, watched", 3)
    built = tmp_path / "saving/_build/executed/nb/s000/n00000.ipynb"
    assert "edit 2 of 3" in built.read_text(encoding="utf-8")
    assert [bar.what for bar in result.bars] == [
        "from save to output, median",
        "from save to output, worst",
    ]
