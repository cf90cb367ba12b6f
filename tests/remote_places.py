"""Every kind of remote that the stories about remotes are told of, each on this machine."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from remote_server import RemoteServer

from nbbuild.store.remote.in_memory import MemoryObjects
from nbbuild.store.remote.objects import Objects
from nbbuild.store.remote.opening import open_objects

BUCKET = "a-bucket"
_SIGNED = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, Signature=0"
_prefixes = itertools.count()


@pytest.fixture(scope="session")
def loopback() -> Iterator[RemoteServer]:
    """One web server for the whole run; take `web_server`."""
    server = RemoteServer().start()
    yield server
    server.stop()


@pytest.fixture
def web_server(loopback: RemoteServer) -> Iterator[RemoteServer]:
    """An empty web server that behaves well until it is told otherwise."""
    loopback.reset()
    yield loopback
    loopback.reset()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of a server that speaks S3, with one bucket."""
    from moto.server import ThreadedMotoServer  # takes a second to load

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    assert (
        urllib3.request("PUT", f"{url}/{BUCKET}", headers={"Authorization": _SIGNED}).status == 200
    )
    yield url
    server.stop()


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a bucket, and credentials for it in the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return f"s3://{BUCKET}/{next(_prefixes)}"


@pytest.fixture(params=["in memory", "folder", "fsspec", "web", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    """An empty remote of each kind."""
    remote: Objects
    if request.param == "in memory":
        remote = MemoryObjects()
    else:
        if request.param == "folder":
            url = (tmp_path / "remote").as_uri()
        elif request.param == "fsspec":
            url = f"memory://{next(_prefixes)}/remote"
        elif request.param == "web":
            url = f"{request.getfixturevalue('web_server').url}/"
        else:
            url = request.getfixturevalue("bucket")
        remote = open_objects(url, environ=os.environ, root=tmp_path)
    yield remote
    remote.close()
