"""Describe what went wrong when a notebook was executed."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Mapping
from typing import Any

from nbformat import NotebookNode

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.kernel import NotStarted, ending, plain
from nbbuild.kernels.outputs import DEEPEST
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.model import Failure
from nbbuild.text.numbering import named

_TIMEOUT_HINT = "raise '{}' in jcache.toml, under [execution] or [[notebook]]"


def said(reply: Mapping[str, Any] | None) -> str:
    """Return what a reply says went wrong."""
    told = reply or {}
    return f"{told.get('ename', told.get('status'))}: {told.get('evalue', '')}"


def cell_error(index: int, reply: Mapping[str, Any], cell: NotebookNode) -> Failure:
    """Return the failure that an execute_reply other than "ok" reports."""
    if reply.get("status") != "error":
        name = named(index + 1, cell.execution_count)
        return Failure(
            kind="error",
            message=f"the kernel refused {name}: {reply.get('status')}",
            cell=index,
        )
    shown = [output for output in cell.outputs if output["output_type"] == "error"]
    told = [*shown, reply][0]  # some kernels show a traceback that their reply lacks
    lines = plain(str(told.get("evalue", ""))).strip().splitlines()
    name = told.get("ename") or "error"
    return Failure(
        kind="error",
        message=f"{name}: {lines[0]}" if lines else name,
        cell=index,
        traceback=plain("\n".join(told.get("traceback") or ())),
    )


def too_deep(index: int) -> Failure:
    """Return the failure of a cell that shows data nested too deeply."""
    return Failure(
        kind="output",
        message=f"cell {index + 1} shows data that is nested more than {DEEPEST} levels deep",
        cell=index,
        hint="show it as text, or only the part that matters",
    )


def not_started(kernel: Kernel, error: NotStarted) -> Failure:
    """Return the failure of a kernel that did not start, with its command to try."""
    words = (word if word == "{connection_file}" else shlex.quote(word) for word in kernel.argv)
    command = " ".join(words)
    return Failure(
        kind="start",
        message=f"the kernel '{kernel.name}' does not start: {error.reason}",
        traceback=error.log,
        hint=f"try its command by hand: {command}",
    )


def died(status: int, where: str, cell: int | None, *, peak_memory: int, log: str) -> Failure:
    """Return the failure of a kernel that ended by itself with `status`, at `where`."""
    how = ending(status) if status >= 0 else f"killed by {ending(status)}"
    if status == -signal.SIGKILL:
        how += ", out of memory?"
        if peak_memory:
            how += f" It held {peak_memory / 1e6:.0f} MB at most"
    message = f"the kernel died {where}: {how}"
    return Failure(kind="died", message=message, cell=cell, traceback=log)


def orphaned(where: str, cell: int | None) -> Failure:
    """Return the failure of a kernel that ended with the launcher, at `where`."""
    message = f"the kernel died {where}: the process that starts kernels was killed"
    return Failure(kind="died", message=message, cell=cell)


def too_late(limits: TimeLimits, index: int | None, name: str, *, in_cell: bool) -> Failure:
    """Return the failure of a deadline that passed in cell `index`, called `name` in messages.

    An index of None means the start of the kernel. `in_cell`: it was the cell's own limit.
    """
    if in_cell and index is not None:
        limit = f"{limits.timeout:g} s"
        message = f"{name} ran longer than its limit of {limit}"
        return Failure(
            kind="timeout",
            message=message,
            cell=index,
            hint=_TIMEOUT_HINT.format("timeout"),
        )
    where = f"in {'the start of its kernel' if index is None else name}"
    limit = f"{limits.notebook_timeout:g} s"
    return Failure(
        kind="timeout",
        message=f"the notebook ran longer than its limit of {limit}, {where}",
        cell=index,
        hint=_TIMEOUT_HINT.format("notebook_timeout"),
    )
