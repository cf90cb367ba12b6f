"""What the remote in memory does beyond what all remotes do: it counts, and it fails as told."""

import pytest

from nbbuild.errors import RemoteError
from nbbuild.store.remote.in_memory import MemoryObjects
from nbbuild.store.remote.objects import unreachable

NAME = "cas/0a"


def test_it_counts_what_it_is_asked():
    remote = MemoryObjects()
    remote.put_new(NAME, b"data")
    remote.get(NAME, most=10)
    remote.get(NAME, most=10)
    remote.get_range(NAME, 1, 2, most_whole=10)
    list(remote.list("cas/"))
    assert remote.requests == {"put_new": 1, "get": 2, "get_range": 1, "list": 1}


def test_it_is_offline_when_told_so():
    remote = MemoryObjects()

    def offline(method, name):
        raise unreachable(remote.name, "connection refused")

    remote.before = offline
    with pytest.raises(RemoteError) as error:
        remote.get(NAME, most=10)
    assert str(error.value) == (
        "the remote cache cannot be reached\n"
        "  remote: memory://remote\n"
        "  reason: connection refused"
    )


def test_somebody_can_be_faster():
    remote = MemoryObjects()

    def faster(method, name):
        remote.before = None
        remote.replace(name, b"theirs", tag=None)

    remote.before = faster
    assert not remote.replace("ac/01", b"ours", tag=None)
    assert remote.held["ac/01"].data == b"theirs"


def test_it_damages_what_is_read_and_not_what_it_holds():
    remote = MemoryObjects(damage=lambda name, data: data[:-1])
    remote.put_new(NAME, b"data")
    assert remote.get(NAME, most=10).data == b"dat"
    assert remote.held[NAME].data == b"data"


def test_its_clock_stands_until_it_is_set():
    remote = MemoryObjects(now=7.0)
    remote.put_new(NAME, b"data")
    assert [one.modified for one in remote.list("cas/")] == [7.0]
