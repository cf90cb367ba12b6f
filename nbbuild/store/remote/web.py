"""A remote behind plain HTTP, in the layout of Bazel's caches: GET and PUT of /ac/… and /cas/….

bazel-remote serves it, and so does nginx with its folder and `dav_methods PUT`. Whoever only reads
needs no credentials. Redirects, pauses and attempts are ours and not urllib3's: each must end with
the request's deadline, and no redirect may take a password to somebody else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from nbbuild.errors import ConfigError
from nbbuild.store.remote.addresses import Address, plain
from nbbuild.store.remote.connections import pool, root_cause
from nbbuild.store.remote.objects import (
    Fetched,
    Listed,
    cannot_list,
    check_name,
    cut_short,
    failed,
    refused,
    too_large,
    unreachable,
)
from nbbuild.store.remote.patience import Deadline, Patience, Transient, persist, within
from nbbuild.store.remote.statuses import AGAIN, words
from nbbuild.version import __version__

TOKEN = "NBBUILD_REMOTE_TOKEN"
"""The environment variable that holds a bearer token; it goes before user and password."""

_CHUNK = 65_536
_MOST_REDIRECTS = 5
_MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_EXISTS = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT)
_REFUSED = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
)
_WITH_OBJECT = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_REDIRECTS = (301, 302, 303, 307, 308)
_NO_CONNECTION = (
    exceptions.NewConnectionError,
    exceptions.SSLError,
    exceptions.LocationValueError,
)
_TOKEN = re.compile(r"[!-~]+")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class _Request:
    """What one request asks, and how much of an answer it takes."""

    method: str
    name: str
    headers: Mapping[str, str]
    body: bytes | None = None
    most: int = 0
    most_part: int = 0  # of an answer that is a part of the object


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class WebObjects:
    """Bytes by name behind one base URL."""

    conditional = False

    def __init__(
        self, address: Address, environ: Mapping[str, str], *, patience: Patience | None = None
    ) -> None:
        plain(address, also=("user",))
        self.name = address.shown
        self._headers = _credentials(address, environ)
        self._patience = patience or Patience()
        self._pool = pool(address, environ, self._patience)

    def get(self, name: str, *, most: int) -> Fetched | None:
        """Return an object, None if it does not exist."""
        answer = self._ask("GET", name, most=most)
        if answer.status in _MISSING:
            return None
        self._expect(answer, name, HTTPStatus.OK)
        return Fetched(answer.body, "")

    def get_range(self, name: str, start: int, size: int, *, most_whole: int) -> bytes | None:
        """Return exactly `size` bytes from `start` on, None if the object does not exist."""
        if not size:
            return b""
        headers = {"Range": f"bytes={start}-{start + size - 1}"}
        answer = self._ask("GET", name, headers=headers, most=most_whole, most_part=size)
        if answer.status in _MISSING:
            return None
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise cut_short(self.name, name, arrived=0, expected=size)
        self._expect(answer, name, HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
        if answer.status == HTTPStatus.OK:
            part = answer.body[start : start + size]
        else:
            given = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if given is None or int(given[1]) != start:
                raise failed(self.name, name, "it answered with another part than it was asked for")
            part = answer.body
        if len(part) < size:
            raise cut_short(self.name, name, arrived=len(part), expected=size)
        return part

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name; whatever else is answered counts as yes."""
        return self._ask("HEAD", name).status not in _MISSING

    def put_new(self, name: str, data: bytes) -> None:
        """Keep `data` unless there is an object of this name."""
        if self._ask("HEAD", name).status == HTTPStatus.OK:
            return
        # Most servers do not look at the condition; those that do save somebody's upload.
        answer = self._ask("PUT", name, headers={"If-None-Match": "*"}, body=data)
        if answer.status not in _EXISTS:
            self._expect_done(answer, name)

    def replace(self, name: str, data: bytes, *, tag: str | None) -> bool:
        """Keep `data`, whatever was there; return True."""
        self._expect_done(self._ask("PUT", name, body=data), name)
        return True

    def list(self, prefix: str) -> Iterator[Listed]:
        """Raise RemoteError: HTTP has no listings."""
        raise cannot_list(self.name)

    def delete(self, name: str) -> None:
        """Remove an object; it need not exist."""
        answer = self._ask("DELETE", name)
        if answer.status not in _MISSING:
            self._expect_done(answer, name)

    def close(self) -> None:
        """Give up all connections."""
        self._pool.clear()

    def _ask(
        self,
        method: str,
        name: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = 0,
        most_part: int = 0,
    ) -> _Reply:
        """Return the answer, after as many attempts as it takes; raises RemoteError."""
        check_name(self.name, name)
        request = _Request(method, name, headers or {}, body, most, most_part)
        return persist(self._patience, lambda: self._attempt(request))

    def _attempt(self, request: _Request) -> _Reply:
        deadline = Deadline(self._patience.total, slowest=self._patience.slowest)
        try:
            answer = within(deadline, lambda: self._follow(request, deadline))
        except (exceptions.HTTPError, TimeoutError) as error:
            self._explain(error, request.name)
        if answer.status in _REFUSED:
            raise refused(self.name, request.name, words(answer.status))
        if answer.status in AGAIN:
            busy = failed(self.name, request.name, words(answer.status))
            raise Transient(busy, pause=_pause(answer.headers.get("Retry-After", "")))
        return answer

    def _follow(self, request: _Request, deadline: Deadline) -> _Reply:
        """Return the answer to one attempt, behind its redirects."""
        url, headers = f"{self.name}/{request.name}", {**self._headers, **request.headers}
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send(request, url, headers, deadline)
            try:
                body = self._body(request, response, deadline)
            finally:
                # One that was read to its end has gone back to the pool by now.
                response.close()
            if response.status not in _REDIRECTS:
                return _Reply(response.status, response.headers, body)
            target = self._redirect(request, response, url)
            if _origin(target) != _origin(url):
                headers.pop("Authorization", None)
            url = target
        raise failed(self.name, request.name, f"it redirects more than {_MOST_REDIRECTS} times")

    def _send(
        self, request: _Request, url: str, headers: dict[str, str], deadline: Deadline
    ) -> urllib3.BaseHTTPResponse:
        body = None
        if request.body is not None:
            headers = {**headers, "Content-Length": str(len(request.body))}
            body = _pieces(request.body, deadline)
        return self._pool.urlopen(
            request.method,
            url,
            headers=headers,
            body=body,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def _redirect(self, request: _Request, response: urllib3.BaseHTTPResponse, url: str) -> str:
        location = response.headers.get("Location", "")
        try:
            target = urljoin(url, location)
            scheme = urlsplit(target).scheme
        except ValueError:
            scheme = ""
        if request.body is not None and response.status not in (307, 308):
            reason = "it redirects an upload to a page"
        elif not location or scheme not in ("http", "https"):
            reason = "it redirects to nowhere"
        elif scheme == "http" and urlsplit(url).scheme == "https":
            reason = "it redirects from https to http"
        else:
            return target
        raise failed(self.name, request.name, reason)

    def _body(
        self, request: _Request, response: urllib3.BaseHTTPResponse, deadline: Deadline
    ) -> bytes:
        """Return the body of an answer that holds the object, b"" of any other."""
        if request.method != "GET" or response.status not in _WITH_OBJECT:
            # An error's page is short as a rule, and the connection can be used again.
            response.read(_CHUNK)
            return b""
        part = response.status == HTTPStatus.PARTIAL_CONTENT
        most = request.most_part if part else request.most
        if (response.length_remaining or 0) > most:
            raise too_large(self.name, request.name, most)
        body = bytearray()
        while chunk := response.read(_CHUNK):
            deadline.moved(len(chunk))
            body += chunk
            if len(body) > most:
                raise too_large(self.name, request.name, most)
        return bytes(body)

    def _explain(self, error: Exception, name: str) -> NoReturn:
        """Raise what urllib3 says as what it means to us."""
        if isinstance(error, TimeoutError):
            seconds = self._patience.total
            raise failed(self.name, name, f"no whole answer within {seconds:g} s") from error
        cause = error.original_error if isinstance(error, exceptions.ProxyError) else error
        if isinstance(cause, exceptions.NameResolutionError):
            raise unreachable(self.name, "its host has no address") from error
        # The first is also one of the second, which it is not.
        if isinstance(cause, _NO_CONNECTION):
            raise unreachable(self.name, root_cause(cause)) from error
        if isinstance(cause, exceptions.ConnectTimeoutError):
            seconds = self._patience.connect
            raise unreachable(self.name, f"no connection within {seconds:g} s") from error
        if isinstance(cause, exceptions.ReadTimeoutError):
            seconds = self._patience.between
            raise failed(self.name, name, f"nothing arrived for {seconds:g} s") from error
        short = next(
            (one for one in cause.args if isinstance(one, exceptions.IncompleteRead)), None
        )
        if short is not None:
            whole = short.partial + short.expected
            raise Transient(
                cut_short(self.name, name, arrived=short.partial, expected=whole)
            ) from error
        raise Transient(failed(self.name, name, root_cause(cause))) from error

    def _expect(self, answer: _Reply, name: str, *statuses: int) -> None:
        if answer.status not in statuses:
            raise failed(self.name, name, words(answer.status))

    def _expect_done(self, answer: _Reply, name: str) -> None:
        if not 200 <= answer.status < 300:
            raise failed(self.name, name, words(answer.status))


def _credentials(address: Address, environ: Mapping[str, str]) -> dict[str, str]:
    headers = {"User-Agent": f"nbbuild/{__version__}", "Accept-Encoding": "identity"}
    token = environ.get(TOKEN, "").strip()
    if token:
        if not _TOKEN.fullmatch(token):
            raise ConfigError(
                f"{TOKEN} holds no token: it has characters in it that no token has",
                hint="copy the token again, without quotes",
            )
        headers["Authorization"] = f"Bearer {token}"
    elif address.user or address.password:
        both = f"{address.user}:{address.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(both).decode()}"
    return headers


def _pieces(data: bytes, deadline: Deadline) -> Iterator[bytes]:
    """Yield `data` in pieces; the deadline is put off by each that has been sent."""
    for start in range(0, len(data), _CHUNK):
        piece = data[start : start + _CHUNK]
        yield piece
        deadline.moved(len(piece))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _pause(retry_after: str) -> float:
    """Return the seconds that a server asks for; 0.0 if it gives none, or a date."""
    return float(retry_after) if re.fullmatch(r"\d{1,9}", retry_after, re.ASCII) else 0.0
