"""A kernel forked from a zygote gives what a stock one gives, to the byte."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
from comparing_kernels import Bench, Compared
from generated_notebooks import COUNTED, PLAIN, WIDGETS, notebooks
from package_themes import PACKAGES, package_notebooks

from nbbuild.interpreter.imports import Import
from nbbuild.kernels.launch.process import Launcher

pytestmark = pytest.mark.own_way("kernels are forked")


@pytest.mark.parametrize("count", [10, pytest.param(34, marks=pytest.mark.slow)])
def test_plain_notebooks_give_the_same(bench, count):
    assert bench.differences(notebooks(count, seed=1, numeric=False)) == []


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_notebooks_give_the_same_with_their_packages_in_memory(bench, count):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert bench.differences(notebooks(count, seed=2, numeric=True)) == []


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_notebooks_give_the_same_with_other_packages_in_memory(bench, count):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    installed = {"ipywidgets", "matplotlib", "networkx", "numpy", "pandas"}
    assert bench.differences(package_notebooks(count, seed=6, packages=installed)) == []


@pytest.mark.slow
def test_widgets_are_content_to_learn_later_that_there_is_a_kernel(bench):
    pytest.importorskip("ipywidgets")
    targets = """
        import ipywidgets
        ---
        manager = get_ipython().kernel.comm_manager
        print(list(manager.targets.items()))
        print(ipywidgets.Widget.comm, ipywidgets.widgets.widget._instances)
        """
    told = {"targets": targets, "interaction": PLAIN["interaction"], **WIDGETS}
    every = []
    for name, text in told.items():
        cells = (COUNTED, *dedent(text).format(n=4, k=37).strip().split("\n---\n"))
        every.append(Compared(name, cells, imports=(Import(0, "ipywidgets"),)))
    assert bench.differences(every) == []


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
        one = Compared(name, (dedent(cell),), imports=(Import(0, "numpy"),))
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


@pytest.mark.stress
def test_sixty_notebooks_give_the_same_with_twelve_packages_in_memory(python, environ, tmp_path):
    for package in PACKAGES:
        pytest.importorskip(package)
    every = package_notebooks(60, seed=5)
    differences = []
    for number in range(0, len(every), 15):
        # Anew, since each kind of parent stays in memory until its launcher ends.
        with Launcher() as launcher:
            bench = Bench(launcher, python, environ, tmp_path)
            differences += bench.differences(every[number : number + 15])
    assert differences == []
