"""Serve the page of a watched project on this machine, and to nobody else.

Only the loopback address is listened to. That alone does not keep others out:

* other users of the machine, and other pages in the browser, do not know the token in the address,
  which is new for each start. Without it, there is nothing;
* a page of another site can have its own name resolved to 127.0.0.1 (DNS rebinding) and so reach
  this server as "its own", though still without the token. A request whose Host is not this
  server's is refused;
* the token must not get out: pages send no referrer, and can load nothing from elsewhere.

Notebooks are not trusted. What is made of them comes with a policy that lets no script run, nothing
load and no form be sent, and it is shown in a sandboxed frame (pages.py).
"""

from __future__ import annotations

import hmac
import secrets
import socketserver
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from urllib.parse import unquote, urlsplit

from nbbuild.errors import UsageError
from nbbuild.verbs.watch import pages
from nbbuild.verbs.watch.site import Closed, Site

ADDRESS = "127.0.0.1"
"""The address that is listened to."""

_PATIENCE = 15.0  # seconds after which a waiting browser is told that nothing has changed
_REQUEST_TIMEOUT = 30.0

_EVERYWHERE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    """Serves the page of `site` at `url` until the context is left.

    Raises `UsageError` if another program has the port; 0 is any that is free.
    """

    def __init__(self, site: Site, port: int = 0) -> None:
        self._site = site
        self._token = secrets.token_urlsafe(24)
        try:
            self._http = _Http((ADDRESS, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"the page cannot be served on port {port}: {error.strerror or error}",
                hint="`--serve` without a number takes a port that is free",
            ) from error
        port = int(self._http.server_address[1])
        self._http.site, self._http.token = site, self._token
        self._http.hosts = frozenset((f"{ADDRESS}:{port}", f"localhost:{port}"))
        self.url = f"http://{ADDRESS}:{port}/{self._token}/"
        self._thread = threading.Thread(
            target=self._http.serve_forever, name="nbbuild-page", daemon=True
        )

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._site.close()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Http(socketserver.ThreadingTCPServer):
    # Not http.server's: that asks the network for this machine's name.
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    site: Site
    token: str
    hosts: frozenset[str]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever asked has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    server_version, sys_version = "nbbuild", ""
    timeout = _REQUEST_TIMEOUT

    def do_GET(self) -> None:
        """Answer one request."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            self._refuse(421, "this server has another name")
            return
        _, _, path = urlsplit(self.path).path.partition("/")
        token, slash, rest = path.partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(404, "there is nothing here")
        elif rest == "events":
            self._follow()
        else:
            page = pages.page(self.server.site, unquote(rest))
            if page is None:
                self._refuse(404, "there is nothing here")
            else:
                self._answer(200, page)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal shows the builds."""

    def _refuse(self, status: int, text: str) -> None:
        self._answer(status, pages.Reply(f"{text}\n".encode(), "text/plain; charset=utf-8"))

    def _answer(self, status: int, page: pages.Reply) -> None:
        self.send_response(status)
        self._headers(page.kind, page.policy)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def _headers(self, kind: str, policy: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", policy)
        for name, value in _EVERYWHERE.items():
            self.send_header(name, value)

    def _follow(self) -> None:
        """Send the state whenever it changes, as server-sent events, until one side ends."""
        self.send_response(200)
        self._headers("text/event-stream", pages.NOTHING)
        self.end_headers()
        version = -1
        try:
            while True:
                version, state = self.server.site.after(version, patience=_PATIENCE)
                # A comment, or else nobody would find out that the browser has gone.
                self.wfile.write(b": still here\n\n" if state is None else b"data: %s\n\n" % state)
        except (OSError, Closed):
            self.close_connection = True
