"""What has never run is expected to take what comparable notebooks took."""

import pytest

from nbbuild.model import CodeCell, Parsed, Task
from nbbuild.project import expecting
from nbbuild.project.expecting import expected
from nbbuild.project.graph import link


def task(name, source="", **more):
    source = source or f"{name}.ipynb"
    return Task(name=name, source=source, built=f"out/{name}.ipynb", **more)


def says(*cells):
    return Parsed(cells=tuple(CodeCell(index, source) for index, source in enumerate(cells)))


def expect(notebooks, remembered, tasks=()):
    """Return what is expected of tasks that are called as their notebooks, and of `tasks`."""
    all_tasks = {one.name: one for one in [*map(task, notebooks), *tasks]}
    parsed = {f"{name}.ipynb": said for name, said in notebooks.items()}
    return expected(all_tasks, parsed, remembered)


def longest_first(seconds):
    return sorted(seconds, key=seconds.__getitem__, reverse=True)


def test_what_has_run_takes_as_long_again():
    notebooks = {"a": says("1"), "b": says("1")}

    assert expect(notebooks, {"a": 7.0, "b": 3.0, "long gone": 100.0}) == {"a": 7.0, "b": 3.0}


def test_where_nothing_was_measured_the_longest_code_begins_first():
    notebooks = {
        "short": says("x = 1"),
        "long": says("x = 1\n" * 100),
        "many cells": says(*["x = 1"] * 10),
        "empty": says(),
    }

    seconds = expect(notebooks, {})

    assert longest_first(seconds) == ["long", "many cells", "short", "empty"]
    assert all(one > 0 for one in seconds.values())


def test_other_parameters_take_the_median_of_those_that_ran():
    countries = [task(f"model-{one}", "model.ipynb") for one in ("uk", "fr", "de", "it")]
    run = {"model-uk": 10.0, "model-fr": 12.0, "model-de": 500.0}

    seconds = expect({"other": says("x" * 5000)}, run, countries)

    assert seconds["model-it"] == 12.0


def test_size_counts_as_it_did_for_those_that_ran_and_odd_ones_do_not_bend_the_line():
    run = {f"n{size}": 1.0 + size / 100 for size in range(100, 2000, 100)}
    notebooks = {name: says("x" * int(name[1:])) for name in run} | {"new": says("x" * 1050)}
    run["n200"] = 3600.0  # waited for somebody's server

    assert expect(notebooks, run)["new"] == pytest.approx(11.5, rel=0.02)


def test_notebooks_that_import_the_same_are_alike():
    train = "import os, torch.nn as nn\nnn.train()"
    read = "import os\nfrom pathlib import Path\nPath('x')"
    run = {"t1": 300.0, "t2": 280.0, "t3": 320.0, "r1": 1.0, "r2": 2.0, "r3": 1.5, "r4": 1.0}
    notebooks = {name: says(train if name[0] == "t" else read) for name in run}

    seconds = expect(
        notebooks | {"small": says("from torch import nn"), "large": says(read, "x = 1\n" * 50)},
        run,
    )

    assert seconds["small"] > 200
    assert seconds["large"] < 100


def test_one_measured_notebook_gives_the_scale():
    notebooks = {"run": says("x" * 470), "same": says("y" * 470), "empty": says()}

    seconds = expect(notebooks, {"run": 60.0})

    assert seconds["same"] == pytest.approx(60.0)
    assert 10 < seconds["empty"] < 40


def test_never_less_than_nothing():
    run = {f"n{number}": 0.0 for number in range(8)}
    notebooks = {name: says("x" * 10 * int(name[1:])) for name in run} | {"new": says("x")}

    assert expect(notebooks, run)["new"] == 0.01


def test_an_unreadable_notebook_is_expected_to_be_empty():
    seconds = expected({"bad": task("bad"), "empty": task("empty")}, {"empty.ipynb": says()}, {})

    assert seconds["bad"] == seconds["empty"]


def test_most_of_a_large_project_is_not_looked_at(monkeypatch):
    looked = []
    scanned = expecting.scanned_imports
    monkeypatch.setattr(
        expecting, "scanned_imports", lambda text: looked.append(text) or scanned(text)
    )
    run = {f"n{number}": 1.0 for number in range(10_000)}
    notebooks = {name: says(f"x = {name}") for name in run} | {"new": says("x")}

    assert expect(notebooks, run)["new"] == pytest.approx(1.0)
    assert len(looked) == 1001


def test_a_long_chain_that_never_ran_begins_before_short_single_ones():
    first = task("first", artefacts=("mid",))
    last = task("last", assets=("mid",))
    graph = link([task("single"), first, last], output="out")
    parsed = {one.source: says("x = 1") for one in graph.tasks.values()}

    critical = graph.critical(expected(graph.tasks, parsed, {"single": 1.0}))

    assert longest_first(critical)[0] == "first"
