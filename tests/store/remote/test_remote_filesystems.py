"""A remote on a file system that fsspec knows: SFTP, and one that fails as it is told to."""

from __future__ import annotations

import threading
from pathlib import Path

import fsspec
import pytest
from remote_sftp import SftpServer

from nbbuild.errors import RemoteError, RemoteRefused
from nbbuild.store.remote.filesystems import FileObjects
from nbbuild.store.remote.opening import open_objects
from nbbuild.store.remote.patience import Patience

NAME = "cas/0a"
MOST = 1_000_000
PACK = bytes(range(256)) * 1000  # more than fits into one packet


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys and without an agent, in which servers can be made known."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def server(tmp_path: Path):
    (tmp_path / "served").mkdir()
    server = SftpServer(tmp_path / "served")
    yield server
    server.stop()


@pytest.fixture
def known(server: SftpServer, home: Path) -> SftpServer:
    (home / ".ssh/known_hosts").write_text(server.known_host)
    return server


def opened(url):
    return open_objects(url, environ={}, root=Path("/"))


def test_sftp(known):
    remote = opened(known.url)
    assert remote.get(NAME, most=MOST) is None
    assert list(remote.list("cas/")) == []

    remote.put_new(NAME, PACK)
    assert remote.get(NAME, most=MOST).data == PACK
    assert remote.get_range(NAME, 100_000, 70_000, most_whole=MOST) == PACK[100_000:170_000]
    for head in (b"first", b"second"):
        assert remote.replace("ac/01", head, tag=None)
        assert remote.get("ac/01", most=MOST).data == head

    (listed,) = remote.list("cas/")
    served = known.folder / "remote" / NAME
    assert (listed.name, listed.size) == (NAME, len(PACK))
    assert listed.modified == int(served.stat().st_mtime)
    assert [path.name for path in served.parent.iterdir()] == ["0a"]

    remote.delete(NAME)
    remote.delete(NAME)
    assert remote.get_range(NAME, 0, 1, most_whole=MOST) is None
    assert len(known.transports) == 1
    remote.close()


def test_sftp_connects_again_when_the_connection_is_lost(known):
    remote = opened(known.url)
    remote.put_new(NAME, PACK)
    known.transports[0].close()
    assert remote.get(NAME, most=MOST).data == PACK
    assert len(known.transports) == 2
    remote.close()


def test_sftp_talks_to_no_stranger(server, home):
    remote = opened(server.url)
    with pytest.raises(RemoteError) as error:
        remote.get(NAME, most=MOST)
    assert str(error.value) == (
        "the remote cache cannot be reached\n"
        f"  remote: sftp://127.0.0.1:{server.port}/remote\n"
        f"  reason: Server '[127.0.0.1]:{server.port}' not found in known_hosts"
    )


def test_sftp_with_the_wrong_password(known):
    remote = opened(known.url.replace("secret", "guess"))
    with pytest.raises(RemoteRefused) as error:
        remote.get(NAME, most=MOST)
    assert str(error.value) == (
        "the remote cache refuses access\n"
        f"  remote: sftp://127.0.0.1:{known.port}/remote\n"
        f"  object: {NAME}\n"
        "  reason: Authentication failed.\n\n"
        "hint: check the credentials in the environment, and what they allow"
    )


def test_sftp_where_nobody_listens(known):
    known.stop()
    with pytest.raises(RemoteError) as error:
        opened(known.url).get(NAME, most=MOST)
    assert str(error.value) == (
        "the remote cache cannot be reached\n"
        f"  remote: sftp://127.0.0.1:{known.port}/remote\n"
        "  reason: Connection refused"
    )


def test_sftp_to_no_such_host(home):
    with pytest.raises(RemoteError) as error:
        opened("sftp://nowhere.invalid/cache").get(NAME, most=MOST)
    assert str(error.value) == (
        "the remote cache cannot be reached\n"
        "  remote: sftp://nowhere.invalid/cache\n"
        "  reason: its host has no address"
    )


class Failing:
    """A file system that raises what it is given, one error for each request, then works."""

    client = None  # nothing to close

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.system = fsspec.filesystem("memory", skip_instance_cache=True)
        self.connected = 0
        self.slept: list[float] = []
        self.wait: threading.Event | None = None

    def connect(self):
        self.connected += 1
        return self

    def remote(self, **patience) -> FileObjects:
        patient = Patience(**patience, sleep=self.slept.append)
        return FileObjects("odd://host/x", f"/failing-{id(self)}", self.connect, patient)

    def __getattr__(self, name):
        if self.wait is not None:
            self.wait.wait()
        if self.errors:
            raise self.errors.pop(0)
        return getattr(self.system, name)


def fails(remote, reason):
    with pytest.raises(RemoteError) as error:
        remote.get(NAME, most=MOST)
    assert str(error.value) == (
        f"the remote cache has failed\n  remote: odd://host/x\n  object: {NAME}\n  reason: {reason}"
    )


def test_any_error_may_pass():
    system = Failing(EOFError(), RuntimeError("odd"), ConnectionResetError(104, "Connection reset"))
    remote = system.remote()
    remote.put_new(NAME, PACK)
    assert remote.get(NAME, most=MOST).data == PACK
    assert len(system.slept) == 3
    assert system.connected == 4


def test_an_error_that_stays_is_told():
    fails(Failing(*[RuntimeError("odd")] * 9).remote(), "odd")
    fails(Failing(*[EOFError()] * 9).remote(), "EOFError")


def test_who_may_not_read_is_refused():
    system = Failing(PermissionError(13, "Permission denied"))
    with pytest.raises(RemoteRefused):
        system.remote().get(NAME, most=MOST)
    assert system.slept == []


def test_a_file_system_that_is_silent_is_given_up():
    system = Failing()
    system.wait = threading.Event()
    fails(system.remote(total=0.05), "no whole answer within 0.05 s")
    system.wait.set()
