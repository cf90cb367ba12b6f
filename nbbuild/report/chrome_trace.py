"""A report as Chrome trace JSON, for chrome://tracing, Perfetto or Speedscope.

One row for each slot, its notebooks with their cells inside; one more row for what was put back
from the store. Slices on the critical path have `critical: true` and a colour of their own, and
arrows lead from each to the next. Times are microseconds since the build began.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from typing import Any

from nbbuild.report.document import Document, TaskRun
from nbbuild.text.printable import clean_json

_REUSED = 0  # the row below which nothing executes
_PROCESS = 1
_BAD, _CRITICAL, _PLAIN, _CELL = "terrible", "thread_state_running", "good", "grey"


def render(document: Document, earlier: Collection[Document] = ()) -> str:
    """Return the JSON of a report's trace."""
    data = {
        "displayTimeUnit": "ms",
        "otherData": {
            "nbbuild": document.nbbuild,
            "python": document.python,
            "report": document.id,
            "project": document.project,
        },
        "traceEvents": [*_rows(document), *_slices(document), *_arrows(document)],
    }
    return clean_json(json.dumps(data, ensure_ascii=False)) + "\n"


def _rows(document: Document) -> Iterator[dict[str, Any]]:
    yield _meta("process_name", _REUSED, f"nbbuild {document.project}")
    slots = sorted({one.slot for one in document.tasks if one.slot is not None})
    for slot in slots:
        yield _meta("thread_name", slot, f"slot {slot}")
    if any(one.slot is None and one.begin is not None for one in document.tasks):
        yield _meta("thread_name", _REUSED, "from the store")


def _meta(name: str, row: int, text: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": row, "name": name, "args": {"name": text}}


def _slices(document: Document) -> Iterator[dict[str, Any]]:
    critical = set(document.critical_path)
    for one in document.tasks:
        if one.begin is None or one.end is None:
            continue
        on_path = one.task in critical
        yield {
            **_slice(one.task, "notebook", _row(one), one.begin, one.end - one.begin),
            "cname": _BAD if one.bad else _CRITICAL if on_path else _PLAIN,
            "args": {
                "outcome": one.outcome,
                "critical": on_path,
                "reasons": list(one.reasons),
                "peak_memory": one.peak_memory,
                "cpu_seconds": one.cpu_seconds,
            },
        }
        for cell in one.cells:
            if cell.begin is not None and cell.seconds is not None:
                args = {"position": cell.position, "execution_count": cell.execution_count}
                name = f"In [{cell.execution_count}]"
                slice = _slice(name, "cell", _row(one), cell.begin, cell.seconds)
                yield {**slice, "cname": _CELL, "args": args}


def _slice(name: str, kind: str, row: int, begin: float, seconds: float) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": row,
        "name": name,
        "cat": kind,
        "ts": round(begin * 1e6),
        "dur": round(seconds * 1e6),
    }


def _arrows(document: Document) -> Iterator[dict[str, Any]]:
    """Yield the arrows along the critical path: each from the end of a slice to the next one."""
    tasks = {one.task: one for one in document.tasks}
    path = [tasks[name] for name in document.critical_path]
    for number, (one, following) in enumerate(itertools.pairwise(path), 1):
        if one.end is None or following.begin is None:
            continue
        arrow = {"pid": _PROCESS, "cat": "critical path", "name": "critical path", "id": number}
        # A little before the end: an arrow has to begin inside its slice.
        yield {**arrow, "ph": "s", "tid": _row(one), "ts": round(one.end * 1e6) - 1}
        begin = round(following.begin * 1e6)
        yield {**arrow, "ph": "f", "bp": "e", "tid": _row(following), "ts": begin}


def _row(task: TaskRun) -> int:
    return _REUSED if task.slot is None else task.slot
