"""Messages are made and read as jupyter_client makes and reads them."""

import pytest
from jupyter_client.session import Session

from nbbuild.kernels.wire import Wire

KEY = b"a key"


class Pipe:
    """A socket that keeps what is sent."""

    def __init__(self, *frames):
        self.frames = list(frames)

    def send_multipart(self, frames):
        self.frames = frames

    def recv_multipart(self, flags):
        return self.frames


@pytest.fixture
def stock():
    return Session(key=KEY, digest_history_size=0)


def test_jupyter_client_reads_what_is_sent(stock):
    pipe, wire = Pipe(), Wire(KEY)
    content = {"code": "print('ä \udc80')", "silent": False}

    sent = wire.send(pipe, "execute_request", content)
    identities, parts = stock.feed_identities(pipe.frames)
    read = stock.deserialize(parts)

    assert identities == []
    assert read["header"].keys() == stock.msg_header("execute_request").keys()
    assert read["header"]["msg_id"] == sent["header"]["msg_id"]
    assert read["header"]["session"] == wire.session
    assert read["header"]["version"].startswith("5.")
    assert read["header"]["date"].tzinfo is not None
    assert (read["parent_header"], read["metadata"], read["buffers"]) == ({}, {}, [])
    assert read["msg_type"] == "execute_request"
    assert read["content"]["silent"] is False


def test_no_two_messages_have_one_id(stock):
    pipe, wire, other = Pipe(), Wire(KEY), Wire(KEY)
    ids = [one.send(pipe, "x", {})["header"]["msg_id"] for one in (wire, wire, other)]
    assert len({*ids, stock.msg("x")["header"]["msg_id"]}) == 4


def test_what_jupyter_client_sends_is_read(stock):
    made = stock.msg("display_data", {"text": "ä"}, parent=stock.msg("x"), metadata={"a": 1})
    frames = [*stock.serialize(made, ident=b"somebody"), b"a buffer"]

    read = Wire(KEY).recv(Pipe(*frames))

    assert (read["msg_type"], read["msg_id"]) == ("display_data", made["msg_id"])
    assert read["content"] == {"text": "ä"}
    assert read["metadata"] == {"a": 1}
    assert read["parent_header"]["msg_id"] == made["parent_header"]["msg_id"]
    assert [bytes(buffer) for buffer in read["buffers"]] == [b"a buffer"]
    assert isinstance(read["header"]["date"], str)


def test_what_is_not_the_kernels_is_refused(stock):
    frames = stock.serialize(stock.msg("status", {"execution_state": "idle"}))
    with pytest.raises(ValueError, match="its signature is not the kernel's"):
        Wire(b"another key").recv(Pipe(*frames))
    with pytest.raises(TypeError, match="a message has at least 4 parts, not 3"):
        Wire(KEY).recv(Pipe(*frames[:-1]))
    with pytest.raises(ValueError, match="not in list"):
        Wire(KEY).recv(Pipe(*frames[1:]))


def test_another_version_of_the_protocol_is_adapted(stock):
    old = stock.msg("pyout", {"execution_count": 1, "data": {}, "metadata": {}})
    old["header"]["version"] = "4.1"
    read = Wire(KEY).recv(Pipe(*stock.serialize(old)))
    assert read["msg_type"] == "execute_result"

    pipe, wire = Pipe(), Wire(KEY)
    wire.adapt_version = 4
    wire.send(pipe, "complete_request", {"code": "pri", "cursor_pos": 3})
    _, parts = stock.feed_identities(pipe.frames)
    assert stock.unpack(parts[4]) == {"text": "", "line": "pri", "block": None, "cursor_pos": 3}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"header": []}, "its header is no object"),
        ({"parent_header": [1]}, "its parent header is no object"),
        ({"content": '["x"]'}, "its content is no object"),
        ({"metadata": "x"}, "its metadata is no object"),
        ({"header": {"msg_type": {}}}, "an id or a kind in its headers is no text"),
        ({"parent_header": {"msg_id": [1]}}, "an id or a kind in its headers is no text"),
        ({"header": {"version": [5]}}, "it is none of the version that it names"),
        ({"header": {"version": "4.1", "msg_type": "stream"}}, "it is none of the version"),
        ({"content": {"payload": ["x"]}}, "the payload or the traceback in it is of another kind"),
        ({"content": {"traceback": [5]}}, "the payload or the traceback in it is of another kind"),
    ],
)
def test_a_message_of_another_shape_is_refused(stock, changes, reason):
    made = stock.msg("execute_reply", {"status": "ok"}, parent=stock.msg("x"))
    for part, value in changes.items():
        both = part == "header" and isinstance(value, dict)
        made[part] = {**made[part], **value} if both else value
    with pytest.raises((TypeError, ValueError), match=reason):
        Wire(KEY).recv(Pipe(*stock.serialize(made)))
