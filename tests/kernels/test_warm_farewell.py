"""A warm kernel's end completes the files, and runs the hooks, that a stock one's does.

Python's way out takes longer than many a notebook, so there will be shorter ones. These stories
hold each of them to the long one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import pytest
from comparing_kernels import Bench, Compared
from farewells import ALONE, APART, IN_PACKAGES, OPENED, STORIES

from nbbuild.interpreter.imports import Import

pytestmark = pytest.mark.own_way("kernels are forked")

ALL = {**STORIES, **APART, **ALONE, **IN_PACKAGES}
PACKAGES = ("matplotlib.pyplot", "numpy", "pandas")
ENDINGS = {"cells": (), "exit": ("exit()",), "error": ("1 / 0",)}
"""How a notebook ends: after its last cell, or in it."""


def notebook(
    name: str, *stories: str, ending: str = "cells", imports: tuple[str, ...] = ()
) -> Compared:
    cells: list[str] = []
    for story in stories:
        opened = OPENED if ALL[story].startswith(OPENED) else ""
        text = opened + dedent(ALL[story].removeprefix(OPENED)).strip()
        told = re.sub(r"\bME(?![A-Za-z])", story, f"import os; os.mkdir('ME')\n---\n{text}")
        cells += told.split("\n---\n")
    cells += ENDINGS[ending]
    modules = tuple(Import(0, module) for module in imports)
    return Compared(name, tuple(cells), allow_errors=ending != "error", imports=modules)


def files(told: Mapping[str, object], story: str) -> dict[str, object]:
    """Return what lies in a story's folder after a run."""
    return {item: value for item, value in told.items() if item.startswith(f"file {story}/")}


def compare(
    bench: Bench, *groups: Iterable[str], imports: tuple[str, ...] = ()
) -> dict[str, tuple[str, object, object]]:
    """Tell each group of stories to one stock kernel, and each story to a warm one.

    Returns the stories that leave other files, each with its ending and both kinds of files. Each
    ends in another way than the one before, which makes no difference to a stock kernel.
    """
    stories = [story for group in groups for story in group]
    endings = dict(zip(stories, [*ENDINGS] * len(stories), strict=False))

    def warm(story: str) -> dict[str, object]:
        # It is an error of its own that `held_by_failed_cell` is about.
        ending = endings[story].replace("error", "exit" if "failed" in story else "error")
        one = notebook(story, story, ending=ending, imports=imports)
        return files(bench.told(one, warm=True), story)

    def stock(group: Iterable[str]) -> dict[str, dict[str, object]]:
        told = bench.told(notebook(f"all of {len(list(group))}", *group), warm=False)
        return {story: files(told, story) for story in group}

    with ThreadPoolExecutor(2) as pool:
        expected: dict[str, object] = {}
        for told in pool.map(stock, groups):
            expected |= told
        found = dict(zip(stories, pool.map(warm, stories), strict=True))
    # Those that leave nothing would say nothing: but here it is files that go.
    assert [story for story in stories if not expected[story]] in (
        [],
        ["finalizer_temporary_files"],
    )
    return {
        story: (endings[story], expected[story], found[story])
        for story in stories
        if found[story] != expected[story]
    }


@pytest.mark.slow
def test_what_notebooks_leave_to_the_end_is_done(bench):
    assert compare(bench, STORIES, APART) == {}


@pytest.mark.slow
def test_what_notebooks_leave_to_the_end_is_done_with_packages_in_memory(bench):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    stories = [*IN_PACKAGES, "format_zip", "finalizer_exit_hooks", "held_by_generator"]
    assert compare(bench, stories, imports=PACKAGES) == {}


@pytest.mark.stress
@pytest.mark.parametrize("ending", ENDINGS)
def test_each_story_alone_ends_as_with_a_stock_kernel(bench, ending):
    stories = [*STORIES, *APART, *ALONE]
    assert bench.differences([notebook(one, one, ending=ending) for one in stories]) == []
