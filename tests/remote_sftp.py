"""An SFTP server on loopback that serves one folder, with a key of its own."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import paramiko

USER, PASSWORD = "me", "secret"


class SftpServer:
    """Serves `folder` to whoever brings USER and PASSWORD."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = paramiko.ECDSAKey.generate()
        self.transports: list[paramiko.Transport] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"sftp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/remote"

    @property
    def known_host(self) -> str:
        """Return its line in `known_hosts`."""
        return f"[127.0.0.1]:{self.port} {self.key.get_name()} {self.key.get_base64()}\n"

    def stop(self) -> None:
        with suppress(OSError):  # it has been stopped already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for transport in self.transports:
            transport.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, self.folder)
            self.transports.append(transport)
            try:
                transport.start_server(server=_Logins())
            except (paramiko.SSHException, EOFError, OSError):
                continue  # the client did not like our key


class _Logins(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Handle(paramiko.SFTPHandle):
    def stat(self):
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server, folder):
        super().__init__(server)
        self.folder = folder

    def place(self, path):
        return f"{self.folder}{self.canonicalize(path)}"

    def answer(self, call):
        try:
            return call() or paramiko.SFTP_OK
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def list_folder(self, path):
        def entries():
            return [
                paramiko.SFTPAttributes.from_stat(entry.stat(), entry.name)
                for entry in os.scandir(self.place(path))
            ]

        return self.answer(entries)

    def stat(self, path):
        return self.answer(lambda: paramiko.SFTPAttributes.from_stat(os.stat(self.place(path))))

    lstat = stat

    def open(self, path, flags, attr):
        def opened():
            handle = _Handle(flags)
            mode = "r+b" if flags & (os.O_WRONLY | os.O_RDWR) else "rb"
            handle.readfile = handle.writefile = os.fdopen(
                os.open(self.place(path), flags, 0o666), mode
            )
            return handle

        return self.answer(opened)

    def remove(self, path):
        return self.answer(lambda: os.remove(self.place(path)))

    def rename(self, old, new):
        return self.answer(lambda: os.rename(self.place(old), self.place(new)))

    def posix_rename(self, old, new):
        return self.answer(lambda: os.replace(self.place(old), self.place(new)))

    def mkdir(self, path, attr):
        return self.answer(lambda: os.mkdir(self.place(path)))
