"""The file in a project that stands for an attempt which is executed elsewhere.

A worker that finds it sees this project, and no copy: nobody can guess its name. One that loses it
stops. While the attempt runs, it holds which cell began last, for builds that hear nothing else.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nbbuild.building.executors import Begun
from nbbuild.disk.durable import below_private, writing
from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import DOT, JOBS
from nbbuild.disk.regular import read

_CELL = re.compile(rb"cell (\d{1,9}) of (\d{1,9})\n")


@contextmanager
def marked(root: Path, key: str, begun: Begun, *, outlives: bool) -> Iterator[Path]:
    """Yield the mark of an attempt at `key`, which is there for as long as the block lasts.

    It is locked, so that a killed build ends the job, unless the job `outlives` its build: then the
    mark is for `Jobs` to make, and stays until the job is settled.
    """
    folder = root / DOT / JOBS
    name = f"{key[:12]}-{secrets.token_hex(8)}"
    if outlives:
        mark = Path(begun.mark) if begun.mark else folder / f"{name}.job"
        with writing("a job cannot be noted", mark):
            below_private(folder)
        yield mark
        return
    mark = folder / f"{name}.lock"
    with writing("a job cannot be noted", mark):
        below_private(folder)
    try:
        with lock(mark):
            yield mark
    finally:
        mark.unlink(missing_ok=True)


def note_cell(mark: Path, number: int, total: int) -> None:
    """Note in a mark, if it is still there, which cell begins."""
    with suppress(OSError):
        descriptor = os.open(mark, os.O_WRONLY | ONLY_HERE)
        try:
            os.pwrite(descriptor, text := f"cell {number} of {total}\n".encode(), 0)
            os.ftruncate(descriptor, len(text))
        finally:
            os.close(descriptor)


def noted_cell(mark: Path) -> tuple[int, int] | None:
    """Return the number of the cell that a mark notes, and how many there are."""
    with suppress(OSError):
        found = _CELL.fullmatch(read(mark))
        if found is not None:
            return int(found[1]), int(found[2])
    return None
