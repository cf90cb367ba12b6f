"""A kernel forked from a zygote gives what a stock one gives, to the byte."""

from __future__ import annotations

import sys

import pytest
from generated_notebooks import notebooks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


def test_plain_notebooks_give_the_same(bench):
    assert bench.differences(notebooks(34, seed=1, numeric=False)) == []


def test_notebooks_give_the_same_with_their_packages_in_memory(bench):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert bench.differences(notebooks(8, seed=2, numeric=True)) == []


@pytest.mark.stress
def test_two_hundred_notebooks_give_the_same(bench):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert bench.differences(notebooks(150, seed=3, numeric=False)) == []
    assert bench.differences(notebooks(50, seed=4, numeric=True)) == []
