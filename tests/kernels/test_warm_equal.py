"""A kernel forked from a zygote gives what a stock one gives, to the byte."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from generated_notebooks import Generated, notebooks
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.imports import Import
from nbbuild.kernels.execute import Execution, execute
from nbbuild.kernels.nursery import Warm
from nbbuild.kernels.observed import install_code, prepare, zygote_code
from nbbuild.kernels.process import Launcher
from nbbuild.kernels.wanted import Limits
from nbbuild.kernelspec import Kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")

_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
EXAMPLES = Path(__file__).parents[2] / "examples"


class Bench:
    """Runs notebooks in folders of the same names, with stock kernels and with warm ones."""

    def __init__(self, launcher: Launcher, kernel: Kernel, environ: dict[str, str], root: Path):
        self._launcher = launcher
        self._kernel = kernel
        self._environ = {**environ, "MPLCONFIGDIR": str(root / "mpl"), "PYTHONHASHSEED": "7"}
        self._root = root

    def differences(self, one: Generated) -> list[str]:
        """Return what differs each time, as lines; the notebook runs twice, or up to six times.

        Two stock kernels, too, give different outputs now and then: what a child process writes to
        a raw descriptor comes when it comes, and the machine may be busy.
        """
        for _ in range(3):
            lines = self._compared(one)
            if not lines:
                break
        return lines

    def _compared(self, one: Generated) -> list[str]:
        stock, warm = self._told(one, warm=False), self._told(one, warm=True)
        lines = []
        for key in stock.keys() | warm.keys():
            if stock.get(key) != warm.get(key):
                lines.append(f"{one.name}, {key}:\n  {stock.get(key)}\n  {warm.get(key)}")
        return lines

    def _told(self, one: Generated, *, warm: bool) -> dict[str, object]:
        """Return all that a user can see of a run: outputs, failure, files."""
        number = one.name.partition(":")[0]
        folder = self._root / "work" / number
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            private = self._root / f"private-{number}-{warm}"
            private.mkdir()
            stack.callback(shutil.rmtree, private)
            done = self._run(one, folder, private, warm=warm)
        told: dict[str, object] = {
            f"cell {number}": _ADDRESS.sub("0x…", json.dumps(cell.get("outputs"), sort_keys=True))
            for number, cell in enumerate(done.notebook.cells, 1)
        }
        failure = done.failure
        if failure is not None:
            message = re.sub(r"held \d+ MB", "held … MB", failure.message)
            told["failure"] = (failure.kind, message, failure.cell)
        told["widgets"] = json.dumps(done.notebook.metadata, sort_keys=True)
        told["notes"] = done.notes
        for path in sorted(folder.rglob("*")):
            # Bytecode holds the time of its source, which each run writes anew.
            if path.is_file() and path.suffix not in (".db", ".pyc"):
                told[f"file {path.relative_to(folder)}"] = path.read_bytes()
        if warm:
            assert done.shortfall == "", one.name
            assert done.preloads == tuple(sorted(one.imports)), one.name
        return told

    def _run(self, one: Generated, folder: Path, private: Path, *, warm: bool) -> Execution:
        chosen = None
        if warm:
            chosen = Warm.of(
                self._kernel,
                self._environ,
                installed="",
                modules=tuple(Import(0, module) for module in one.imports),
                watch=zygote_code(self._root / "cache") if one.imports else "",
            )
            assert chosen is not None
        tracing = prepare(private / "watch", cache=self._root / "cache")
        return execute(
            new_notebook(cells=[new_code_cell(c, id=f"c{i}") for i, c in enumerate(one.cells)]),
            self._kernel,
            launcher=self._launcher,
            cwd=folder,
            env=self._environ,
            allow_errors=one.allow_errors,
            limits=Limits(timeout=60),
            cancelled=threading.Event(),
            before=[install_code(tracing)] if one.imports else [],
            warm=chosen,
        )


@pytest.fixture
def differences(
    launcher: Launcher, python: Kernel, environ: dict[str, str], tmp_path: Path
) -> Callable[[list[Generated]], list[str]]:
    bench = Bench(launcher, python, environ, tmp_path)

    def compare(generated: list[Generated]) -> list[str]:
        with ThreadPoolExecutor(2) as pool:
            return [line for lines in pool.map(bench.differences, generated) for line in lines]

    return compare


def test_plain_notebooks_give_the_same(differences):
    assert differences(notebooks(34, seed=1, numeric=False)) == []


def test_notebooks_give_the_same_with_their_packages_in_memory(differences):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert differences(notebooks(8, seed=2, numeric=True)) == []


@pytest.mark.stress
def test_two_hundred_notebooks_give_the_same(differences):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    assert differences(notebooks(150, seed=3, numeric=False)) == []
    assert differences(notebooks(50, seed=4, numeric=True)) == []
