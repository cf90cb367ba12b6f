"""The Jupyter message protocol, version 5: as much of it as executing notebooks takes.

A message is a list of frames: identities, a delimiter, a signature (HMAC-SHA256 over what follows),
header, parent's header, metadata and content as JSON, then buffers. jupyter_client does the same.
It is imported only where it does more: for kernels that speak another version, and for widgets,
which make messages of their own. Importing it takes longer than starting a warm kernel.

The times of messages stay text: nobody needs them, and parsing them took as long as all the rest.
"""

from __future__ import annotations

import getpass
import hmac
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeAlias

import zmq

Socket: TypeAlias = "zmq.Socket[bytes]"
Message: TypeAlias = dict[str, Any]

VERSION = "5.3"

_DELIMITER = b"<IDS|MSG>"
_PARTS = 4  # of a message: header, parent's header, metadata, content; buffers follow


class Wire:
    """Makes, signs, checks and reads the messages of one connection. Used by one thread."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.session = uuid.uuid4().hex
        self.adapt_version = 0
        """The version of the protocol that the kernel speaks, 0 for ours."""
        self._auth = hmac.new(key, digestmod="sha256")
        self._username = _username()
        self._count = 0

    @property
    def bsession(self) -> bytes:
        """The name by which the kernel knows this end."""
        return self.session.encode()

    def send(self, socket: Socket, kind: str, content: Mapping[str, Any]) -> Message:
        """Send a request; return the message. Raises ValueError or TypeError if it is no JSON."""
        message = self._message(kind, content)
        if self.adapt_version:
            from jupyter_client.adapter import adapt

            message = adapt(message, self.adapt_version)
        header, parent, metadata = map(
            _packed, (message["header"], message["parent_header"], message["metadata"])
        )
        parts = [header, parent, metadata, _packed(message["content"])]
        socket.send_multipart([_DELIMITER, self._signature(parts), *parts])
        return message

    def recv(self, socket: Socket, flags: int = 0) -> Message | None:
        """Return the next message; None if there is none now and `flags` say not to wait.

        Raises ValueError, TypeError or KeyError if it cannot be read, or is not from the kernel.
        """
        try:
            frames = socket.recv_multipart(flags)
        except zmq.Again:
            return None
        return self.read(frames[frames.index(_DELIMITER) + 1 :])

    def read(self, parts: Sequence[bytes]) -> Message:
        """Return the message with this signature and these parts; raises as `recv` does."""
        signature, *parts = parts
        if len(parts) < _PARTS:
            raise TypeError(f"a message has at least {_PARTS} parts, not {len(parts)}")
        if not hmac.compare_digest(signature, self._signature(parts[:_PARTS])):
            raise ValueError("its signature is not the kernel's")
        header, parent, metadata, content = map(_unpacked, parts[:_PARTS])
        if not isinstance(header, dict):
            raise TypeError("its header is no object")
        message: Message = {
            "header": header,
            "msg_id": header["msg_id"],
            "msg_type": header["msg_type"],
            "parent_header": parent,
            "metadata": metadata,
            "content": content,
            "buffers": [memoryview(part) for part in parts[_PARTS:]],
        }
        check_shape(message)
        if str(header.get("version", "4")).partition(".")[0] != VERSION[0]:
            message = _adapted(message)
            check_shape(message)
        return message

    def _message(self, kind: str, content: Mapping[str, Any]) -> Message:
        header = {
            "msg_id": f"{self.session}_{os.getpid()}_{self._count}",
            "msg_type": kind,
            "username": self._username,
            "session": self.session,
            "date": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "version": VERSION,
        }
        self._count += 1
        return {
            "header": header,
            "msg_id": header["msg_id"],
            "msg_type": kind,
            "parent_header": {},
            "metadata": {},
            "content": dict(content),
        }

    def _signature(self, parts: Sequence[bytes]) -> bytes:
        auth = self._auth.copy()
        for part in parts:
            auth.update(part)
        return auth.hexdigest().encode()


def check_shape(message: Message) -> None:
    """Raise TypeError unless what is read from every message of a kernel has the right type.

    A notebook can send what it likes in its kernel's name.
    """
    for part in ("header", "parent_header", "metadata", "content"):
        if not isinstance(message[part], dict):
            raise TypeError(f"its {part.replace('_', ' ')} is no object")
    parent, content = message["parent_header"], message["content"]
    names = (message["msg_id"], message["msg_type"], parent.get("msg_id", ""))
    if not all(isinstance(name, str) for name in names):
        raise TypeError("an id or a kind in its headers is no text")
    if message["msg_type"] == "execute_reply":
        payload, lines = content.get("payload") or [], content.get("traceback") or []
        if not (_is_list_of(dict, payload) and _is_list_of(str, lines)):
            raise TypeError("the payload or the traceback in it is of another kind")


def _is_list_of(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _adapted(message: Message) -> Message:
    """Return a message of another version of the protocol as one of ours."""
    from jupyter_client.adapter import adapt

    try:
        adapted: Message = adapt(message)
    except (AttributeError, LookupError) as error:  # it trusts what a message holds
        raise ValueError(f"it is none of the version that it names: {error!r}") from error
    return adapted


def _packed(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogateescape")


def _unpacked(data: bytes) -> Any:
    return json.loads(data.decode("utf-8", "replace"))


def _username() -> str:
    """Return the name that jupyter_client gives the user; kernels do not look at it."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        return "username"
