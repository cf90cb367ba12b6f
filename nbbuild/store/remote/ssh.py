"""fsspec's file system over SFTP, with connections that are given up in time.

fsspec itself accepts whatever key a server shows. Here the server must be in `known_hosts`, as for
`ssh`. Whole packs are read and written without waiting for each block.
"""

from __future__ import annotations

import socket
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from nbbuild.store.remote.addresses import Address
from nbbuild.store.remote.objects import unreachable
from nbbuild.store.remote.patience import Deadline, Patience, within


class _Ssh(SFTPFileSystem):  # type: ignore[misc]
    cachable = False

    def _connect(self) -> None:
        self.client = self.ssh_kwargs["client"]
        self.ftp = self.client.open_sftp()
        self.ftp.get_channel().settimeout(self.ssh_kwargs["between"])

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        with self.ftp.open(path, "rb") as file:
            first, size = start or 0, file.stat().st_size
            last = size if end is None else min(end, size)
            # All blocks are asked for at once.
            return b"".join(file.readv([(first, last - first)])) if last > first else b""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        with self.ftp.open(path, "wb") as file:
            file.set_pipelined(True)
            file.write(value)


def open_ssh(address: Address, patience: Patience) -> SFTPFileSystem:
    """Return a connected file system; raises RemoteError, or PermissionError for a wrong key."""
    where = (address.host, address.port or 22)
    try:
        connection = within(
            Deadline(patience.connect),
            lambda: socket.create_connection(where, timeout=patience.connect),
        )
    except TimeoutError as error:
        reason = f"no connection within {patience.connect:g} s"
        raise unreachable(address.shown, reason) from error
    except socket.gaierror as error:
        raise unreachable(address.shown, "its host has no address") from error
    except OSError as error:
        raise unreachable(address.shown, error.strerror or str(error)) from error
    client = paramiko.SSHClient()
    client.load_system_host_keys()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(
            address.host,
            port=where[1],
            username=address.user or None,
            password=address.password or None,
            sock=connection,
            timeout=patience.between,
            banner_timeout=patience.between,
            auth_timeout=patience.between,
            channel_timeout=patience.between,
        )
        return _Ssh(address.host, client=client, between=patience.between)
    except BaseException as error:
        client.close()
        connection.close()
        if isinstance(error, paramiko.AuthenticationException):
            raise PermissionError(str(error)) from error
        if isinstance(error, (paramiko.SSHException, OSError, EOFError)):
            raise unreachable(address.shown, str(error)) from error
        raise
