"""A remote behind plain HTTP: what it asks, and what becomes of a server's faults."""

from __future__ import annotations

import dataclasses
import socket
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from remote_certificates import write_certificate
from remote_server import RemoteServer

from nbbuild.errors import ConfigError, RemoteError, RemoteRefused
from nbbuild.store.remote.addresses import parse
from nbbuild.store.remote.patience import Patience
from nbbuild.store.remote.web import WebObjects

PACK = bytes(range(256)) * 40
NAME = f"cas/{sha256(PACK).hexdigest()}"
MOST = 1_000_000
PATIENT = Patience()


@pytest.fixture
def pauses() -> list[float]:
    """How long it has waited before each further attempt; no time passes."""
    return []


@pytest.fixture
def connect(web_server, pauses):
    """Open the server as a remote, with another patience or other variables."""
    opened = []

    def connect(patience=PATIENT, url=web_server.url, **environ):
        patient = dataclasses.replace(patience, sleep=pauses.append)
        opened.append(WebObjects(parse(url), environ, patience=patient))
        return opened[-1]

    yield connect
    for remote in opened:
        remote.close()


@pytest.fixture
def remote(connect, web_server) -> WebObjects:
    web_server.files[NAME] = PACK
    return connect()


def fails(remote, reason, *, name=NAME, ask=None, kind=RemoteError):
    """Assert the whole message of the error that a request ends with."""
    with pytest.raises(RemoteError) as error:
        (ask or (lambda: remote.get(name, most=MOST)))()
    assert type(error.value) is kind
    about = [f"  remote: {remote.name}", f"  object: {name}", f"  reason: {reason}"]
    if kind is RemoteRefused:
        hint = "hint: check the credentials in the environment, and what they allow"
        about = ["the remote cache refuses access", *about, "", hint]
    else:
        about = ["the remote cache has failed", *about]
    assert str(error.value) == "\n".join(about)


def is_unreachable(remote, reason):
    with pytest.raises(RemoteError) as error:
        remote.get(NAME, most=MOST)
    assert str(error.value) == (
        f"the remote cache cannot be reached\n  remote: {remote.name}\n  reason: {reason}"
    )


def test_a_request_for_each_object_on_one_connection(remote, web_server):
    for _ in range(3):
        assert remote.get(NAME, most=MOST).data == PACK
        assert remote.get("cas/00", most=MOST) is None
    remote.put_new("cas/01", b"data")
    remote.replace("ac/01", b"head", tag=None)
    assert web_server.requests == {
        f"GET {NAME}": 3,
        "GET cas/00": 3,
        "HEAD cas/01": 1,
        "PUT cas/01": 1,
        "PUT ac/01": 1,
    }
    assert web_server.connections == 1


def test_what_is_there_is_not_sent_again(remote, web_server):
    remote.put_new(NAME, PACK)
    assert web_server.methods == {"HEAD": 1}


def test_the_base_url_may_have_a_path(connect, web_server):
    remote = connect(url=f"{web_server.url}/team/docs/")
    remote.put_new("cas/01", b"data")
    assert web_server.files == {"team/docs/cas/01": b"data"}
    assert remote.name == f"{web_server.url}/team/docs"


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


def test_a_lost_connection_is_made_again(remote, web_server, pauses):
    web_server.cut = 2
    assert remote.get(NAME, most=MOST).data == PACK
    assert len(pauses) == 2

    web_server.cut = 4
    fails(remote, "Remote end closed connection without response")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(remote, web_server, pauses, status):
    web_server.busy = [status] * 3
    assert remote.get(NAME, most=MOST).data == PACK
    assert web_server.methods == {"GET": 4}
    first, second, third = pauses
    assert first < second < third


def test_a_busy_server_takes_an_upload_at_last(connect, web_server):
    remote = connect()
    web_server.busy = [503, 429, 503]
    remote.put_new(NAME, PACK)
    assert web_server.files == {NAME: PACK}


def test_a_server_that_stays_busy_is_given_up(remote, web_server):
    web_server.busy = [429] * 9
    fails(remote, "HTTP 429 Too Many Requests")
    assert web_server.methods == {"GET": 4}


def test_a_server_says_how_long_to_wait(remote, web_server, pauses):
    web_server.busy, web_server.retry_after = [429, 503], "7"
    assert remote.get(NAME, most=MOST).data == PACK
    assert pauses == [7.0, 7.0]


