"""Which tasks run at the same time, and which never do."""

import threading

import pytest

from nbbuild.building.scheduling.turns import Again, PairsApart, Turns, in_turn
from nbbuild.disk.state import State


def nothing():
    pass


class GivenUp(Exception):
    pass


def give_up():
    raise GivenUp


def test_who_ran_beside_whom_is_known():
    turns = Turns()
    with turns.running("a", check=nothing):
        with turns.running("b", check=nothing):
            assert (turns.beside("a"), turns.beside("b")) == ({"b"}, {"a"})
        with turns.running("c", check=nothing):
            assert (turns.beside("a"), turns.beside("c")) == ({"b", "c"}, {"a"})
    with turns.running("b", check=nothing):  # again, and alone
        assert turns.beside("b") == frozenset()


@pytest.mark.parametrize("parted", ["before", "now"])
def test_a_pair_that_is_kept_apart_never_runs_side_by_side(parted):
    turns = Turns([("a", "b")] if parted == "before" else ())
    if parted == "now":
        turns.part("b", "a")
    with (
        turns.running("a", check=nothing),
        turns.running("c", check=nothing),
        pytest.raises(GivenUp),
        turns.running("b", check=give_up),
    ):
        pass
    with turns.running("b", check=nothing):
        pass


def test_whoever_waits_says_for_whom():
    turns, said = Turns([("a", "b")]), []
    running = {"on_wait": said.append, "check": nothing}
    waiting = {"on_wait": said.append, "check": give_up}
    with turns.running("a", **running), turns.running("c", **running):
        with pytest.raises(GivenUp), turns.running("b", **waiting):
            pass
        with pytest.raises(GivenUp), turns.running("d", alone=True, **waiting):
            pass
    assert said == ["'a'", "'a', 'c'"]


def test_who_runs_alone_waits_for_all_others_and_lets_none_begin():
    turns, order = Turns(), []
    waiting = threading.Event()

    def alone():
        with turns.running("alone", check=waiting.set, alone=True):
            order.append("alone")
            order.append(turns.beside("alone"))

    thread = threading.Thread(target=alone)
    with turns.running("a", check=nothing):
        thread.start()
        assert waiting.wait(60)
        with pytest.raises(GivenUp), turns.running("b", check=give_up):
            pass
        order.append("a")
    thread.join(60)
    assert order == ["a", "alone", frozenset()]
    with turns.running("b", check=nothing):
        pass


def test_giving_up_to_run_alone_lets_the_others_go_on():
    turns = Turns()
    with turns.running("a", check=nothing):
        with pytest.raises(GivenUp), turns.running("b", check=give_up, alone=True):
            pass
        with turns.running("c", check=nothing):
            pass


def test_pairs_are_remembered_with_the_order_that_was_found_first(tmp_path):
    with State(tmp_path) as state:
        pairs = PairsApart(state)
        pairs.add("b", "a")
        pairs.add("a", "b")
        assert [*PairsApart(state).known.values()] == [("b", "a")]
        state.remember("apart", "", b"damaged")
        assert PairsApart(state).known == {}


def test_the_first_of_a_pair_comes_first():
    assert in_turn({}, [], ["a", "b"]) == {}
    assert in_turn({"a": 1.0}, [("b", "elsewhere")], ["a", "b"]) == {"a": 1.0}
    raised = in_turn({"a": 5.0, "b": 1.0, "c": 2.0}, [("b", "a"), ("c", "b")], ["a", "b", "c"])
    assert sorted(raised, key=raised.get, reverse=True) == ["c", "b", "a"]
    assert set(in_turn({}, [("a", "b"), ("b", "a")], ["a", "b"])) == {"a", "b"}


def test_what_is_judged_once_more_is_taken_once():
    again = Again()
    again.add(["a", "b"])
    again.add(["a"])
    assert (again.take(), again.take()) == ({"a", "b"}, frozenset())
