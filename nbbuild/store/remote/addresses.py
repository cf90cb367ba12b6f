"""The URL of a remote, taken apart once: what to connect to, and what to show of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from nbbuild.errors import ConfigError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")
DECLARED = "jcache.toml, [cache] remote"


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a URL; `shown` leaves out user, password and query."""

    scheme: str
    host: str
    port: int | None
    path: str  # as in the URL, without a slash at its end
    query: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    shown: str


def parse(url: str) -> Address:
    """Return the parts of `url`; raises ConfigError for one that makes no sense."""
    if _UNSEEN.search(url):
        raise unusable(masked(url), "it has a space or a control character in it", hint=HINT)
    scheme, separator, _ = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme.lower()):
        raise unusable(masked(url), "it is no URL", hint=HINT)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise unusable(masked(url), _lower(str(error)), hint=HINT) from error
    path = parts.path.rstrip("/")
    return Address(
        scheme=scheme.lower(),
        host=host,
        port=port,
        path=path,
        query=parts.query,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        shown=f"{scheme.lower()}://{_netloc(host, port)}{path}",
    )


HINT = (
    "write s3://, gs:// or az:// with a bucket, https:// or http:// with a server, "
    "file:/// with a folder, or sftp:// with a server and a folder"
)


def unusable(shown: str, reason: str, *, hint: str) -> ConfigError:
    """Return the error of a URL that no remote can have."""
    return ConfigError(
        f"the remote cache '{shown}' cannot be used: {reason}",
        facts=[("declared in", DECLARED)],
        hint=hint,
    )


def missing(shown: str, library: str, *, hint: str = "") -> ConfigError:
    """Return the error of a URL whose library is not installed."""
    return ConfigError(
        f"the remote cache '{shown}' needs {library}, which is not installed",
        facts=[("declared in", DECLARED)],
        hint=hint or f"pip install {library}",
    )


def plain(address: Address, *, also: Iterable[str] = ()) -> Address:
    """Return `address`; raises ConfigError if it has parts beside host and path that nobody reads.

    `also` names parts that are read: `user`, `query`.
    """
    if address.query and "query" not in also:
        raise unusable(address.shown, "a '?' has no meaning in it", hint="leave it out")
    if (address.user or address.password) and "user" not in also:
        raise unusable(
            address.shown,
            "it has a user or a password in it",
            hint="leave them out, and put credentials into the environment",
        )
    return address


def masked(url: str) -> str:
    """Return `url` without what may be a user, a password or a query."""
    start, separator, rest = url.partition("://")
    rest = re.sub(r"^[^/?#]*@", "", rest) if separator else rest
    return re.split(r"[?#]", f"{start}{separator}{rest}")[0]


def _netloc(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
