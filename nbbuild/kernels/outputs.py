"""Put what a kernel publishes into a notebook's cells.

Display ids and `clear_output` work as in nbclient, which also keeps the state of widgets (see
nbbuild.kernels.widgets) once a notebook makes one. The differences:

* The pieces of text between two other outputs are joined: all stdout, then all stderr. Where a
  kernel cuts its streams depends on timing, and the same notebook must give the same bytes. The
  order of streams and displays is kept. (nbclient's `coalesce_streams` moves all text of a cell to
  its first piece, which spoils later updates of displays.) As in nbclient, a carriage return
  overwrites the line so far, for progress bars.
* Pieces are collected in a list, not by `+=`: 100 MB in small pieces must not take for ever.
* A message may belong to any cell, so a `clear_output(wait=True)` is remembered per cell.
* Outputs are plain dicts. Those of the usual shape are not validated: nbformat needs 0.3 ms to
  validate one, and seven times the memory to hold it.
* ipykernel calls a cell's code `/tmp/ipykernel_<pid>/<hash>.py`, a file that never exists, and each
  warning shows it. The pid is removed: the same notebook must give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from nbformat import NotebookNode
from nbformat.v4 import output_from_msg

from nbbuild.kernels.kernel import RunningKernel
from nbbuild.kernels.wire import Message

if TYPE_CHECKING:
    from nbbuild.kernels.widgets import Widgets

OUTPUTS = frozenset(
    {
        "clear_output",
        "comm_close",
        "comm_msg",
        "comm_open",
        "display_data",
        "error",
        "execute_result",
        "stream",
        "update_display_data",
    }
)
"""The messages that change what a notebook shows, whatever their parent request is."""

Output: TypeAlias = dict[str, Any]

DEEPEST = 200
"""Levels of nesting that an output may have; Jupyter's own tools fail somewhere above that."""

_CELL_FILE = re.compile(r"ipykernel_\d+(?=[/\\]\d+\.py\b)")


class TooDeep(Exception):
    """An output is nested so deeply that no notebook can hold it."""


class Assembler:
    """Applies messages to the cells of `notebook`; `finish` makes the result ready to save."""

    def __init__(self, notebook: NotebookNode, *, session: RunningKernel) -> None:
        self._notebook = notebook
        self._session = session
        self._widgets: Widgets | None = None  # until the notebook makes one
        self._shown: dict[str, list[tuple[int, int]]] = {}  # display id → cells and outputs
        self._named: dict[int, set[str]] = {}  # cell → display ids shown in it
        self._clearing: set[int] = set()  # cells whose next output replaces the earlier ones

    def take(self, message: Message, index: int) -> None:
        """Apply one iopub message, of a kind in `OUTPUTS` or "execute_input", to cell `index`.

        Raises TooDeep, and for a malformed message whatever nbclient and nbformat raise.
        """
        cell, content = self._notebook.cells[index], message["content"]
        if _is_deeper(content, DEEPEST):
            raise TooDeep
        if "execution_count" in content:
            cell["execution_count"] = content["execution_count"]
        kind = message["msg_type"]
        if kind == "execute_input":
            return
        if kind.startswith("comm"):
            _check_comm(content)
            self._with_widgets().handle_comm_msg(cell.outputs, message, index)
            return
        hook = self._widgets.hook(message) if self._widgets is not None else None
        if kind != "clear_output":
            self._show(message, index, hook)
        elif hook is not None:
            hook.clear_output(cell.outputs, message, index)
        elif content.get("wait"):
            self._clearing.add(index)
        else:
            self._clear(index)

    def _show(self, message: Message, index: int, hook: Any) -> None:
        """Apply an output, or an update of one, to cell `index`; `hook` captures a new output."""
        kind, content = message["msg_type"], message["content"]
        name = (content.get("transient") or {}).get("display_id")
        if name:
            self._update(name, message)
        if kind == "update_display_data":
            return
        if hook is not None:
            hook.output(self._notebook.cells[index].outputs, message, name, index)
        elif kind == "stream":
            self._stream(index, str(content["name"]), str(content["text"]))
        else:
            self._output(index, name, _made(message))

    def finish(self, cells: Iterable[int]) -> None:
        """Join the collected text of these cells, order streams, note the widgets' state."""
        for index in cells:
            cell = self._notebook.cells[index]
            cell.outputs = _in_order([_joined(output) for output in cell.outputs])
        if self._widgets is not None:
            self._widgets.set_widgets_metadata()

    def _stream(self, index: int, name: str, text: str) -> None:
        """Append text to the piece that it continues."""
        if index in self._clearing:
            self._clear(index)
        outputs = self._notebook.cells[index].outputs
        for output in reversed(outputs):
            if output["output_type"] != "stream":
                break
            if output["name"] == name:
                output["text"].append(text)
                return
        outputs.append({"output_type": "stream", "name": name, "text": [text]})

    def _output(self, index: int, name: str | None, output: Output) -> None:
        """Append an output; later messages can update it by `name`, if it has one."""
        if index in self._clearing:
            self._clear(index)
        outputs = self._notebook.cells[index].outputs
        if name:
            self._shown.setdefault(name, []).append((index, len(outputs)))
            self._named.setdefault(index, set()).add(name)
        outputs.append(output)

    def _update(self, name: str, message: Message) -> None:
        """Update every output that was shown with the display id `name`."""
        if name not in self._shown:
            return
        if message["header"]["msg_type"] == "update_display_data":
            message["header"]["msg_type"] = "display_data"
        output = _made(message)
        for index, place in self._shown[name]:
            shown = self._notebook.cells[index].outputs[place]
            shown["data"], shown["metadata"] = output["data"], output["metadata"]

    def _clear(self, index: int) -> None:
        self._clearing.discard(index)
        self._notebook.cells[index].outputs[:] = []
        for name in self._named.pop(index, ()):
            self._shown[name] = [place for place in self._shown[name] if place[0] != index]

    def _with_widgets(self) -> Widgets:
        if self._widgets is None:
            # Only now: few notebooks have widgets, and nbclient brings all of jupyter_client.
            from nbbuild.kernels.widgets import Widgets

            self._widgets = Widgets(self._notebook, session=self._session)
        return self._widgets