def test_nobody_waits_for_an_hour(remote, web_server, pauses):
    web_server.busy, web_server.retry_after = [429, 503], "3600"
    fails(remote, "HTTP 429 Too Many Requests")
    assert pauses == []


def test_a_server_may_ask_for_nonsense(remote, web_server, pauses):
    web_server.busy, web_server.retry_after = [429], "Fri, 31 Dec 1999 23:59:59 GMT"
    assert remote.get(NAME, most=MOST).data == PACK
    assert len(pauses) == 1


def test_other_statuses_are_final(remote, web_server):
    for status, words in ((400, "HTTP 400 Bad Request"), (299, "HTTP 299")):
        web_server.busy = [status]
        fails(remote, words)
    web_server.busy = [400]
    fails(remote, "HTTP 400 Bad Request", ask=lambda: remote.replace(NAME, b"", tag=""))
    assert web_server.methods == {"GET": 2, "PUT": 1}


def test_a_server_without_ranges_is_read_whole(remote, web_server):
    web_server.ignore_range = True
    assert remote.get_range(NAME, 100, 300, most_whole=len(PACK)) == PACK[100:400]
    reason = "it is larger than 10,239 bytes, the most that it may be"

    def ask():
        return remote.get_range(NAME, 100, 300, most_whole=len(PACK) - 1)

    fails(remote, reason, ask=ask)


def test_a_part_from_another_place_is_an_error(remote, web_server):
    web_server.wrong_range = True

    def ask():
        return remote.get_range(NAME, 100, 300, most_whole=MOST)

    fails(remote, "it answered with another part than it was asked for", ask=ask)


def test_a_part_far_beyond_the_end_is_an_error(remote):

    def ask():
        return remote.get_range(NAME, len(PACK), 7, most_whole=MOST)

    fails(remote, "0 of 7 bytes arrived", ask=ask)


def test_a_body_without_an_end_is_not_read(remote, web_server):
    web_server.endless = True
    fails(remote, "it is larger than 1,000,000 bytes, the most that it may be")

    def ask():
        return remote.get_range(NAME, 0, 10, most_whole=MOST)

    fails(remote, "it is larger than 1,000,000 bytes, the most that it may be", ask=ask)


def test_a_silent_server_is_given_up(connect, web_server):
    web_server.files[NAME] = PACK
    web_server.wait = threading.Event()
    fails(connect(Patience(between=0.05)), "nothing arrived for 0.05 s")
    web_server.wait.set()
    web_server.wait = None

    web_server.wait_in_body = threading.Event()
    fails(connect(Patience(between=0.05)), "nothing arrived for 0.05 s")
    web_server.wait_in_body.set()


def test_a_server_that_takes_too_long_is_given_up(connect, web_server):
    """Even if nothing else has run out of patience."""
    web_server.files[NAME] = PACK
    web_server.wait = threading.Event()
    fails(connect(Patience(total=0.05)), "no whole answer within 0.05 s")
    web_server.wait.set()


def test_a_large_body_comes_and_goes_in_pieces(connect, web_server):
    web_server.files[NAME] = PACK * 100
    remote = connect()
    assert remote.get(NAME, most=2 * MOST).data == PACK * 100
    remote.replace("ac/01", PACK * 100, tag=None)
    assert web_server.files["ac/01"] == PACK * 100


def test_nobody_listens(connect):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    is_unreachable(connect(url=f"http://127.0.0.1:{port}"), "Connection refused")


def test_no_such_host(connect, pauses):
    is_unreachable(connect(url="http://nowhere.invalid/cache"), "its host has no address")
    assert pauses == []


def test_a_host_that_cannot_be_found_in_time(connect, monkeypatch):
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *all_: found.wait())
    is_unreachable(connect(Patience(connect=0.05)), "no connection within 0.05 s")
    found.set()


def test_a_server_that_only_gives(remote, web_server):
    web_server.read_only = True
    assert remote.get(NAME, most=MOST).data == PACK
    for ask in (
        lambda: remote.put_new("cas/01", b""),
        lambda: remote.replace("cas/01", b"", tag=None),
        lambda: remote.delete("cas/01"),
    ):
        fails(remote, "HTTP 403 Forbidden", name="cas/01", ask=ask, kind=RemoteRefused)


