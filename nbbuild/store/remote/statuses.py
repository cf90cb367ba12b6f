"""The statuses of HTTP: what to print of them, and after which to ask again."""

from __future__ import annotations

from http import HTTPStatus

AGAIN = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Those of a server that may answer better the next time."""


def words(status: int) -> str:
    """Return a status with its name, as in "HTTP 404 Not Found": never what the server calls it."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
