"""What every remote does, whatever it is made of."""

from __future__ import annotations

import threading
from hashlib import sha256

import pytest

from nbbuild.errors import RemoteError
from nbbuild.store.remote.objects import Fetched, Objects

MOST = 1_000_000
PACK = bytes(range(256)) * 40
HEAD = f"ac/{sha256(b'main').hexdigest()}"


def named(data: bytes) -> str:
    return f"cas/{sha256(data).hexdigest()}"


def put(place: Objects, data: bytes) -> str:
    place.put_new(named(data), data)
    return named(data)


def read(place: Objects, name: str) -> bytes | None:
    found = place.get(name, most=MOST)
    return None if found is None else found.data


def raised(place: Objects, name: str, reason: str) -> str:
    return (
        f"the remote cache has failed\n  remote: {place.name}\n  object: {name}\n  reason: {reason}"
    )


def test_bytes_come_back_as_they_were_put(place):
    for data in (b"", b"one", PACK):
        assert read(place, put(place, data)) == data


def test_what_was_never_put_is_not_there(place):
    assert place.get(named(b"one"), most=MOST) is None
    assert place.get_range(named(b"one"), 0, 1, most_whole=MOST) is None


def test_putting_twice_is_fine(place):
    name = put(place, PACK)
    assert put(place, PACK) == name
    assert read(place, name) == PACK


def test_an_object_may_be_as_large_as_allowed_and_no_larger(place):
    name = put(place, PACK)
    assert place.get(name, most=len(PACK)).data == PACK
    with pytest.raises(RemoteError) as error:
        place.get(name, most=len(PACK) - 1)
    reason = "it is larger than 10,239 bytes, the most that it may be"
    assert str(error.value) == raised(place, name, reason)


def test_a_part_is_read_by_its_place(place):
    name = put(place, PACK)
    for start, size in ((0, 1), (0, len(PACK)), (100, 300), (len(PACK) - 1, 1)):
        part = place.get_range(name, start, size, most_whole=MOST)
        assert part == PACK[start : start + size]


def test_nothing_is_read_of_nothing(place):
    assert place.get_range(named(b"never put"), 7, 0, most_whole=MOST) == b""


def test_a_part_beyond_the_end_is_an_error(place):
    name = put(place, PACK)
    with pytest.raises(RemoteError) as error:
        place.get_range(name, len(PACK) - 10, 20, most_whole=MOST)
    assert str(error.value) == raised(place, name, "10 of 20 bytes arrived")


def test_a_head_is_replaced_by_whoever_saw_the_last_one(place):
    assert place.replace(HEAD, b"first", tag=None)
    first = place.get(HEAD, most=MOST)
    assert place.replace(HEAD, b"second", tag=first.tag)
    assert read(place, HEAD) == b"second"

    faster = place.replace(HEAD, b"late", tag=first.tag)
    assert faster is not place.conditional
    assert read(place, HEAD) == (b"second" if place.conditional else b"late")


def test_a_head_is_begun_by_one_only(place):
    assert place.replace(HEAD, b"first", tag=None)
    assert place.replace(HEAD, b"late", tag=None) is not place.conditional
    assert read(place, HEAD) == (b"first" if place.conditional else b"late")


def test_a_head_that_vanished_is_not_replaced(place):
    assert place.replace(HEAD, b"first", tag=None)
    first = place.get(HEAD, most=MOST)
    place.delete(HEAD)
    assert place.replace(HEAD, b"second", tag=first.tag) is not place.conditional


def test_a_head_is_replaced_whatever_it_is(place):
    for data in (b"first", b"second"):
        assert place.replace(HEAD, data, tag="")
        assert read(place, HEAD) == data


def test_of_many_who_saw_the_same_head_one_replaces_it(place):
    place.replace(HEAD, b"first", tag=None)
    tag = place.get(HEAD, most=MOST).tag
    together, won = threading.Barrier(8), []

    def run(number):
        together.wait()
        if place.replace(HEAD, b"%d" % number, tag=tag):
            won.append(b"%d" % number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if place.conditional:
        assert [read(place, HEAD)] == won
    else:
        assert len(won) == 8


def test_what_was_deleted_is_gone(place):
    name = put(place, PACK)
    assert place.exists(name)
    place.delete(name)
    place.delete(name)
    assert not place.exists(name)
    assert read(place, name) is None


def test_a_listing_shows_what_lies_in_one_folder(place):
    names = {put(place, data): len(data) for data in (b"one", b"three", PACK)}
    place.replace(HEAD, b"a head", tag=None)
    if place.name.startswith("http"):
        with pytest.raises(RemoteError) as error:
            list(place.list("cas/"))
        assert str(error.value) == (
            "the remote cache cannot list what it holds\n"
            f"  remote: {place.name}\n\n"
            "hint: let the server itself remove what is old"
        )
        return
    assert {one.name: one.size for one in place.list("cas/")} == names
    (head,) = place.list("ac/")
    assert (head.name, head.size) == (HEAD, 6)
    assert head.modified > 0


def test_a_listing_of_nothing_is_empty(place):
    if not place.name.startswith("http"):
        assert list(place.list("cas/")) == []


@pytest.mark.parametrize("name", ["../secret", "cas/../secret", "cas/", "other/00", "cas/0g", ""])
def test_no_name_leads_elsewhere(place, name):
    for ask in (
        lambda: place.get(name, most=MOST),
        lambda: place.get_range(name, 0, 1, most_whole=MOST),
        lambda: place.put_new(name, b""),
        lambda: place.replace(name, b"", tag=""),
        lambda: place.delete(name),
    ):
        with pytest.raises(RemoteError) as error:
            ask()
        assert str(error.value) == raised(place, name, "no object can have this name")


def test_many_threads_share_one_remote(place):
    packs = [b"%d" % number * 100 for number in range(8)]
    got: dict[bytes, Fetched | None] = {}

    def run(data):
        place.put_new(named(data), data)
        got[data] = place.get(named(data), most=MOST)

    threads = [threading.Thread(target=run, args=(data,)) for data in packs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {data: found.data for data, found in got.items()} == {data: data for data in packs}


def test_it_can_be_closed(place):
    place.close()
