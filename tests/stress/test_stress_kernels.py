"""Whatever a notebook does to its kernel, nbbuild says so at once and leaves nothing behind."""

import os
import random
from pathlib import Path

import pytest
from kernel_ends import Combination, Done, combinations, run

pytestmark = pytest.mark.own_way("has a launcher")

A_FEW = (
    Combination("exit", "nothing", "warm"),
    Combination("daemon", "nothing", "cold"),
    Combination("regex", "SIGTERM", "warm"),
    Combination("setsid", "SIGKILL", "warm"),
    Combination("stop launcher", "SIGQUIT", "cold"),
    Combination("kill parent", "nothing", "warm"),
)


@pytest.mark.parametrize("combination", A_FEW, ids=lambda one: one.name)
def test_a_few_ends_of_kernels(combination, tmp_path):
    assert run(combination, tmp_path).complaints == []


@pytest.mark.stress
def test_every_end_of_kernels(tmp_path):
    """NBBUILD_STRESS_KERNELS rounds, 3 by default, from NBBUILD_STRESS_SEED.

    With NBBUILD_STRESS_FOLDER, what is done is kept there, and a second run goes on from it.
    """
    rounds = int(os.environ.get("NBBUILD_STRESS_KERNELS", "3"))
    wanted = combinations(rounds)
    random.Random(int(os.environ.get("NBBUILD_STRESS_SEED", "1"))).shuffle(wanted)
    done = Done(Path(os.environ.get("NBBUILD_STRESS_FOLDER", tmp_path)) / "kernels.json")
    for number, combination in enumerate(wanted):
        if combination.name not in done.known:
            folder = tmp_path / str(number)
            folder.mkdir()
            done.add(combination, run(combination, folder))
    names = {one.name for one in wanted}
    seen = {name: one for name, one in done.known.items() if name in names}
    told = sorted(one["reported"] for one in seen.values() if one["reported"] is not None)
    left = sorted(one["left"] for one in seen.values())
    print(f"{len(seen)} runs; death reported after {told[len(told) // 2]} s, at most {told[-1]} s")
    print(f"nothing left after {left[len(left) // 2]} s, at most {left[-1]} s")
    assert {name: one["complaints"] for name, one in seen.items() if one["complaints"]} == {}
