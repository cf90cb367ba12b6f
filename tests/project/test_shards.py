"""Which machine builds what: everything is built, and little of it twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.model import Task
from nbbuild.project.graph import Edge, Graph
from nbbuild.project.shards import divided


def graph(**upstream):
    tasks = [Task(name=name, source=name, built=f"out/{name}") for name in upstream]
    edges = [Edge(above, name, "") for name in upstream for above in upstream[name]]
    return Graph(tasks, edges)


def parts(linked, names, count, **seconds):
    return [" ".join(part) for part in divided(linked, names, count, seconds).parts]


@st.composite
def graphs(draw):
    """What each task of a graph waits for, which tasks are wanted, and the seconds of some."""
    names = [f"t{number}" for number in range(draw(st.integers(0, 12)))]
    upstream = {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3))
        if place
        else []
        for place, name in enumerate(names)
    }
    wanted = draw(st.sets(st.sampled_from(names))) if names else set()
    measured = draw(st.sets(st.sampled_from(names))) if names else set()
    seconds = {name: draw(st.floats(0, 1e4)) for name in sorted(measured)}
    return upstream, wanted, seconds


@settings(deadline=None)
@given(graphs(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_all_shards_together_build_everything_and_each_what_it_needs(given, count, chance):
    upstream, wanted, seconds = given
    linked = graph(**upstream)
    shards = divided(linked, wanted, count, seconds)
    assert len(shards.parts) == count
    built = [set(part) for part in shards.parts]
    assert set().union(*built) == set(linked.needed(wanted))
    for number, part in enumerate(shards.parts):
        assert linked.needed(part) == part
        others = set().union(*built[:number], *built[number + 1 :])
        assert set(shards.elsewhere(number)) == built[number] & others
    # What is built twice lies upstream of something: no last task is.
    for name in linked.needed(wanted):
        if not set(linked.downstream(name)) & set(linked.needed(wanted)):
            assert sum(name in part for part in built) == 1
    # Neither the order of the words nor that of the durations counts.
    words, known = sorted(wanted), list(seconds.items())
    chance.shuffle(words)
    chance.shuffle(known)
    assert divided(linked, words, count, dict(known)) == shards


def test_the_longest_go_to_different_shards():
    alone = graph(a=[], b=[], c=[], d=[])
    assert parts(alone, "abcd", 2, a=9.0, b=1.0, c=1.0, d=6.0) == ["a", "b c d"]
    assert parts(alone, "abcd", 1, a=9.0) == ["a b c d"]


def test_without_durations_names_decide():
    alone = graph(d=[], c=[], b=[], a=[])
    assert parts(alone, "abcd", 3) == ["d a", "b", "c"]


def test_a_task_without_a_duration_counts_as_the_others_do_on_average():
    alone = graph(a=[], b=[], new=[])
    assert parts(alone, ["a", "b", "new"], 2, a=2.0, b=4.0) == ["b", "a new"]


def test_linked_tasks_stay_together_if_that_is_fair():
    linked = graph(load=[], plot=["load"], table=["load"], x=[], y=[], z=[])
    assert parts(linked, linked.tasks, 2) == ["load plot table", "x y z"]


def test_what_a_large_group_shares_is_built_twice_only_if_that_saves_time():
    star = graph(load=[], a=["load"], b=["load"], c=["load"], d=["load"])
    quick = divided(star, star.tasks, 2, {"load": 1.0} | dict.fromkeys("abcd", 10.0))
    assert quick.parts == (("load", "a", "c"), ("load", "b", "d"))
    assert quick.elsewhere(0) == quick.elsewhere(1) == ("load",)
    slow = divided(star, star.tasks, 2, {"load": 100.0} | dict.fromkeys("abcd", 10.0))
    assert slow.parts == (("load", "a", "b", "c", "d"), ())
    assert slow.elsewhere(0) == ()


def test_more_shards_than_notebooks():
    assert parts(graph(a=[]), "a", 3) == ["a", "", ""]
    assert parts(graph(), "", 2) == ["", ""]
