"""From save to output: one cell is edited again and again while `nbbuild watch` runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks import corpora, peers
from benchmarks.measure import Contender, Failed, Run
from benchmarks.results import Bar, Result

NOTEBOOKS = 10
LIMIT = 0.5  # seconds from save to output
PAUSE = 1.0  # seconds between an output and the next edit, as somebody who types quickly
_PATIENCE = 60.0  # seconds until an output counts as missing
_TICK = 0.001


def saving(work: Path, rounds: int, *, edits: int = 50, pause: float = PAUSE) -> Result:
    """From save to the new output of a one-cell edit in a light notebook, 50 edits, in `watch`."""
    root = work / "saving"
    taken = seconds(root, edits, pause=pause)
    watch = Contender("nbbuild watch", peers.nbbuild("watch"), root)
    watch.runs += [Run(wall=one, cpu=0.0, peak=0) for one in taken]
    bars = (
        Bar("from save to output, median", statistics.median(taken), LIMIT, "s"),
        Bar("from save to output, worst", max(taken), LIMIT, "s"),
    )
    return Result(f"{edits} edits of a light notebook, watched", (watch,), bars)


def seconds(root: Path, edits: int, *, pause: float) -> list[float]:
    """Edit a notebook so many times; return the seconds until each new output is there."""
    path, *_ = corpora.project(root, [corpora.trivial(number) for number in range(NOTEBOOKS)])
    built = root / "_build/executed" / path.relative_to(root)
    taken = []
    with _watching(root):
        for number in range(edits):
            threading.Event().wait(pause)
            taken.append(_edit(path, built, f"edit {number} of {edits}"))
    return taken


def _edit(path: Path, built: Path, text: str) -> float:
    """Save another last cell as Jupyter does, in one step; return the seconds to its output."""
    draft = path.with_name(f".~{path.name}")
    draft.write_text(corpora.notebook(["value = 1", f"print({text!r})"]), encoding="utf-8")
    wanted = f'"{text}\\n"'
    began = time.monotonic()
    draft.replace(path)
    while time.monotonic() < began + _PATIENCE:
        with suppress(OSError):
            if wanted in built.read_text(encoding="utf-8"):
                return time.monotonic() - began
        time.sleep(_TICK)
    raise Failed(f"'{text}' is missing from {built}")


@contextmanager
def _watching(root: Path) -> Iterator[None]:
    """Watch `root` in a process; the body begins once the first build is done."""
    environ = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    with subprocess.Popen(
        peers.nbbuild("watch"), cwd=root, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if line.startswith("watching "):
                    break
            else:
                raise Failed(f"nbbuild watch ended:\n{''.join(said)}")
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield
        finally:
            process.terminate()
    if process.returncode != 130:
        raise Failed(f"nbbuild watch ended with {process.returncode}")
