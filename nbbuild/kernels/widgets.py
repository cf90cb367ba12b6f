"""Keep the state of a notebook's widgets, and capture outputs for Output widgets, as nbclient does.

This uses nbclient's client without its event loop, its kernel manager and its waiting, and is
imported only for notebooks that make widgets.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nbclient import NotebookClient
from nbformat import NotebookNode

from nbbuild.kernels.kernel import RunningKernel
from nbbuild.kernels.wire import Message


class Widgets(NotebookClient):  # type: ignore[misc]  # nbclient has no types that mypy may follow
    """The widgets of `notebook`; `set_widgets_metadata` writes their state into it."""

    def __init__(self, notebook: NotebookNode, *, session: RunningKernel) -> None:
        super().__init__(notebook, record_timing=False, store_widget_state=True)
        # The Output widget needs only this of a client.
        shell = SimpleNamespace(send=session.send_message)
        self.kc = SimpleNamespace(session=session.jupyter_session, shell_channel=shell)

    def hook(self, message: Message) -> Any:
        """Return the Output widget that captures this output, None when there is none."""
        capturing = self.output_hook_stack.get(message["parent_header"].get("msg_id"))
        return capturing[-1] if capturing else None
