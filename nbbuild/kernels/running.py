"""Run one notebook in a kernel: its cells in order, with their deadlines and answers.

A cell is done when its reply *and* its idle status have come: they travel on two sockets, and the
outputs come before the idle, not before the reply. A reply without its idle is never accepted as
success (kind "lost"). After the last cell the kernel has to answer once more; by then everything
that it published before has arrived, even from threads that still print.

Deadlines are kept here. A cell past its limit is interrupted, so that its outputs so far can be
collected; it has failed, whatever it does with the interrupt.

Every wait is a poll over the kernel's sockets and its process, so a death is noticed at once.
`cancelled` is checked each `session.TICK`.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from nbformat import NotebookNode, ValidationError

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels import raw_text
from nbbuild.kernels.failures import (
    cell_error,
    died,
    not_started,
    orphaned,
    said,
    too_deep,
    too_late,
)
from nbbuild.kernels.kernel import (
    KEEP_ALL,
    SHUTDOWN_PATIENCE,
    TICK,
    Channel,
    Garbled,
    NotStarted,
    RunningKernel,
)
from nbbuild.kernels.outputs import OUTPUTS, Assembler, TooDeep
from nbbuild.kernels.wanted import TimeLimits
from nbbuild.kernels.wire import Message
from nbbuild.model import Failure
from nbbuild.notebook.skipped import is_skipped
from nbbuild.text.numbering import named
from nbbuild.watching.seen import Seen

INTERRUPT_GRACE = 2.0
"""Seconds for an interrupted cell to hand in its partial output."""

ANEW = 2
"""How often a kernel that died before its first cell is replaced, the last time by a stock one."""

LOST_AFTER = 30.0
"""Seconds of silence after which the missing half of an answer counts as lost."""

_CUT_SHORT = (
    f"the kernel did not exit within {SHUTDOWN_PATIENCE:g} s and was killed: exit hooks, and "
    "files that the notebook did not close, may be incomplete"
)
_UNPREPARED = "the kernel could not be prepared, so outputs may be lost if there are very many"
_UNTOLD = "the kernel did not report what it used"
_BAD_OUTPUT = (
    *(LookupError, TypeError, ValueError, AttributeError, AssertionError),
    ValidationError,
)


class _Stop(Exception):
    """The notebook stops here; without a failure, it was cancelled."""

    def __init__(self, failure: Failure | None) -> None:
        super().__init__(failure)
        self.failure = failure


class _Died(Exception):
    """The kernel's process ended."""


class _DiedEarly(Exception):
    """It ended before it was sent a cell, so another one may run the notebook."""


