"""Which ready task starts next, when slots and pools are scarce; no task waits for ever."""

import random
from collections import Counter

import pytest

from nbbuild.building.scheduling.choosing import SLOTS, Needs, Ready, said


def ready(*tasks, slots=4, **pools):
    """Tasks in the order of their weights: (name, slots, {pool: units})."""
    found = Ready(slots, pools)
    needs = {
        name: found.add(name, place, Needs.of(many, units))
        for place, (name, many, units) in enumerate(tasks)
    }
    return found, needs


def taken(found, allowed=99):
    return list(iter(lambda: found.take(allowed), None))


def test_a_task_whose_pool_is_empty_is_passed_over_in_favour_of_the_next():
    found, needs = ready(
        ("a", 1, {"db": 1}), ("b", 1, {"db": 1}), ("c", 1, {}), ("d", 1, {"db": 1}), db=1
    )
    assert taken(found) == ["a", "c"]
    found.give_back(needs["c"])
    assert taken(found) == []
    found.give_back(needs["a"])
    assert taken(found) == ["b"]


def test_a_task_takes_several_slots_and_never_more_than_there_are():
    found, needs = ready(("a", 3, {}), ("b", 2, {}), ("c", 1, {}), ("d", 9, {}), slots=4)
    assert taken(found) == ["a", "c"]
    assert needs["d"] == Needs(4)
    found.give_back(needs["a"])
    found.give_back(needs["c"])
    assert taken(found) == ["b"]
    found.give_back(needs["b"])
    assert taken(found) == ["d"]


def test_of_a_pool_tasks_take_as_much_as_there_is():
    found, _ = ready(
        ("a", 1, {"memory": 5}), ("b", 1, {"memory": 4}), ("c", 1, {"memory": 3}), memory=8
    )
    assert taken(found) == ["a", "c"]


def test_without_leave_for_more_than_one_slot_the_first_starts_whatever_it_needs():
    found, needs = ready(("a", 3, {}), ("b", 1, {}))
    assert taken(found, allowed=1) == ["a"]
    assert found.usable() == 1
    found.give_back(needs["a"])
    assert taken(found, allowed=1) == ["b"]
    assert found.usable() == 0


def test_one_that_needs_much_gets_its_turn_after_as_many_as_there_are_slots():
    found, _ = ready(("small", 1, {}), ("big", 2, {}), slots=2)
    order = [found.take(9)]
    for number in range(9):  # there is always a small one, and one of them runs always
        found.add(f"small {number}", 10 + number)
        order += taken(found)
        found.give_back(Needs(2) if "big" in order[-1:] else Needs(1))
    assert order[:5] == ["small", "small 0", "small 1", "big", "small 2"]


def test_one_that_is_due_leaves_others_what_it_does_not_need():
    found, needs = ready(
        ("a", 1, {"gpu": 1}), ("both", 1, {"gpu": 2}),
        *[(f"g{n}", 1, {"gpu": 1}) for n in range(9)], ("plain", 1, {}), slots=2, gpu=2,
    )  # fmt: skip
    assert taken(found) == ["a", "g0"]
    order = ["a", "g0"]
    for _ in range(4):
        found.give_back(needs[order[-1]])
        order += taken(found)
    assert order == ["a", "g0", "g1", "plain"]  # two have overtaken `both`: no other takes a gpu
    found.give_back(needs["a"])
    assert taken(found) == ["both"]


def test_what_is_held_up_is_named_with_what_it_waits_for():
    found, _ = ready(
        ("a", 1, {"db": 1}), ("b", 1, {"db": 1}), ("c", 1, {"db": 1}), ("d", 4, {"memory": 2e9}),
        db=1, memory=3e9,
    )  # fmt: skip
    taken(found)
    told = [(name, said(needs, lacking)) for name, needs, lacking in found.held_up(99)]
    assert told == [("b", "waits for db"), ("d", "waits for 4 slots")]
    assert found.held_up(1) == []  # no slot is free: it waits as any other
    assert said(Needs.of(2, {"gpu": 2, "memory": 8_000_000_000}), ("gpu", "memory", SLOTS)) == (
        "waits for 2 of gpu and 8.0 GB of memory and 2 slots"
    )


def test_those_that_come_next_are_no_more_than_could_run_at_once():
    found, _ = ready(
        *[(f"db{n}", 1, {"db": 1}) for n in range(5)], *[(f"p{n}", 1, {}) for n in range(5)], db=1
    )
    assert found.next() == ["db0", "p0", "p1", "p2"]


@pytest.mark.parametrize("seed", range(40))
def test_no_pool_is_ever_overdrawn_and_nothing_is_idle_without_a_reason(seed):
    """Random tasks come, start and end; each choice is compared with the plainest way to choose."""
    dice = random.Random(seed)
    slots = dice.randint(1, 6)
    pools = {name: dice.randint(1, 4) for name in ("gpu", "db", "memory")[: dice.randint(0, 3)]}
    found, waiting, running, overtaken = Ready(slots, pools), [], [], Counter()
    coming = [
        (
            dice.random(),
            number,
            Needs.of(
                dice.choice([1, 1, 1, 2, 5]),
                {
                    name: dice.randint(0, most)
                    for name, most in pools.items()
                    if dice.random() < 0.4
                },
            ),
        )
        for number in range(120)
    ]
    started = []
    while coming or waiting or running:
        for _ in range(min(len(coming), dice.randint(0, 6))):
            weight, number, needs = coming.pop()
            waiting.append((weight, number, found.add(number, weight, needs)))
        waiting.sort()
        allowed = dice.randint(1, slots)
        while (chosen := found.take(allowed)) is not None:
            expected = plainly(waiting, running, overtaken, slots, pools, allowed)
            assert expected is not None
            assert chosen == expected[1]
            waiting.remove(expected)
            running.append(expected)
            started.append(chosen)
        assert plainly(waiting, running, overtaken, slots, pools, allowed) is None
        used = Counter()
        for _, _, needs in running:
            used[SLOTS] += needs.slots
            used.update(dict(needs.units))
        assert found.taken == used[SLOTS] <= slots
        assert all(used[name] <= most for name, most in pools.items())
        if running:
            ended = running.pop(dice.randrange(len(running)))
            found.give_back(ended[2])
    assert sorted(started) == list(range(120))


def plainly(waiting, running, overtaken, slots, pools, allowed):
    """Return the first of `waiting` that fits, unless one that is due needs the same."""
    free = Counter(pools)
    for _, _, needs in running:
        free.subtract(dict(needs.units))
    used = sum(needs.slots for _, _, needs in running)
    before, barred, seen = [], set(), set()
    for one in waiting:
        needs = one[2]
        if needs in seen:  # another that needs the same goes before it
            continue
        seen.add(needs)
        units = {name for name, _ in needs.units}
        lacking = {name for name, count in needs.units if free[name] < count}
        if used and used + needs.slots > min(slots, allowed):
            lacking.add(SLOTS)
        if not lacking and barred.isdisjoint({*units, SLOTS}):
            overtaken.update(other for other, lacks in before if lacks & {*units, SLOTS})
            overtaken.pop(needs, None)
            return one
        if lacking:
            before.append((needs, lacking))
            if overtaken[needs] >= slots:
                barred |= units | (lacking & {SLOTS})
    return None
