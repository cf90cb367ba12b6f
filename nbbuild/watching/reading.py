"""Read a watched kernel's own account, and the logs of its children.

Nothing in them is trusted: a notebook can write there, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nbbuild.disk.shapes import Misshapen
from nbbuild.watching.folding import fold
from nbbuild.watching.injection import FORMAT
from nbbuild.watching.lines import REPORT, Account, KernelReport, StartLine, parsed
from nbbuild.watching.observed import Observed, WatchedProcess
from nbbuild.watching.seen import Seen


def read_report(path: Path, seen: Seen | None = None) -> Observed | None:
    """Return what the account at `path` and the logs of the children say; None if there is none.

    What was `seen` from outside is added. For an account that cannot be understood, the result is
    partial.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    partial: list[str] = []
    try:
        report = _report(data)
    except (ValueError, RecursionError) as error:  # msgspec's ValidationError is a ValueError
        return Observed(partial=(f"the kernel's account cannot be read: {error}",))
    if report.format != FORMAT:
        return Observed(partial=(f"the kernel's account has format {report.format}",))
    kernel = report.start or WatchedProcess(pid=0, parent=0, forked=False)
    accounts = [(kernel, parsed(report.records, kernel.pid, partial))]
    if report.children:
        accounts += _logs(Path(report.children), partial)
    return fold(accounts, report, partial, seen)


def _report(data: bytes) -> KernelReport:
    try:
        return REPORT.from_json(data)
    except Misshapen:
        # Less strict: paths may hold bytes that are not text.
        return REPORT.from_plain(json.loads(data))


def only_seen(seen: Seen) -> Observed:
    """Return what a kernel without a tracer did, as `seen` from outside."""
    kernel = WatchedProcess(pid=0, parent=0, forked=False)
    observed = fold([(kernel, [])], KernelReport(format=FORMAT, records=[]), [], seen)
    return msgspec.structs.replace(observed, level="none") if seen.blind else observed


def _logs(folder: Path, partial: list[str]) -> Iterator[Account]:
    """Yield the accounts of the children."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208, names are what is needed
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        partial.append(f"the accounts of the children cannot be read: {error}")
        return
    for name in names:
        pid = name.partition("-")[0]
        try:
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            partial.append(f"the account of process {pid} cannot be read: {error.strerror}")
            continue
        raw = []
        for number, line in enumerate(lines):
            try:
                if line:
                    raw.append(json.loads(line))
            except (ValueError, RecursionError):
                last = "breaks off" if number == len(lines) - 1 else "is damaged"
                partial.append(f"the account of process {pid} {last}")
        records = parsed(raw, int(pid) if pid.isdigit() else 0, partial)
        starts = [record.process for record in records if isinstance(record, StartLine)]
        if starts:
            yield starts[0], records
        else:
            partial.append(f"the account of process {pid} has no beginning")
