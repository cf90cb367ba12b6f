"""What nbbuild reads from outside, as functions of bytes: any error but a typed one is a defect.

atheris_fuzz.py drives one of them for as long as one likes.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.config import load
from nbbuild.disk import rows
from nbbuild.disk.checksummed import seal
from nbbuild.errors import NbbuildError
from nbbuild.kernels.outputs import Assembler, TooDeep
from nbbuild.kernels.running import _BAD_OUTPUT
from nbbuild.model import ActionKey, ArtefactFile, Outcome, OutcomeKind, Record, Trace, TraceItem
from nbbuild.notebook.read import read
from nbbuild.notebook.write import to_bytes
from nbbuild.store import records
from nbbuild.tree import ledger
from nbbuild.watching import reading

KEY = "ab" * 32
_PLACE = Path(tempfile.gettempdir())


def toml(data):
    """A configuration."""
    place = _PLACE / f"nbbuild-fuzz-{id(toml)}.toml"
    place.write_bytes(data)
    try:
        with contextlib.suppress(NbbuildError):
            load.load(place)
    finally:
        place.unlink()


def notebook(data):
    """A notebook: what can be read can be written."""
    with contextlib.suppress(NbbuildError):
        to_bytes(read(_PLACE, "fuzz.ipynb", data))


def myst(data):
    """A notebook in text."""
    with contextlib.suppress(NbbuildError):
        to_bytes(read(_PLACE, "fuzz.md", data))


def record(data):
    """A record of a store, with a checksum that is right: what is read can be written."""
    found = records.decode(seal(data), key=KEY, record_id="one")
    if found is not None:
        with contextlib.suppress(NbbuildError):
            records.encode(found)


def ledger_file(data):
    """The ledger of a task."""
    ledger._decoded(seal(data))


def outcome(data):
    """An outcome in the state."""
    rows.outcome_of((b"a", data, rows.row_sum((b"a",), data)))


def account(data):
    """What a kernel's tracer says that it saw."""
    place = _PLACE / f"nbbuild-fuzz-{os.getpid()}.json"
    place.write_bytes(data)
    try:
        reading.read_report(place)
    finally:
        place.unlink()


def messages(data):
    """Messages of a kernel, one a line."""
    made = new_notebook(cells=[new_code_cell("1")])
    made.cells[0].outputs = []
    assembler = Assembler(made, session=None)
    for line in data.split(b"\n")[:20]:
        try:
            message = msgspec.json.decode(line)
            kind, content = message["msg_type"], message["content"]
            if isinstance(kind, str) and kind in _KINDS and isinstance(content, dict):
                assembler.take(message, 0)
        except (TooDeep, msgspec.DecodeError, RecursionError, *_BAD_OUTPUT):
            return  # the notebook ends here, with a failure
    assembler.finish([0])
    with contextlib.suppress(NbbuildError):
        to_bytes(made)


_KINDS = ("stream", "display_data", "execute_result", "error", "clear_output", "execute_input")

_CELLS = [
    {
        "cell_type": "code",
        "id": "a",
        "metadata": {"tags": ["parameters"], "timeout": 3},
        "source": ["x = 1\n", "x"],
        "execution_count": 1,
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["a\n"]},
            {"output_type": "display_data", "data": {"text/plain": "1"}, "metadata": {}},
            {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]},
        ],
    },
    {"cell_type": "markdown", "metadata": {}, "source": "![a](attachment:a.png)"},
    {"cell_type": "raw", "metadata": {"format": "text/x"}, "source": ""},
]
_SPEC = {"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}}
_V3_CELLS = [
    {"cell_type": "code", "input": "1", "language": "python", "outputs": [], "prompt_number": 1},
    {"cell_type": "heading", "level": 2, "source": ["a"]},
]


def _notebooks():
    for minor in range(6):
        yield {"nbformat": 4, "nbformat_minor": minor, "metadata": _SPEC, "cells": _CELLS}
    yield {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "n"},
        "worksheets": [{"cells": _V3_CELLS, "metadata": {}}],
    }


_RECORD = Record(
    id="one",
    task="a.ipynb",
    source="a.ipynb",
    key=ActionKey(KEY, ()),
    cells=KEY,
    artefacts=(ArtefactFile("a.txt", KEY, 3),),
    trace=Trace(level="syscalls", items=(TraceItem("file", "a.csv", KEY),)),
    created=1.0,
    seconds=1.0,
)
_MESSAGES = (
    {"msg_type": "stream", "content": {"name": "stdout", "text": "a\rb\n"}},
    {
        "msg_type": "display_data",
        "content": {
            "data": {"text/plain": "1", "application/json": {"a": [1]}},
            "metadata": {},
            "transient": {"display_id": "x"},
        },
    },
    {
        "msg_type": "execute_result",
        "content": {"data": {"text/html": "<b>"}, "metadata": {}, "execution_count": 1},
    },
    {"msg_type": "error", "content": {"ename": "E", "evalue": "v", "traceback": ["t"]}},
    {"msg_type": "clear_output", "content": {"wait": True}},
)
_OUTCOME = Outcome(task="a.ipynb", source="a.ipynb", kind=OutcomeKind.EXECUTED)
_CONFIG = {
    "project": {"notebooks": ["*.ipynb"], "python_path": ["src"]},
    "execution": {"jobs": 2, "timeout": 3, "warm": "auto", "max_memory": "50%"},
    "cache": {"path": "c", "max_size": "1GB", "max_age": "3 days"},
    "environment": {"env": ["A"], "files": ["x"]},
    "notebook": [{"path": "a.ipynb", "artefacts": ["o/*"], "matrix": {"a": [1, 2]}}],
}
_ACCOUNT = {
    "format": 4,
    "start": {"pid": 1, "parent": 0, "forked": False},
    "children": "",
    "records": [
        ["read", 0.0, "/a", ["f", 1, 2, 3, 4, 5], 1],
        ["child", 0.0, "sh", [], None, 4, 1],
        ["partial", 0.0, "why"],
    ],
}

SEEDS = {
    "notebook": (notebook, [*_notebooks()]),
    "record": (record, [msgspec.to_builtins(_RECORD)]),
    "ledger": (ledger_file, [msgspec.to_builtins(ledger.Ledger(task="a.ipynb"))]),
    "outcome": (
        outcome,
        [msgspec.to_builtins(_OUTCOME)],
    ),
    "account": (account, [_ACCOUNT]),
    "messages": (messages, [*_MESSAGES]),
    "config": (toml, [_CONFIG]),
    "myst": (myst, ["---\nkernelspec: {name: python3}\n---\n```{code-cell}\n1\n```\n"]),
}
"""name → what reads it, and sound examples of it."""
