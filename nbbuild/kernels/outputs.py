"""Put what a kernel publishes into a notebook's cells.

nbclient knows how display ids, `clear_output`, widgets and the Output widget work; its client is
used here as the assembler of outputs, without its event loop, its kernel manager and its waiting.
What is done differently:

* Text of one stream is gathered, however the kernel happened to cut it: all stdout, then all
  stderr, of what lies between two other outputs. Where a kernel cuts depends on time, and the same
  notebook must give the same bytes. The order of streams and displays is kept (nbclient's
  `coalesce_streams` moves all text of a cell to its first piece, and spoils later updates of
  displays by it). As there, a carriage return overwrites the line so far: progress bars.
* Gathering is by list, not by `+=`: 100 MB in small pieces must not take for ever.
* A message may belong to any cell, so a `clear_output(wait=True)` is remembered per cell.
* Outputs are plain dicts, and of the usual shape they are taken as they come: nbformat takes 0.3 ms
  to validate one, and seven times the memory to hold it.
* ipykernel calls a cell's code `/tmp/ipykernel_<pid>/<hash>.py`, a file that never exists, and each
  warning shows it. The pid goes: the same notebook must give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, TypeAlias

from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import output_from_msg

from nbbuild.kernels.session import KernelSession, Message

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
"""The messages that change what a notebook shows, whatever request they name as their parent."""

Output: TypeAlias = dict[str, Any]

_CELL_FILE = re.compile(r"ipykernel_\d+(?=[/\\]\d+\.py\b)")


class Assembler(NotebookClient):  # type: ignore[misc]  # nbclient has no types that mypy may follow
    """Applies messages to the cells of `notebook`; `finish` makes the notebook presentable."""

    def __init__(self, notebook: NotebookNode, *, session: KernelSession) -> None:
        super().__init__(notebook, record_timing=False, store_widget_state=True)
        # All that the Output widget needs of a client.
        shell = SimpleNamespace(send=session.send_message)
        self.kc = SimpleNamespace(session=session.jupyter_session, shell_channel=shell)
        self._at = 0  # the cell that the message in hand belongs to
        self._clearing: set[int] = set()  # cells whose outputs go when the next one comes

    def take(self, message: Message, index: int) -> None:
        """Apply one iopub message, of a kind in `OUTPUTS` or "execute_input", to cell `index`.

        Raises whatever a malformed message makes nbclient and nbformat raise.
        """
        self._at = index
        self.process_message(message, self.nb.cells[index], index)

    def finish(self, cells: Iterable[int]) -> None:
        """Join the gathered text of these cells, order the streams, note the widgets' state."""
        for index in cells:
            cell = self.nb.cells[index]
            cell.outputs = _in_order([_joined(output) for output in cell.outputs])
        self.set_widgets_metadata()

    # What nbclient asks for while it processes a message.

    @property
    def clear_before_next_output(self) -> bool:
        """Whether the outputs of the cell in hand go when its next output comes."""
        return self._at in self._clearing

    @clear_before_next_output.setter
    def clear_before_next_output(self, value: bool) -> None:
        (self._clearing.add if value else self._clearing.discard)(self._at)

    def output(
        self, outs: list[Output], msg: Message, display_id: str | None, cell_index: int
    ) -> Any:
        """Append an output; text goes to the piece it continues."""
        if self.output_hook_stack.get(msg["parent_header"].get("msg_id")):
            return super().output(outs, msg, display_id, cell_index)
        made = None if msg["msg_type"] == "stream" else _output(msg)
        if self.clear_before_next_output:
            outs[:] = []
            self.clear_display_id_mapping(cell_index)
            self.clear_before_next_output = False
        if made is not None:
            if display_id:
                places = self._display_id_map.setdefault(display_id, {})
                places.setdefault(cell_index, []).append(len(outs))
            outs.append(made)
            return made
        name, text = str(msg["content"]["name"]), str(msg["content"]["text"])
        for output in reversed(outs):
            if output["output_type"] != "stream":
                break
            if output["name"] == name:
                output["text"].append(text)
                return output
        outs.append({"output_type": "stream", "name": name, "text": [text]})
        return outs[-1]

    def _update_display_id(self, display_id: str, msg: Message) -> None:
        """Show in each output of this id what the message shows."""
        places = self._display_id_map.get(display_id)
        if places is None:
            return
        if msg["header"]["msg_type"] == "update_display_data":
            msg["header"]["msg_type"] = "display_data"
        shown = _output(msg)
        for index, numbers in places.items():
            outputs = self.nb["cells"][index]["outputs"]
            for number in numbers:
                outputs[number]["data"] = shown["data"]
                outputs[number]["metadata"] = shown["metadata"]


def _output(message: Message) -> Output:
    """Return the output that a message other than "stream" makes; raises as nbformat does."""
    kind, content = message["header"]["msg_type"], message["content"]
    data, metadata = content.get("data"), content.get("metadata")
    count = content.get("execution_count", 0)
    usual = (
        kind in ("display_data", "execute_result")
        and type(data) is type(metadata) is dict
        and all(type(value) is str for value in data.values())
        and type(count) is int
    )
    if not usual:  # nbformat has a closer look
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
    """Apply carriage returns: what precedes the last one inside a line is gone."""
    if "\r" not in text:
        return text
    # Not nbclient's regular expression, which is quadratic in the length of a line.
    return "\n".join(line[line.rfind("\r", 0, len(line) - 1) + 1 :] for line in text.split("\n"))


def _in_order(outputs: list[Output]) -> list[Output]:
    """Put stdout first in each run of streams: their mutual order is chance."""
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
