"""Connections over HTTP that are given up in time, directly or through the environment's proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3 import connection, connectionpool, exceptions

from nbbuild.store.remote.addresses import Address, masked, unusable
from nbbuild.store.remote.patience import Deadline, Patience, within

CERTIFICATES = "SSL_CERT_FILE"
"""The environment variable that names a file of trusted certificates, as OpenSSL has it."""

_MOST = 16  # kept open at once


def pool(address: Address, environ: Mapping[str, str], patience: Patience) -> urllib3.PoolManager:
    """Return connections for `address`; raises ConfigError for a proxy that cannot be one."""
    proxy = _proxy(address, environ)
    timeout = urllib3.Timeout(connect=patience.connect, read=patience.between)
    options: dict[str, Any] = {
        "maxsize": _MOST,
        "timeout": timeout,
        "ca_certs": environ.get(CERTIFICATES),
    }
    if proxy:
        try:
            found = urllib3.util.parse_url(proxy)
            headers = urllib3.make_headers(proxy_basic_auth=found.auth) if found.auth else None
            manager: urllib3.PoolManager = urllib3.ProxyManager(
                proxy, proxy_headers=headers, **options
            )
        except exceptions.HTTPError as error:
            raise unusable(
                address.shown,
                f"the proxy '{masked(proxy)}' is none",
                hint="correct HTTP_PROXY or HTTPS_PROXY, or add the host to NO_PROXY",
            ) from error
    else:
        manager = urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = _classes(patience)
    return manager


def root_cause(error: BaseException) -> str:
    """Return what the innermost error of several says."""
    inner = [error.__cause__, *error.args]
    for one in inner:
        if isinstance(one, BaseException):
            return root_cause(one)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__


def _classes(patience: Patience) -> dict[str, type[connectionpool.HTTPConnectionPool]]:
    """Return the kinds of pools whose connections take no longer than they may."""

    class Plain(connection.HTTPConnection):
        def connect(self) -> None:
            _connect(self, super().connect, patience)

    class Encrypted(connection.HTTPSConnection):
        def connect(self) -> None:
            _connect(self, super().connect, patience)

    class PlainPool(connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(connectionpool.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _connect(
    made: connection.HTTPConnection, connect: Callable[[], None], patience: Patience
) -> None:
    # urllib3 bounds each address by itself, and the search for addresses not at all.
    try:
        within(Deadline(patience.connect), connect)
    except TimeoutError as error:
        raise exceptions.ConnectTimeoutError(made, "no connection in time") from error
    # What is sent may take longer than a connection.
    made.sock.settimeout(patience.between)


def _proxy(address: Address, environ: Mapping[str, str]) -> str:
    def of(name: str) -> str:
        return environ.get(name.lower()) or environ.get(name.upper()) or ""

    where = address.host if address.port is None else f"{address.host}:{address.port}"
    if proxy_bypass_environment(where, {"no": of("no_proxy")}):
        return ""
    return of(f"{address.scheme}_proxy") or of("all_proxy")
