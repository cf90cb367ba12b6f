"""Take what was seen of a run from outside, without what Python's import system does by itself."""

from __future__ import annotations

import math
import re
from typing import Final

from nbbuild.watching.lines import (
    Account,
    AccountLine,
    EnterLine,
    KernelReport,
    ListLine,
    PartialLine,
    PathLine,
    ReadLine,
    ScanLine,
    UseLine,
    parsed,
)
from nbbuild.watching.seen import Seen

_LANDMARK: Final = re.compile(r"/(lib/python[0-9.]+|pyvenv\.cfg|pybuilddir\.txt|python[0-9]*\.zip)")
"""What an interpreter looks for when it starts, to find its own folder."""


def from_outside(
    seen: Seen | None, accounts: list[Account], report: KernelReport, partial: list[str]
) -> list[tuple[AccountLine, int]]:
    """Return the lines seen from outside, each with its process, without the import system's own.

    A watched Python reports in its own account what it listed, and why. Before that account begins,
    the interpreter looks for its own parts: then only files that it read count, and paths outside
    the folders that it searches.
    """
    if seen is None:
        return []
    partial += [f"system calls were not watched: {seen.blind}"] if seen.blind else seen.missed
    lines = parsed([record for _, record in seen.records], 0, partial)
    if len(lines) != len(seen.records):
        return []
    pythons = _Pythons(seen, accounts, report)
    return [
        (line, pid)
        for (pid, _), line in zip(seen.records, lines, strict=True)
        if pythons.leave(pid, line)
    ]


class _Pythons:
    """The interpreters of one run: when each one's account begins, and what it asks by itself."""

    def __init__(self, seen: Seen, accounts: list[Account], report: KernelReport) -> None:
        kernel = accounts[0][0]
        self._kernel = kernel.pid
        self._began = {process.pid: _began(lines) for process, lines in accounts}
        self._scanned: dict[tuple[int, str], float] = {
            (process.pid, line.path): math.inf
            for process, lines in accounts
            for line in lines
            if isinstance(line, ScanLine)
        }
        for path, count in report.scanned.items():
            self._scanned[kernel.pid, path] = count
        self._counts = {(pid, path): count for pid, path, count in seen.opened}
        self._starts = {  # when a process ran its last program before its account begins
            pid: max(
                (when for who, when, _ in seen.execs if who == pid and when <= since), default=0.0
            )
            for pid, since in self._began.items()
        }
        self._became = {
            pid: when
            for pid, when, _ in seen.execs
            if pid in self._began and when > self._began[pid]
        }
        self._searched = {entry.rstrip("/") for entry in report.path} | {kernel.cwd}
        pythons = {pid for pid, _, name in seen.execs if name.startswith("python")}
        self._silent = pythons - set(self._began)
        self._elsewhere = {
            folder for folder in self._searched if not f"{folder}/".startswith(kernel.cwd)
        }

    def leave(self, pid: int, line: AccountLine) -> bool:
        """Whether `line` of process `pid` stays when those of the import system are removed."""
        path = str(getattr(line, "path", ""))
        listing = isinstance(line, ListLine)
        folder = path if listing else path.rpartition("/")[0]
        found = isinstance(line, ReadLine) and line.stat is not None
        if pid in self._silent and folder in self._elsewhere:
            return found  # otherwise it is looking for modules
        if pid not in self._began or line.time >= self._became.get(pid, math.inf):
            return True  # not Python, or no longer
        if self._starts[pid] <= line.time < self._began[pid]:
            searching = folder in self._searched or _LANDMARK.search(path)
            if pid == self._kernel and not searching:
                return listing or found or (isinstance(line, UseLine) and line.stat is None)
            return found
        by_itself = listing or isinstance(line, EnterLine)
        opened = self._counts.get((pid, path), 1)
        return not by_itself or opened > self._scanned.get((pid, path), 0)


def _began(lines: list[AccountLine]) -> float:
    """Return when the account of a process begins."""
    # A zygote's lines are older; a process reports its search path when its watching begins.
    times = [line.time for line in lines if isinstance(line, PathLine)]
    times = times or [line.time for line in lines if not isinstance(line, PartialLine)]
    return min(times, default=0.0)
