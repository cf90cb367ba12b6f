"""A kernel forked from a zygote gives what a stock one gives, to the byte."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
from comparing_kernels import Compared
from generated_notebooks import notebooks

pytestmark = pytest.mark.own_way("kernels are forked")


def test_plain_notebooks_give_the_same(bench):
    assert bench.differences(notebooks(34, seed=1, numeric=False)) == []


def test_notebooks_give_the_same_with_their_packages_in_memory(bench):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert bench.differences(notebooks(8, seed=2, numeric=True)) == []


def test_kernels_of_one_process_draw_different_numbers(bench):
    pytest.importorskip("numpy")
    cell = """
        import json, multiprocessing, random, secrets, ssl, tempfile, uuid
        import numpy as np
        with tempfile.NamedTemporaryFile() as file: drawn = {"name": file.name}
        drawn |= {"random": random.random(), "secrets": secrets.token_hex()}
        drawn |= {"numpy": np.random.rand(), "generator": np.random.default_rng().random()}
        drawn |= {"ssl": ssl.RAND_bytes(8).hex(), "uuid": str(uuid.uuid1()) + str(uuid.uuid4())}
        drawn["key"] = multiprocessing.current_process().authkey.hex()
        with open("drawn", "w") as file: json.dump(drawn, file)
        """

    def drawn(name: str) -> dict[str, object]:
        one = Compared(name, (dedent(cell),), imports=("numpy",))
        return json.loads(bench.told(one, warm=True)["file drawn"])

    first, second = drawn("first"), drawn("second")
    assert len(first) == 8
    assert [name for name in first if first[name] == second[name]] == []


@pytest.mark.stress
def test_two_hundred_notebooks_give_the_same(bench):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert bench.differences(notebooks(150, seed=3, numeric=False)) == []
    assert bench.differences(notebooks(50, seed=4, numeric=True)) == []
