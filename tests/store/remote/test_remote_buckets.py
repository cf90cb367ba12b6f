"""A remote in a bucket: whose credentials it takes, and what becomes of a server's faults."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from hashlib import sha256

import pytest

from nbbuild.errors import ConfigError, RemoteError, RemoteRefused
from nbbuild.store.remote.addresses import parse
from nbbuild.store.remote.buckets import open_bucket
from nbbuild.store.remote.credentials import has_credentials
from nbbuild.store.remote.patience import Patience

PACK = bytes(range(256)) * 40
NAME = f"cas/{sha256(PACK).hexdigest()}"
PATH = f"bucket/docs/{NAME}"
MOST = 1_000_000
PATIENT = Patience()


@pytest.fixture
def pauses() -> list[float]:
    """How long it has waited before each further attempt; no time passes."""
    return []


@pytest.fixture
def connect(monkeypatch, pauses):
    """Open a bucket at an endpoint that answers as the test wants."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def connect(endpoint, patience=PATIENT, url="s3://bucket/docs"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        patient = dataclasses.replace(patience, sleep=pauses.append)
        return open_bucket(parse(url), os.environ, patience=patient)

    return connect


@pytest.fixture
def remote(connect, web_server):
    """A bucket that is in truth a web server, which can do wrong."""
    web_server.files[PATH] = PACK
    return connect(web_server.url)


def fails(remote, reason, *, name=NAME, ask=None):
    with pytest.raises(RemoteError) as error:
        (ask or (lambda: remote.get(name, most=MOST)))()
    assert str(error.value) == (
        "the remote cache has failed\n"
        f"  remote: {remote.name}\n  object: {name}\n  reason: {reason}"
    )


def is_unreachable(remote, reason):
    with pytest.raises(RemoteError) as error:
        remote.get(NAME, most=MOST)
    assert str(error.value) == (
        f"the remote cache cannot be reached\n  remote: {remote.name}\n  reason: {reason}"
    )


def test_a_bucket_that_does_not_exist(connect, moto):
    remote = connect(moto, url="s3://no-such-bucket/docs")
    for ask in (
        lambda: remote.get(NAME, most=MOST),
        lambda: remote.put_new(NAME, PACK),
        lambda: remote.replace(NAME, PACK, tag=None),
    ):
        fails(remote, "the bucket does not exist", ask=ask)


def test_one_request_for_each_object(remote, web_server):
    assert remote.get(NAME, most=MOST).data == PACK
    assert remote.get_range(NAME, 100, 300, most_whole=MOST) == PACK[100:400]
    assert remote.get_range("cas/00", 100, 300, most_whole=MOST) is None
    assert remote.get("cas/00", most=MOST) is None
    assert web_server.requests == {f"GET {PATH}": 2, "GET bucket/docs/cas/00": 2}


def test_a_corrupt_body_arrives_as_it_is(remote, web_server):
    """Whoever asked knows the digest."""
    web_server.corrupt = True
    data = remote.get(NAME, most=MOST).data
    assert len(data) == len(PACK) and data != PACK


def test_a_body_that_is_cut_short_is_asked_for_again(remote, web_server, pauses):
    web_server.truncate = 40
    fails(remote, "10,200 of 10,240 bytes arrived")
    assert web_server.methods == {"GET": 4}
    assert len(pauses) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(remote, web_server, pauses, status):
    web_server.busy = [status] * 3
    assert remote.get(NAME, most=MOST).data == PACK
    web_server.busy = [status] * 3
    remote.put_new("cas/01", PACK)
    assert web_server.files["bucket/docs/cas/01"] == PACK
    assert len(pauses) == 6


def test_a_server_that_stays_busy_is_given_up(remote, web_server):
    web_server.busy = [503] * 9
    fails(remote, "HTTP 503 Service Unavailable")
    assert web_server.methods == {"GET": 4}