class NotebookRun:
    """One execution in progress."""

    def __init__(
        self,
        notebook: NotebookNode,
        *,
        kernel: Kernel,
        allow_errors: bool,
        limits: TimeLimits,
        cancelled: threading.Event,
        on_cell: Callable[[int, int], None],
        on_end: Callable[[], None],
        before: Sequence[str],
        after: Sequence[str],
    ) -> None:
        self.notebook = notebook
        self.began = time.monotonic()
        self.cell_seconds: list[float] = []
        self.failure: Failure | None = None
        self.stopped = False
        self.notes: list[str] = []
        self.cut_short = False
        self.orphaned = False
        self.preloads: tuple[str, ...] = ()
        self.preload_seconds = 0.0
        self.shortfall = ""
        self.peak_memory, self.cpu_seconds = 0, 0.0
        self.seen: Seen | None = None
        self.cells_began: list[float] = []
        self._kernel = kernel
        self._allow_errors = allow_errors
        self._limits = limits
        self._cancelled = cancelled
        self._on_cell, self._on_end = on_cell, on_end
        self._before, self._after = before, after
        self._deadline = self.began + (limits.notebook_timeout or math.inf)
        self._cells = [index for index, cell in enumerate(notebook.cells) if _runs(cell)]
        self._current: int | None = None  # the cell that began last
        self._cell_of: dict[str, int] = {}  # request → cell
        self._silent: set[str] = set()  # requests that belong to no cell
        self._finished = False  # later outputs, of exit hooks for example, belong to no cell
        # The request that we wait for, and the parts of its answer so far.
        self._request = ""
        self._reply: Mapping[str, Any] | None = None
        self._idle = False
        self._heard = 0.0

    def perform(self, begin: Callable[[int], RunningKernel]) -> None:
        """Start a kernel with `begin`, run the cells, end it; the result is in the attributes.

        `begin` gets the number of kernels that died before they were sent a cell, because somebody
        killed them or the process that they were forked from.
        """
        for index in self._cells:
            _make_blank(self.notebook.cells[index])
        for before in range(ANEW + 1):
            try:
                session = begin(before)
            except _Stop as stop:
                self.stopped, self.failure = True, stop.failure
                return
            except NotStarted as error:
                self.failure = not_started(self._kernel, error)
                return
            self.preloads = session.process.preloads
            self.preload_seconds = session.process.preload_seconds
            self.shortfall = session.process.shortfall
            try:
                self._run_cells(session, last=before == ANEW)
            except _DiedEarly:
                continue
            finally:
                session.close()
                self.seen = session.process.seen
                self.peak_memory = session.process.peak_memory
                self.cpu_seconds = session.process.cpu_seconds
            return

    def _run_cells(self, session: RunningKernel, *, last: bool) -> None:
        """Run the cells. May raise _DiedEarly, unless this is the `last` kernel to try."""
        assembler = Assembler(self.notebook, session=session)
        if "language_info" in session.info:
            self.notebook.metadata["language_info"] = session.info["language_info"]
        self._session, self._assembler = session, assembler
        self._finished = False
        self.cells_began.clear()
        try:
            self._silently(KEEP_ALL, raw_text.CODE, *self._before, otherwise=_UNPREPARED)
            for number, index in enumerate(self._cells, 1):
                self._on_cell(number, len(self._cells))
                self.cells_began.append(time.monotonic())
                self._execute_cell(number, index)
                if self._exited(number, index):
                    break
            else:
                self._flush()
        except _Stop as stop:
            self.stopped, self.failure = True, stop.failure
            self._flush_after(stop.failure)
        except _Died:
            if self._current is None and not last:
                raise _DiedEarly from None
            self.failure = self._death()
        except Garbled as error:
            self.failure = self._lost(f"a message of the kernel cannot be read: {error}")
        finally:
            self._finished = True
            assembler.finish(self._cells)
        self._on_end()
        # After an error of its own, the notebook may still clean up after itself.
        in_peace = not self.stopped or (self.failure is not None and self.failure.kind == "error")
        if in_peace and session.process.poll() is None:
            # The cells are done: their outputs do not depend on this.
            with contextlib.suppress(_Stop, _Died, Garbled):
                self._silently(session.leave, *self._after, otherwise=_UNTOLD)
        if in_peace and not session.shut_down(cancelled=self._cancelled.is_set):
            self.notes.append(_CUT_SHORT)
            self.cut_short = True
        if session.late is not None:
            self.notes.append(session.late.note)
            self.cut_short = self.cut_short or session.late.files != ()

    def _silently(self, *codes: str, otherwise: str) -> None:
        """Have an IPython kernel run `codes` without a trace; note `otherwise` if that fails.

        They go in one request, since answering one takes such a kernel longer than many cells.
        """
        if self._kernel.interpreter is None:
            return
        code = "\n".join(codes)
        content = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
        self._ask("execute_request", content)
        self._silent.add(self._request)
        if not self._answered(until=self._deadline):
            raise _Stop(self._too_late(self._current, in_cell=False))
        if (self._reply or {}).get("status") != "ok":
            self.notes.append(f"{otherwise}: {said(self._reply)}")

    # Cells.

    def _execute_cell(self, number: int, index: int) -> None:
        cell = self.notebook.cells[index]
        began = time.monotonic()
        limit = self._limits.timeout or math.inf
        allowed = self._allow_errors or "raises-exception" in cell.metadata.get("tags", [])
        if self._session.process.poll() is not None:
            raise _Died  # between two cells: the message names the earlier one
        self._current = index
        content = {
            "code": cell.source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": not allowed,
        }
        self._ask("execute_request", content, cell=index)
        try:
            if not self._answered(until=min(self._deadline, began + limit)):
                self._interrupt()
                raise _Stop(self._too_late(index, in_cell=began + limit <= self._deadline))
        finally:
            self.cell_seconds.append(time.monotonic() - began)
        cell["execution_count"] = number
        reply = self._reply or {}
        if reply.get("status") != "ok" and not (allowed and reply.get("status") == "error"):
            raise _Stop(cell_error(index, reply, cell))

    def _exited(self, number: int, index: int) -> bool:
        """Return whether the cell ended the kernel by `exit()`, as only the last one may."""
        if not _asks_exit(self._reply):
            return False
        if number < len(self._cells):
            where = f"in {self._name(index)}, before its last cell"
            raise _Stop(
                Failure(
                    kind="error",
                    message=f"the notebook called exit() {where}",
                    cell=index,
                    hint="tag the cells that should not run 'skip-execution', or remove them",
                )
            )
        return True

    def _flush(self) -> None:
        """Have the kernel answer once more: by then all that it published before has arrived."""
        self._ask("kernel_info_request", {})
        if not self._answered(until=self._deadline):
            raise _Stop(self._too_late(self._current, in_cell=False))

    def _flush_after(self, failure: Failure | None) -> None:
        """Do the same after an error of the notebook's own."""
        if failure is not None and failure.kind == "error":
            with contextlib.suppress(_Stop, _Died, Garbled):  # there is a failure already
                self._flush()

    # Waiting.

    def _ask(self, kind: str, content: Mapping[str, Any], *, cell: int | None = None) -> None:
        self._reply, self._idle, self._heard = None, False, time.monotonic()
        if cell is None:
            self._request = self._session.send(kind, content)
        else:
            self._request = self._session.execute_cell(cell, content)
            self._cell_of[self._request] = cell

    def _answered(self, *, until: float) -> bool:
        """Wait for reply and idle; return False if they have not both come by `until`.

        Raises:
            _Stop: the notebook was cancelled, or half of the answer got lost.
            _Died: the kernel ended before it answered.
            Garbled: a message cannot be read.
        """
        while not (self._reply is not None and self._idle):
            now = time.monotonic()
            if self._cancelled.is_set():
                raise _Stop(None)
            if now >= until:
                return False
            half = self._reply is not None or self._idle or self._flushing
            if half and now - self._heard > LOST_AFTER:
                raise _Stop(self._lost(f"the kernel sent nothing for {LOST_AFTER:g} s"))
            for channel, message in self._session.receive(min(TICK, until - now)):
                self._take(channel, message)
            if self._session.process.poll() is not None:
                for channel, message in self._session.drain():
                    self._take(channel, message)
                break
        # A kernel that was asked to exit may end before it says that it is idle.
        if (self._reply is None or not self._idle) and not _asks_exit(self._reply):
            raise _Died
        return time.monotonic() < until

    @property
    def _flushing(self) -> bool:
        return self._request not in self._cell_of

    def _interrupt(self) -> None:
        """Interrupt the cell and collect its outputs; how it ends does not matter."""
        self._session.interrupt()
        try:
            self._answered(until=time.monotonic() + INTERRUPT_GRACE)
        except (_Died, Garbled):
            pass  # the cell is too late anyway
        except _Stop as stop:
            if stop.failure is None:
                raise

    def check(self) -> None:
        """Raise _Stop if, while the kernel starts, the notebook is cancelled or out of time."""
        if self._cancelled.is_set():
            raise _Stop(None)
        if time.monotonic() >= self._deadline:
            raise _Stop(self._too_late(None, in_cell=False))

    def _take(self, channel: Channel, message: Message) -> None:
        parent = message["parent_header"].get("msg_id")
        kind, content = message["msg_type"], message["content"]
        self._heard = time.monotonic()
        if channel is Channel.SHELL:
            if parent == self._request:
                self._reply = content
        elif kind == "status":
            if parent == self._request and content.get("execution_state") == "idle":
                self._idle = True
        elif parent in self._silent or self._finished:
            pass  # from a callback of the notebook's own that ran during code of ours
        elif kind in OUTPUTS or (kind == "execute_input" and parent in self._cell_of):
            index = self._cell_of.get(parent, self._current)
            if index is not None:
                try:
                    self._assembler.take(message, index)
                except TooDeep:
                    raise _Stop(too_deep(index)) from None
                except _BAD_OUTPUT as error:
                    raise Garbled(f"{kind} in {self._name(index)}: {error!r}") from error

    # Words for what went wrong.

    def told(self) -> Failure | None:
        """Return the failure with its cell's execution count."""
        failure = self.failure
        if failure is None or failure.cell is None:
            return failure
        return msgspec.structs.replace(failure, execution_count=self._count(failure.cell))

    def _count(self, index: int) -> int | None:
        """Return the execution count that a cell has or would have."""
        return self._cells.index(index) + 1 if index in self._cells else None

    def _name(self, index: int) -> str:
        return named(index + 1, self._count(index))

    def _death(self) -> Failure:
        process = self._session.process
        status, log = process.poll() or 0, self._session.log_tail()
        self._session.close()
        cell = self._current
        if cell is None:
            where = "before the first cell"
        elif self._cell_of.get(self._request) == cell and self._reply is None:
            where = f"in {self._name(cell)}"
        else:
            where = f"after {self._name(cell)}"
        self.orphaned = process.orphaned
        if process.orphaned:
            return orphaned(where, cell)
        return died(status, where, cell, peak_memory=process.peak_memory, log=log)

    def _lost(self, reason: str) -> Failure:
        return Failure(
            kind="lost",
            message=f"outputs may be missing: {reason.splitlines()[0] if reason else ''}",
            cell=self._current,
            traceback=self._session.log_tail(),
        )

    def _too_late(self, index: int | None, *, in_cell: bool) -> Failure:
        name = "" if index is None else self._name(index)
        return too_late(self._limits, index, name, in_cell=in_cell)


def _runs(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip()) and not is_skipped(cell)


def _asks_exit(reply: Mapping[str, Any] | None) -> bool:
    payload = (reply or {}).get("payload") or ()
    return any(p.get("source") == "ask_exit" and not p.get("keepkernel") for p in payload)


def _make_blank(cell: NotebookNode) -> None:
    """Remove what an earlier execution left in a cell that will run."""
    cell.outputs, cell.execution_count = [], None
    cell.metadata.pop("execution", None)  # times of day
