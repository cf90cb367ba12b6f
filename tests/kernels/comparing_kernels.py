"""Run a notebook with a stock kernel and with a warm one, and tell what differs.

A difference is forgiven only where *stock against stock* shows the same item differing as well: the
control, which costs nothing as long as nothing differs. What cannot be the same to the byte is
compared by what of it can be:

* Text of stdout and of stderr that comes between two other outputs is joined per stream. Each
  stream is sent on its own, by a clock, so their order among each other is chance.
* What a child writes to a raw descriptor comes through a thread of ipykernel's, in whichever cell
  runs by then. Its lines begin with `RAW`; they are taken out, and compared as one text.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.interpreter.imports import Import
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.execute import Execution, execute
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.watching.injection import install_code, prepare, report_code, zygote_code

RAW = "raw: "
CONTROLS = 3
"""Times that a notebook runs again with a stock kernel, where it differed."""

_RAW_LINE = re.compile(rf"{RAW}[^\n]*\n")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")


@dataclass(frozen=True)
class Compared:
    """A notebook: its cells, whether errors are allowed in it, and what its parent has to load.

    `refused` are those that it must not load, each with the reason.
    """

    name: str
    cells: tuple[str, ...]
    allow_errors: bool = True
    imports: tuple[Import, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """The names of what its parent has loaded."""
        every = dict.fromkeys(one.module for one in self.imports)
        return tuple(module for module in every if module not in dict(self.refused))

    @property
    def shortfall(self) -> str:
        """What is said of what its parent has not loaded."""
        return "; ".join(
            f"'{module}' is not loaded beforehand: {why}" for module, why in self.refused
        )


class Varies(UserWarning):
    """An item differs between stock kernels, too, so that it says nothing."""


class Bench:
    """Runs notebooks in folders of the same names, with stock kernels and with warm ones."""

    def __init__(self, launcher: Launcher, kernel: Kernel, environ: dict[str, str], root: Path):
        self._launcher = launcher
        self._kernel = kernel
        self._environ = {**environ, "MPLCONFIGDIR": str(root / "mpl"), "PYTHONHASHSEED": "7"}
        self._root = root

    def differences(self, compared: Sequence[Compared]) -> list[str]:
        """Return what differs, as lines; the notebooks have different names."""
        packages = sorted({module for one in compared for module in one.modules})
        if packages:
            # matplotlib's first import lists the fonts of this machine, in a thread.
            self.told(Compared("first", (f"import {', '.join(packages)}",)), warm=False)
        with ThreadPoolExecutor(2) as pool:
            return [line for lines in pool.map(self._differences, compared) for line in lines]

    def told(self, one: Compared, *, warm: bool) -> dict[str, object]:
        """Run a notebook; return all that a user can see of it, item → value."""
        folder = self._root / "work" / re.sub(r"\W+", "-", one.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done = self._run(one, folder, warm=warm)
        cells = [list(_canonical(cell.get("outputs", ()))) for cell in done.notebook.cells]
        told: dict[str, object] = {f"cell {number}": cell for number, cell in enumerate(cells, 1)}
        told["raw text"] = _raw_text(done)
        failure = done.failure
        if failure is not None:
            message = re.sub(r"held \d+ MB", "held … MB", failure.message)
            told["failure"] = (failure.kind, message, failure.cell)
        told["metadata"] = json.dumps(done.notebook.metadata, sort_keys=True)
        told["notes"] = done.notes
        for path in sorted(folder.rglob("*")):
            # Bytecode holds the time of its source, which each run writes anew.
            if "__pycache__" not in path.parts:
                name = path.relative_to(folder).as_posix()
                told[f"file {name}"] = "a folder" if path.is_dir() else path.read_bytes()
        if warm:
            assert done.shortfall == one.shortfall, one.name
            assert done.preloads == one.modules, one.name
        return told

    def _differences(self, one: Compared) -> list[str]:
        stock, warm = self.told(one, warm=False), self.told(one, warm=True)
        differing = {key for key in stock.keys() | warm.keys() if stock.get(key) != warm.get(key)}
        real = set(differing)
        for _ in range(CONTROLS if real else 0):
            again = self.told(one, warm=False)
            real = {key for key in real if stock.get(key) == again.get(key)}
        for key in sorted(differing - real):
            warnings.warn(f"{one.name}, {key}: stock kernels do not agree", Varies, stacklevel=1)
        return [
            f"{one.name}, {key}:\n  {stock.get(key)}\n  {warm.get(key)}" for key in sorted(real)
        ]

    def _run(self, one: Compared, folder: Path, *, warm: bool) -> Execution:
        chosen = None
        if warm:
            chosen = Warm.of(self._kernel, self._environ, installed="")
            assert chosen is not None
            every = one.imports
            # As in a build with several parents: each is forked from the one before.
            for count in sorted({min(1, len(every)), len(every)} - {0}):
                chosen = replace(chosen, modules=every[:count], watch=zygote_code(), stem=chosen)
        with contextlib.ExitStack() as stack:
            private = self._root / f"private-{folder.name}"
            stack.callback(shutil.rmtree, private)
            tracing = prepare(private, cache=self._root / "cache")
            return execute(
                new_notebook(cells=[new_code_cell(c, id=f"c{i}") for i, c in enumerate(one.cells)]),
                self._kernel,
                launcher=self._launcher,
                cwd=folder,
                env=self._environ,
                allow_errors=one.allow_errors,
                limits=TimeLimits(timeout=60),
                cancelled=threading.Event(),
                before=[install_code(tracing)],
                after=[report_code(tracing, Path(tracing.report))],
                warm=chosen,
            )


def _canonical(outputs: Iterable[Any]) -> Iterator[str]:
    """Yield outputs as text, of text to the streams only what is not chance."""
    for streams, group in groupby(outputs, lambda output: output["output_type"] == "stream"):
        if not streams:
            for output in group:
                yield _ADDRESS.sub("0x…", json.dumps(output, sort_keys=True))
            continue
        written: dict[str, str] = {}
        for output in group:
            written[output["name"]] = written.get(output["name"], "") + output["text"]
        for name, text in sorted(written.items()):
            rest = _ADDRESS.sub("0x…", _RAW_LINE.sub("", text))
            if rest:
                yield f"{name}: {rest!r}"


def _raw_text(done: Execution) -> dict[str, str]:
    written: dict[str, str] = {}
    for cell in done.notebook.cells:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "stream":
                lines = "".join(_RAW_LINE.findall(output["text"]))
                written[output["name"]] = written.get(output["name"], "") + lines
    return {name: text for name, text in written.items() if text}