def test_a_server_without_ranges_is_read_whole(remote, web_server):
    web_server.ignore_range = True
    assert remote.get_range(NAME, 100, 300, most_whole=len(PACK)) == PACK[100:400]

    def ask():
        return remote.get_range(NAME, 100, 300, most_whole=len(PACK) - 1)

    fails(remote, "it is larger than 10,239 bytes, the most that it may be", ask=ask)


def test_a_part_from_another_place_is_an_error(remote, web_server):
    web_server.wrong_range = True

    def ask():
        return remote.get_range(NAME, 100, 300, most_whole=MOST)

    fails(remote, "it answered with another part than it was asked for", ask=ask)


def test_a_body_without_an_end_is_not_read(remote, web_server):
    web_server.endless = True
    fails(remote, "Content-Length Header missing from response")


def test_a_silent_server_is_given_up(connect, web_server):
    web_server.files[PATH] = PACK
    web_server.wait = threading.Event()
    fails(connect(web_server.url, Patience(between=0.05)), "nothing arrived for 0.05 s")
    web_server.wait.set()
    web_server.wait = None

    web_server.wait_in_body = threading.Event()
    fails(connect(web_server.url, Patience(between=0.05)), "nothing arrived for 0.05 s")
    web_server.wait_in_body.set()


def test_an_upload_to_a_silent_server_is_given_up(connect, web_server):
    web_server.wait = threading.Event()
    remote = connect(web_server.url, Patience(total=0.05, slowest=1e12))
    fails(remote, "no whole answer within 0.05 s", ask=lambda: remote.put_new(NAME, PACK))
    web_server.wait.set()


def test_nobody_listens(connect, pauses):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    is_unreachable(connect(f"http://127.0.0.1:{port}"), "Connection refused")
    assert pauses == []


def test_no_such_host(connect, pauses, monkeypatch):
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    is_unreachable(connect("http://nowhere.invalid"), "its host has no address")
    assert pauses == []


def test_a_server_that_only_gives(remote, web_server):
    web_server.read_only = True
    assert remote.get(NAME, most=MOST).data == PACK
    with pytest.raises(RemoteRefused) as error:
        remote.put_new("cas/01", b"data")
    assert str(error.value) == (
        "the remote cache refuses access\n"
        "  remote: s3://bucket/docs\n  object: cas/01\n  reason: HTTP 403 Forbidden\n\n"
        "hint: check the credentials in the environment, and what they allow"
    )


def test_requests_are_signed_where_there_are_credentials(connect, web_server, monkeypatch):
    remote = connect(web_server.url)
    assert remote.get(NAME, most=MOST) is None
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    remote = connect(web_server.url)
    assert remote.get(NAME, most=MOST) is None
    signed, unsigned = web_server.headers
    assert "Credential=a/" in signed["authorization"]
    assert "authorization" not in unsigned


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        ("s3", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("gs", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az", "AZURE_STORAGE_SAS_TOKEN"),
    ],
)
def test_what_counts_as_credentials(scheme, name):
    assert has_credentials(scheme, {name: "x"})
    assert not has_credentials(scheme, {name: ""})


def test_a_login_of_gcloud_counts(tmp_path):
    login = tmp_path / ".config/gcloud/application_default_credentials.json"
    login.parent.mkdir(parents=True)
    login.write_text("{}")
    assert has_credentials("gs", {"HOME": str(tmp_path)})
    assert not has_credentials("gs", {"HOME": str(tmp_path / "other")})


def test_plain_http_needs_leave_beyond_this_machine(connect, monkeypatch):
    with pytest.raises(ConfigError) as error:
        connect("http://cache.invalid")
    assert str(error.value) == (
        "the remote cache 's3://bucket/docs' cannot be used: AWS_ENDPOINT_URL is not encrypted\n"
        "  declared in: jcache.toml, [cache] remote\n\n"
        "hint: write https:// there, or set AWS_ALLOW_HTTP=true"
    )
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert connect("http://cache.invalid").name == "s3://bucket/docs"