def test_credentials(connect, web_server):
    web_server.files[NAME] = PACK
    web_server.token = "Bearer s3cret"
    fails(connect(), "HTTP 401 Unauthorized", kind=RemoteRefused)
    assert connect(NBBUILD_REMOTE_TOKEN="s3cret\n").get(NAME, most=MOST).data == PACK

    web_server.token = "Basic bWU6cMOkc3M6d29yZA=="
    url = web_server.url.replace("//", "//me:p%C3%A4ss%3Aword@")
    remote = connect(url=url)
    assert remote.get(NAME, most=MOST).data == PACK
    assert remote.name == web_server.url
    fails(connect(url=url, NBBUILD_REMOTE_TOKEN="x"), "HTTP 401 Unauthorized", kind=RemoteRefused)


def test_a_token_with_a_line_end_in_it(connect):
    with pytest.raises(ConfigError) as error:
        connect(NBBUILD_REMOTE_TOKEN="a\nHost: b")
    assert str(error.value) == (
        "NBBUILD_REMOTE_TOKEN holds no token: it has characters in it that no token has\n\n"
        "hint: copy the token again, without quotes"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(connect, web_server, status):
    web_server.files[NAME] = PACK
    web_server.redirect = f"/redirected/{NAME}"
    web_server.redirect_status = status
    remote = connect(NBBUILD_REMOTE_TOKEN="s3cret")
    assert remote.get(NAME, most=MOST).data == PACK
    assert [one["Authorization"] for one in web_server.headers] == ["Bearer s3cret"] * 2


def test_an_upload_follows_only_where_it_stays_an_upload(connect, web_server):
    remote = connect()
    web_server.redirect, web_server.redirect_status = f"/redirected/{NAME}", 307
    remote.replace(NAME, PACK, tag=None)
    assert web_server.files == {f"redirected/{NAME}": PACK}
    web_server.redirect_status = 302

    def ask():
        return remote.replace(NAME, PACK, tag=None)

    fails(remote, "it redirects an upload to a page", ask=ask)


def test_redirects_end(remote, web_server):
    web_server.redirect = f"/{NAME}"
    fails(remote, "it redirects more than 5 times")
    assert web_server.methods == {"GET": 6}


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://[", "ftp://host/x"])
def test_redirects_lead_to_the_web_only(remote, web_server, where):
    web_server.redirect = where
    fails(remote, "it redirects to nowhere")


def test_a_password_is_not_taken_to_another_server(connect, web_server):
    other = RemoteServer(files={NAME: PACK}).start()
    web_server.redirect = f"{other.url}/{NAME}"
    assert connect(NBBUILD_REMOTE_TOKEN="s3cret").get(NAME, most=MOST).data == PACK
    assert "Authorization" not in other.headers[0]
    other.stop()


def test_encrypted(connect, web_server, tmp_path: Path):
    trusted = write_certificate(tmp_path / "server.pem")
    server = RemoteServer(files={NAME: PACK}).start(certificate=str(trusted))
    remote = connect(url=server.url, SSL_CERT_FILE=str(trusted))
    assert remote.get(NAME, most=MOST).data == PACK

    web_server.files[NAME] = PACK
    server.redirect = f"{web_server.url}/{NAME}"
    fails(remote, "it redirects from https to http")
    assert not web_server.requests

    is_unreachable(
        connect(url=server.url), "its certificate is not trusted: self-signed certificate"
    )
    server.stop()


def test_through_a_proxy(connect, web_server):
    """The web server takes the whole URL for a path: so it must have come as to a proxy."""
    remote = connect(url="http://cache.invalid/docs", HTTP_PROXY=web_server.url)
    assert remote.get("cas/00", most=MOST) is None
    assert web_server.requests == {"GET http://cache.invalid/docs/cas/00": 1}

    direct = connect(http_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1")
    assert direct.get("cas/00", most=MOST) is None


def test_a_proxy_that_is_none(connect):
    with pytest.raises(ConfigError) as error:
        connect(url="https://cache.invalid", HTTPS_PROXY="socks9://me:secret@proxy")
    assert str(error.value) == (
        "the remote cache 'https://cache.invalid' cannot be used: "
        "the proxy 'socks9://proxy' is none\n"
        "  declared in: jcache.toml, [cache] remote\n\n"
        "hint: correct HTTP_PROXY or HTTPS_PROXY, or add the host to NO_PROXY"
    )
