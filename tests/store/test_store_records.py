from __future__ import annotations

import os
import random

import pytest
from store_helpers import KEY, OTHER_KEY, damage_record, in_child, record, record_file

from nbbuild.disk.checksummed import seal
from nbbuild.errors import StoreError
from nbbuild.model import ArtefactFile
from nbbuild.store import DiskStore, Store


def test_records_come_newest_first(store: Store) -> None:
    old, new, other = record("old", created=1), record("new", created=2), record(key=OTHER_KEY)
    for one in (old, other, new):
        store.publish(one)
    assert store.records(KEY) == [new, old]
    assert store.records(OTHER_KEY) == [other]
    assert sorted(one.id for one in store.all_records()) == ["new", "old", "r1"]


def test_a_record_comes_back_whole(store: Store) -> None:
    artefact = ArtefactFile("data/ü\n.csv", KEY, 3, True)
    one = record(artefacts=[artefact])
    store.publish(one)
    assert store.records(KEY) == [one]


def test_publishing_again_replaces(store: Store) -> None:
    store.publish(record(created=1))
    store.publish(record(created=2))
    assert store.records(KEY) == [record(created=2)]


def test_a_removed_record_is_gone(store: Store) -> None:
    store.publish(record("a"))
    store.publish(record("b"))
    store.remove(record("a"))
    store.remove(record("a"))
    assert store.records(KEY) == [record("b")]
    store.remove(record("b"))
    assert store.records(KEY) == []
    store.publish(record("a"))
    assert store.records(KEY) == [record("a")]


@pytest.mark.parametrize("bad", ["", ".", "../x", "a/b", ".hidden", "x" * 201, "a\nb", "ü"])
def test_an_id_that_is_no_file_name_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(StoreError, match=r"the result of 'a\.ipynb' cannot be kept in the cache"):
        store.publish(record(bad))
    assert store.size()[1] == 0


def test_what_would_not_read_back_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="its numbers cannot be right"):
        store.publish(record(created=float("nan")))
    with pytest.raises(StoreError, match="its id or its key"):
        store.publish(record(key="../../x"))


def test_a_record_names_files_that_are_not_utf_8(store: Store) -> None:
    one = record(artefacts=[ArtefactFile("caf\udce9.csv", KEY, 1)])
    store.publish(one)
    assert store.records(KEY) == [one]


def test_a_record_cut_short_at_any_byte_is_skipped(store: Store) -> None:
    one = record()
    store.publish(one)
    store.publish(record("r2"))
    whole = record_file(store, one)
    for length in range(len(whole)):
        damage_record(store, one, whole[:length])
        assert store.records(KEY) == [record("r2")], length
    damage_record(store, one, whole)
    assert len(store.records(KEY)) == 2


def test_any_flipped_bit_of_a_record_is_found(store: Store) -> None:
    one = record()
    store.publish(one)
    whole = record_file(store, one)
    chance = random.Random(3)
    for _ in range(500):
        bad = bytearray(whole)
        bad[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        damage_record(store, one, bytes(bad))
        assert store.records(KEY) == []
    damage_record(store, one, whole + b"\n")
    assert store.records(KEY) == []
    store.publish(one)
    assert store.records(KEY) == [one]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[" * 100_000, b'{"id": 3}', b"\xff"])
def test_what_is_no_record_is_skipped_even_if_it_is_whole(store: Store, body: bytes) -> None:
    store.publish(record())
    damage_record(store, record(), seal(body))
    assert store.records(KEY) == []
    assert list(store.all_records()) == []


def test_a_record_under_another_name_or_key_is_skipped(store: Store) -> None:
    store.publish(record("a"))
    store.publish(record("b"))
    store.publish(record("a", key=OTHER_KEY))
    damage_record(store, record("a"), record_file(store, record("b")))
    damage_record(store, record("a", key=OTHER_KEY), record_file(store, record("b")))
    assert store.records(KEY) == [record("b")]
    assert store.records(OTHER_KEY) == []


def test_what_else_lies_in_the_folders_is_passed_over(disk: DiskStore) -> None:
    disk.publish(record())
    folder = disk.layout.key(KEY)
    (folder / "notes.txt").write_text("mine")
    (folder / "folder.json").mkdir()
    os.mkfifo(disk.layout.records / "pipe")
    (disk.layout.records / "ab" / "no-key").mkdir(parents=True, exist_ok=True)
    assert disk.records(KEY) == [record()]
    assert list(disk.all_records()) == [record()]


def test_a_use_is_noted_for_pruning(disk: DiskStore) -> None:
    disk.publish(record())
    path = disk.layout.record(KEY, "r1")
    os.utime(path, (1, 1))
    disk.used(record())
    assert path.stat().st_mtime > 1
    disk.used(record("nothing"))


def test_many_processes_publish_and_remove_under_one_key(disk: DiskStore) -> None:
    def story(number: int) -> None:
        for turn in range(40):
            disk.publish(record(f"p{number}-{turn}"))
            assert f"p{number}-{turn}" in {one.id for one in disk.records(KEY)}
            if turn != 39:
                disk.remove(record(f"p{number}-{turn}"))

    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            os._exit(in_child(lambda mine=number: story(mine)))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    assert sorted(one.id for one in disk.records(KEY)) == [f"p{n}-39" for n in range(4)]
    assert list((disk.layout.folder / "tmp").iterdir()) == []
