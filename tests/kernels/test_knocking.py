"""What comes while the other end is sending is read, though ZeroMQ's announcement is gone."""

import itertools
from collections.abc import Callable

import pytest
import zmq

from nbbuild.kernels import session
from nbbuild.kernels.kernel import Channel
from nbbuild.kernels.knocking import Knocking
from nbbuild.kernels.portable import PortableKernel
from nbbuild.kernels.session import KernelSession

OVERLOOKS = """
import threading
kernel = get_ipython().kernel
thread, socket = getattr(kernel, "shell_channel_thread", None), kernel.shell_stream.socket
def overlook(begun):
    # What a reply does in the worst moment: it swallows the announcement of what has just come.
    begun.set()
    print("came:", bool(socket.poll(20_000)), file=open("came", "a"))
def captured():
    if thread is not None:
        begun = threading.Event()
        thread.io_loop.add_callback(overlook, begun)
        begun.wait()
    with out: print("captured")
if thread is not None:
    # From ipykernel 7 on. Up to 7.3 it replies like this: behind the back of the one who reads.
    replies = thread.manager._main_to_shell_channel
    thread.io_loop.add_callback(replies.on_recv, thread.io_loop, socket.send_multipart)
"""
SETUP = "import ipywidgets\nout = ipywidgets.Output()"
CAPTURES = "captured()"
SYNCED = "print([one['text'] for one in out.outputs])"


@pytest.mark.parametrize(
    "way", [pytest.param("0", marks=pytest.mark.own_way("one of the two")), "1"]
)
def test_what_a_widget_sent_as_a_cell_ended_is_read(run, way, monkeypatch, tmp_path):
    monkeypatch.setenv("NBBUILD_PORTABLE", way)

    done = run(OVERLOOKS, SETUP, CAPTURES, SYNCED, CAPTURES, SYNCED, timeout=30)

    assert done.failure is None
    assert [one["text"] for cell in done.notebook.cells for one in cell.outputs] == [
        "['captured\\n']\n",
        "['captured\\ncaptured\\n']\n",
    ]
    came = tmp_path / "came"
    assert not came.exists() or came.read_text() == "came: True\n" * 2


def test_a_reply_that_comes_as_a_widget_sends_is_read(run, pipe, monkeypatch):
    """On the portable way nbclient waits for it, and is not told what is sent meanwhile."""
    monkeypatch.setenv("NBBUILD_PORTABLE", "1")
    send, came = PortableKernel.send_message, []

    def send_as_the_cell_ends(kernel, message):
        if not came:
            pipe.write_text("go on")
            shell = kernel._client.kc.shell_channel.socket
            came.append(zmq.Socket.shadow(shell.underlying).poll(20_000) == zmq.POLLIN)
        send(kernel, message)

    monkeypatch.setattr(PortableKernel, "send_message", send_as_the_cell_ends)

    done = run(SETUP, f"with out: print('captured')\nopen({str(pipe)!r}).read()", SYNCED)

    assert done.failure is None
    assert done.notebook.cells[2].outputs[0]["text"] == "['captured\\n']\n"
    assert came == [True]


def test_nobody_knocks_where_only_requests_are_sent():
    connected = []
    knocking = Knocking(lambda: connected.append(Connection()) or connected[-1])

    knocking.sent_request()
    knocking.sent_request()
    assert connected == []

    knocking.sent_aside()
    knocking.sent_aside()
    assert connected == []
    knocking.sent_request()
    knocking.sent_request()
    assert [one.closed for one in connected] == [False]

    knocking.sent_aside()
    knocking.sent_request()
    assert [one.closed for one in connected] == [True, False]


class Connection:
    closed = False

    def close(self):
        self.closed = True


class SlowKernel(KernelSession):
    """Answers each request after a while, and is heard with its third answer."""

    def __init__(self, tick: Callable[[float], None]):
        self.info = {}
        self.asked = self.answered = 0
        self.waiting_at_most = 0
        self._tick = tick
        self._answers = self.receiving()

    def send(self, kind, content):
        assert kind == "kernel_info_request"
        self.asked += 1
        self.waiting_at_most = max(self.waiting_at_most, self.asked - self.answered)
        return str(self.asked)

    def receive(self, timeout):
        self._tick(timeout)
        return next(self._answers)

    def receiving(self):
        while True:
            yield from itertools.repeat([], 40)
            if self.asked > self.answered:
                if self.answered == 2:
                    yield [(Channel.IOPUB, {"msg_type": "status"})]
                self.answered += 1
                reply = {"msg_type": "kernel_info_reply", "content": {"protocol_version": "5.3"}}
                yield [(Channel.SHELL, reply)]

    def _check_start(self, began):
        pass


def test_a_starting_kernel_is_asked_one_thing_at_a_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(session.time, "monotonic", lambda: now[0])
    kernel = SlowKernel(lambda seconds: now.__setitem__(0, now[0] + max(seconds, 0.001)))

    kernel.wait_until_ready(lambda: None)

    assert kernel.waiting_at_most == 1
    assert (kernel.asked, kernel.answered) == (3, 3)
