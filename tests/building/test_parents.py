"""Few processes hold the packages that many notebooks import: those that save most time."""

from __future__ import annotations

import pytest
from recorded_books import HANDBOOK, LECTURES, SECONDS

from nbbuild.building.supply.parents import PARENTS, START, Costs, Parent, choose
from nbbuild.interpreter.imports import Import

RANK = {"numpy": 0, "pandas": 1, "matplotlib": 2, "scipy": 1}


def imports(text):
    return frozenset(Import(0, module) for module in text.split())


def costs(*, memory=lambda one: 0, took=lambda task: 1.0):
    return Costs(
        seconds=lambda one: SECONDS.get(one.module, 0.05),
        rank=lambda one: RANK.get(one.module.partition(".")[0], 9),
        memory=memory,
        took=took,
    )


def chosen(wanted, **more):
    found = choose(wanted, costs(), **more)
    return {task: names(parent) for task, parent in found.items()}


def names(parent):
    return " ".join(one.module for one in parent.modules)


def seconds(parent):
    return sum(SECONDS.get(one.module, 0.05) for one in parent.modules)


def test_the_lectures_share_pyplot_and_those_with_quantecon_have_that_as_well():
    given = chosen(LECTURES)
    assert given["getting_started"] == given["sympy"] == "numpy matplotlib.pyplot"
    assert given["need_for_speed"] == given["numpy"] == "numpy matplotlib.pyplot quantecon"
    assert given["about_py"] == given["matplotlib"] == "numpy matplotlib.pyplot scipy.stats"
    assert "python_essentials" not in given  # numpy by itself, for one page


def test_the_handbook_has_pages_with_plots_with_pandas_with_both_and_with_seaborn():
    given = chosen(HANDBOOK)
    assert given["02.05"] == given["05.14"] == "numpy matplotlib.pyplot"
    assert given["03.04"] == given["03.12"] == "numpy pandas"
    assert given["02.04"] == given["05.06"] == "numpy pandas matplotlib.pyplot"
    assert given["05.02"] == given["05.11"] == "numpy seaborn matplotlib.pyplot"
    assert "02.00" not in given  # numpy by itself saves less than the others


@pytest.mark.parametrize("book", [LECTURES, HANDBOOK], ids=["lectures", "handbook"])
def test_on_a_book_it_saves_most_of_the_time_that_imports_take(book):
    found = choose(book, costs())
    parents = dict.fromkeys(found.values())
    assert len(parents) <= PARENTS
    for task, parent in found.items():
        assert book[task].issuperset(parent.modules)
    spent = sum(SECONDS.get(one.module, 0.05) for one in set().union(*(p.modules for p in parents)))
    saved = sum(map(seconds, found.values())) - spent - START * len(parents)
    whole = sum(SECONDS.get(one.module, 0.05) for wanted in book.values() for one in wanted)
    assert saved > 0.55 * whole


def test_a_parent_is_forked_from_the_one_that_has_some_of_its_packages():
    found = choose(LECTURES, costs())
    plots = found["getting_started"]
    assert plots.stem is None
    for one in (found["numpy"], found["matplotlib"]):
        assert one.stem == plots
        assert one.modules[: len(plots.modules)] == plots.modules


def test_what_saves_most_comes_first():
    found = list(dict.fromkeys(choose(HANDBOOK, costs()).values()))
    assert names(found[0]) == "numpy matplotlib.pyplot"


def test_one_notebook_has_none_nor_have_several_that_share_nothing():
    assert chosen({"a": imports("pandas")}) == {}
    assert chosen({"a": imports("pandas"), "b": imports("numpy"), "c": imports("scipy")}) == {}


def test_none_is_made_for_notebooks_that_would_have_ended_before_it_is_ready():
    wanted = {"a": imports("pandas"), "b": imports("pandas")}
    quick = costs(took=lambda task: 0.01)
    assert choose(wanted, quick, slots=1).keys() == {"a", "b"}
    assert choose(wanted, quick, slots=2) == {}


def test_together_they_hold_no_more_memory_than_they_may():
    wanted = {f"{n}": imports("numpy pandas") for n in range(5)}
    wanted |= {f"p{n}": imports("numpy matplotlib.pyplot") for n in range(3)}
    each = costs(memory=lambda one: 100)
    assert len(set(choose(wanted, each, memory=400).values())) == 2
    found = choose(wanted, each, memory=399)
    # With numpy once, for both.
    assert [one.stem and names(one.stem) for one in set(found.values())] == ["numpy", "numpy"]
    found = choose(wanted, each, memory=299)
    assert {names(one) for one in found.values()} == {"numpy", "numpy pandas"}
    assert choose(wanted, each, memory=99) == {}


def test_the_choice_does_not_hang_on_the_order_of_tasks():
    turned = dict(reversed(list(HANDBOOK.items())))
    assert choose(turned, costs()) == choose(HANDBOOK, costs())


def test_a_parent_with_no_task_left_is_not_made():
    wanted = {f"{n}": imports("numpy pandas") for n in range(9)}
    assert set(choose(wanted, costs()).values()) == {
        Parent((Import(0, "numpy"), Import(0, "pandas")))
    }
