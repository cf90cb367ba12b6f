"""Assets that artefacts can match make edges; what cannot be right is explained."""

import pytest

from nbbuild.errors import ConfigError, Problems
from nbbuild.graph import link
from nbbuild.model import Task


def task(name, **more):
    return Task(
        name=name,
        source=f"{name}.ipynb",
        built=f"out/{name}.ipynb",
        declared_in="jcache.toml, [[notebook]] 1",
        **more,
    )


def edges(*tasks):
    graph = link(tasks, output="out")
    return [(edge.writer, edge.reader) for edge in graph.edges]


def test_an_asset_that_is_an_artefact_makes_an_edge():
    assert edges(task("use", assets=("mid.txt",)), task("make", artefacts=("mid.txt",))) == [
        ("make", "use")
    ]


def test_the_patterns_decide_not_what_lies_on_the_disk():
    make = task("make", artefacts=("data/*.csv",))

    assert edges(make, task("use", assets=("data/uk.*",))) == [("make", "use")]
    assert edges(make, task("use", assets=("data",))) == [("make", "use")]
    assert edges(make, task("use", assets=("data/*.txt",))) == []
    assert edges(make, task("use", assets=("other/*.csv",))) == []


def test_what_a_task_reads_of_its_own_artefacts_is_no_edge():
    assert edges(task("a", assets=("data/*",), artefacts=("data/out.csv",))) == []


def test_a_built_notebook_counts_as_an_artefact_for_patterns_that_begin_in_output():
    make = task("make")

    assert edges(make, task("use", assets=("out/make.ipynb",))) == [("make", "use")]
    assert edges(make, task("use", assets=("out/*.ipynb",))) == [("make", "use")]
    assert edges(make, task("use", assets=("**/*.ipynb",))) == []


def test_depends_on_is_order():
    graph = link([task("b", depends_on=("a",)), task("a")], output="out")

    assert graph.order == ("a", "b")
    assert graph.upstream("b") == ("a",)
    assert graph.downstream("a") == ("b",)


def test_the_listed_order_is_kept_among_equals():
    graph = link([task("z"), task("m"), task("a")], output="out")

    assert graph.order == ("z", "m", "a")


def test_needed_brings_in_what_targets_wait_for():
    graph = link([task("a", artefacts=("x",)), task("b", assets=("x",)), task("c")], output="out")

    assert graph.needed(["b"]) == ("a", "b")


def test_a_cycle_is_named_link_by_link():
    with pytest.raises(ConfigError) as caught:
        edges(
            task("a", assets=("b.txt",), artefacts=("a.txt",)),
            task("b", assets=("a.txt",), artefacts=("b.txt",)),
        )

    assert str(caught.value) == (
        "these notebooks wait for each other: a → b → a\n"
        "  'b' waits for 'a': it reads 'a.txt'\n"
        "  'a' waits for 'b': it reads 'b.txt'\n"
        "\n"
        "hint: remove one of the assets, artefacts or depends_on that make the circle"
    )


def test_two_writers_of_one_path_are_an_error():
    with pytest.raises(ConfigError) as caught:
        edges(task("a", artefacts=("x.csv",)), task("b", artefacts=("x.csv",)))

    assert caught.value.what == "'a' and 'b' would both write 'x.csv'"


def test_patterns_of_two_tasks_that_can_match_one_path_are_an_error():
    with pytest.raises(ConfigError) as caught:
        edges(task("a", artefacts=("data/*.csv",)), task("b", artefacts=("data/uk*",)))

    assert caught.value.what == (
        "artefacts 'data/*.csv' of 'a' and 'data/uk*' of 'b' can match one path"
    )


def test_an_artefact_that_can_match_a_notebook_is_an_error():
    with pytest.raises(Problems) as caught:
        edges(task("a", artefacts=("*.ipynb", "out/*.ipynb")))

    assert [error.what for error in caught.value.errors] == [
        "artefact '*.ipynb' of 'a' can match 'a.ipynb', a source notebook",
        "artefact 'out/*.ipynb' of 'a' can match 'out/a.ipynb', a built notebook",
    ]


def test_names_with_brackets_are_names():
    one = Task(name="a[1].ipynb", source="a[1].ipynb", built="out/a[1].ipynb")

    assert edges(one, task("use", assets=("out/a[[]1].ipynb",))) == [("a[1].ipynb", "use")]
    assert edges(one, task("use", assets=("out/a1.ipynb",))) == []
