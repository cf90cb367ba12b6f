"""A real HTTP server on loopback that serves bytes by path, counts, and misbehaves when told to."""

from __future__ import annotations

import re
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class RemoteServer:
    """Bytes by path (without a slash in front, such as `cas/00`), and how answers go wrong.

    Every attribute may be changed while it serves. `busy` holds the statuses of the next answers,
    such as `[429, 503]`: one each, with Retry-After if `retry_after` is not None.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)  # "GET cas/00" → how often
    methods: Counter[str] = field(default_factory=Counter)  # "GET" → how often
    connections: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)  # of each request

    busy: list[int] = field(default_factory=list)
    retry_after: str | None = "0"
    token: str = ""  # who does not bring this, gets 401
    read_only: bool = False  # PUT and DELETE are refused with 403
    corrupt: bool = False  # one byte of each body is another
    truncate: int = 0  # so many bytes of each body are missing
    cut: int = 0  # so many requests lose their connection without an answer
    ignore_range: bool = False
    wrong_range: bool = False  # other bytes than asked for
    endless: bool = False  # the body never ends, and has no length
    redirect: str = ""  # where all but `redirected/…` is redirected to
    redirect_status: int = 302
    wait: threading.Event | None = None  # each answer waits for it
    wait_in_body: threading.Event | None = None  # the second half of each body waits for it

    url: str = ""
    _server: Any = None

    def start(self, *, certificate: str = "") -> RemoteServer:
        """Serve on a free port; with the PEM file of a key and its certificate, over TLS."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.remote = self
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        return self

    def stop(self) -> None:
        for event in (self.wait, self.wait_in_body):
            if event is not None:
                event.set()
        self.endless = False
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Be as new, on the same port."""
        fresh = RemoteServer(url=self.url, _server=self._server)
        self.__dict__.update(fresh.__dict__)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    remote: RemoteServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up on us all the time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.remote.connections += 1

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._begin() is None:
            return
        data = self._found()
        if data is None:
            return
        if self.server.remote.endless:
            self._endless()
            return
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None or self.server.remote.ignore_range:
            self._answer(200, data, {"ETag": _tag(data)})
            return
        start, last = int(asked[1]), int(asked[2] or len(data))
        if start >= len(data):
            self._answer(416)
            return
        start += self.server.remote.wrong_range
        part = data[start : last + 1]
        where = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
        self._answer(206, part, {"Content-Range": where, "ETag": _tag(data)})

    def do_HEAD(self) -> None:
        if self._begin() is not None:
            data = self._found()
            if data is not None:
                self._answer(200, data)

    def do_PUT(self) -> None:
        body = self._begin()
        if body is None:
            return
        if self.server.remote.read_only:
            self._answer(403)
            return
        new = self._name() not in self.server.remote.files
        self.server.remote.files[self._name()] = body
        self._answer(201 if new else 204, headers={"ETag": _tag(body)})

    def do_DELETE(self) -> None:
        if self._begin() is None:
            return
        if self.server.remote.read_only:
            self._answer(403)
            return
        there = self.server.remote.files.pop(self._name(), None)
        self._answer(404 if there is None else 204)

    def _name(self) -> str:
        return self.path.lstrip("/").partition("?")[0]

    def _begin(self) -> bytes | None:
        """Count the request and return its body, None if it has been answered already."""
        remote = self.server.remote
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        remote.requests[f"{self.command} {self._name()}"] += 1
        remote.methods[self.command] += 1
        remote.headers.append(dict(self.headers))
        if remote.wait is not None:
            remote.wait.wait()
        if remote.cut:
            remote.cut -= 1
            self.close_connection = True
            return None
        if remote.busy:
            pause = {} if remote.retry_after is None else {"Retry-After": remote.retry_after}
            self._answer(remote.busy.pop(0), b"come back later", pause)
            return None
        if remote.token and self.headers.get("Authorization") != remote.token:
            self._answer(401)
            return None
        if remote.redirect and not self._name().startswith("redirected/"):
            self._answer(remote.redirect_status, b"", {"Location": remote.redirect})
            return None
        return body

    def _found(self) -> bytes | None:
        data = self.server.remote.files.get(self._name().removeprefix("redirected/"))
        if data is None:
            self._answer(404, b"<html>there is nothing here</html>")
            return None
        if self.server.remote.corrupt and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        return data

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while self.server.remote.endless:
            self.wfile.write(bytes(65_536))

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        remote = self.server.remote
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD" or not body:
            return
        if remote.truncate and status < 300:
            body = body[: -remote.truncate]
            self.close_connection = True
        half = len(body) // 2
        self.wfile.write(body[:half])
        if remote.wait_in_body is not None:
            remote.wait_in_body.wait()
        self.wfile.write(body[half:])


def _tag(data: bytes) -> str:
    return f'"{sha256(data).hexdigest()}"'