def _is_deeper(value: Any, most: int) -> bool:
    """Whether `value` has more than `most` levels; goes level by level, without recursion."""
    level = [value]
    for _ in range(most):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list) and item
        ]
        if not level:
            return False
    return True


def _check_comm(content: Any) -> None:
    """Raise TypeError for what nbclient would take and could not write into a notebook."""
    state = content["data"].get("state", {})
    if not isinstance(content["comm_id"], str) or not isinstance(state, dict):
        raise TypeError("the id of a comm is no text, or its state is no object")


def _made(message: Message) -> Output:
    """Return the output of a message other than "stream"; raises as nbformat does."""
    kind, content = message["header"]["msg_type"], message["content"]
    data, metadata = content.get("data"), content.get("metadata")
    count = content.get("execution_count", 0)
    usual = (
        kind in ("display_data", "execute_result")
        and type(data) is type(metadata) is dict
        and all(type(value) is str for value in data.values())
        and type(count) is int
    )
    if not usual:  # nbformat looks more closely
        checked: Output = _plain(output_from_msg(message))
        return checked
    output = {"output_type": kind, "data": data, "metadata": metadata}
    return output if kind == "display_data" else {**output, "execution_count": count}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _joined(output: Output) -> Output:
    if output["output_type"] == "stream" and isinstance(output["text"], list):
        output["text"] = _without_pid(_overwritten("".join(output["text"])))
    elif output["output_type"] == "error":
        output["traceback"] = [_without_pid(line) for line in output["traceback"]]
    return output


def _without_pid(text: str) -> str:
    return _CELL_FILE.sub("ipykernel", text)


def _overwritten(text: str) -> str:
    """Apply carriage returns: remove what precedes the last one inside a line."""
    if "\r" not in text:
        return text
    # Not nbclient's regular expression, which is quadratic in the length of a line.
    return "\n".join(line[line.rfind("\r", 0, len(line) - 1) + 1 :] for line in text.split("\n"))


def _in_order(outputs: list[Output]) -> list[Output]:
    """Put stdout first in each run of streams, since their order is chance."""
    ordered: list[Output] = []
    run: list[Output] = []
    for output in outputs:
        if output["output_type"] == "stream":
            run.append(output)
        else:
            ordered += [*sorted(run, key=_is_not_stdout), output]
            run = []
    return ordered + sorted(run, key=_is_not_stdout)


def _is_not_stdout(output: Output) -> bool:
    return bool(output["name"] != "stdout")
