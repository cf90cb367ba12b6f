"""Assets that artefacts can match make edges; what cannot be right is explained."""

import pytest

from nbbuild.errors import ConfigError, Problems
from nbbuild.model import Task
from nbbuild.project.graph import is_made, link


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
        "hint: remove one of the assets, artefacts or depends_on that form the circle"
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


def test_scratch_that_can_match_a_notebook_or_an_artefact_is_an_error():
    with pytest.raises(Problems) as caught:
        edges(
            task("a", artefacts=("data/x.csv",)),
            task("b", scratch=("a.*", "data/*", "out/**", "*.tmp")),
        )

    assert [error.what for error in caught.value.errors] == [
        "scratch 'a.*' of 'b' can match 'a.ipynb', a source notebook",
        "scratch 'data/*' of 'b' can match 'data/x.csv', an artefact of 'a'",
        "scratch 'out/**' of 'b' can match 'out/a.ipynb', a built notebook",
    ]
    assert str(caught.value.errors[0]).endswith(
        "hint: narrow the pattern: scratch is removed before each run"
    )


def test_an_artefact_that_can_match_a_notebook_is_an_error():
    with pytest.raises(Problems) as caught:
        edges(task("a", artefacts=("*.ipynb", "out/*.ipynb")))

    assert [error.what for error in caught.value.errors] == [
        "artefact '*.ipynb' of 'a' can match 'a.ipynb', a source notebook",
        "artefact 'out/*.ipynb' of 'a' can match 'out/a.ipynb', a built notebook",
    ]


def test_what_every_notebook_needs_no_notebook_writes():
    with pytest.raises(Problems) as caught:
        edges(
            task("a", artefacts=("lock.txt", "etc/*.ini"), files=("lock.txt", "etc/b*", "ok.txt")),
            task("b", files=("lock.txt", "etc/b*", "ok.txt")),
        )

    literal, glob = caught.value.errors
    assert str(literal) == (
        "every notebook needs 'lock.txt', which 'a' writes\n"
        "  declared in: jcache.toml, [environment] files\n"
        "  and in: jcache.toml, [[notebook]] 1\n"
        "\n"
        "hint: remove one of the two; a notebook that reads the file can name it in `assets`"
    )
    assert glob.what == "every notebook needs 'etc/b*', which 'etc/*.ini' of 'a' can match"


def test_what_every_notebook_needs_is_no_built_notebook():
    with pytest.raises(ConfigError) as caught:
        edges(task("a", files=("out/a.ipynb",)))

    assert caught.value.what == "every notebook needs 'out/a.ipynb', which 'a' writes"


def test_an_asset_that_is_the_tasks_own_artefact_is_an_error():
    with pytest.raises(ConfigError) as caught:
        edges(task("a", assets=("data/out.csv", "data/in.csv"), artefacts=("data/o*",)))

    assert str(caught.value) == (
        "asset 'data/out.csv' of 'a' is also its own artefact\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "\n"
        "hint: a run begins without its artefacts: remove one of the two"
    )


def test_an_asset_is_made_by_tasks_upstream_and_never_by_its_reader():
    make, use = task("make", artefacts=("mid/*",)), task("use", assets=("mid/x", "out/make.ipynb"))
    own = task("own", assets=("data/*.csv", "out/*.ipynb"), artefacts=("data/out.csv",))
    graph = link([make, use, own], output="out")

    assert is_made(graph, "use", "mid/x")
    assert is_made(graph, "use", "out/make.ipynb")
    assert not is_made(graph, "own", "data/*.csv")
    assert not is_made(graph, "own", "out/own.ipynb")
    assert not is_made(graph, "make", "mid/x")


def test_names_with_brackets_are_names():
    one = Task(name="a[1].ipynb", source="a[1].ipynb", built="out/a[1].ipynb")

    assert edges(one, task("use", assets=("out/a[[]1].ipynb",))) == [("a[1].ipynb", "use")]
    assert edges(one, task("use", assets=("out/a1.ipynb",))) == []


def test_pages_belong_to_nobody_else():
    with pytest.raises(Problems) as caught:
        link(
            [
                task("a", artefacts=("out/a.h*",)),
                task("b", scratch=("out/b.h*",)),
                task("c", assets=("out/*", "out/d.html", "out/*.ipynb", "**/*.html")),
                task("d", files=("out/d.[ch]*",)),
            ],
            output="out",
            pages=True,
        )

    assert [error.what for error in caught.value.errors] == [
        "artefact 'out/a.h*' of 'a' can match 'out/a.html', the page of 'a'",
        "scratch 'out/b.h*' of 'b' can match 'out/b.html', the page of 'b'",
        "asset 'out/*' of 'c' can match 'out/a.html', the page of 'a'",
        "asset 'out/d.html' of 'c' can match 'out/d.html', the page of 'd'",
        "[environment] file 'out/d.[ch]*' can match 'out/d.html', the page of 'd'",
    ]
    assert str(caught.value.errors[2]).endswith(
        "hint: a page is rendered after the notebooks that are ready, so none can rest on it: "
        "narrow the pattern, for example to '*.ipynb'"
    )


def test_without_pages_their_places_are_free():
    reader = task("b", assets=("out/a.html",))
    assert edges(task("a", artefacts=("out/a.html",)), reader) == [("a", "b")]
