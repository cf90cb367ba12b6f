"""What the traces of many records have in common is kept once, and nothing else changes."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from store_helpers import KEY, damage, record, record_file

from nbbuild.disk.checksummed import seal, unseal
from nbbuild.disk.shapes import as_json, packed
from nbbuild.model import ChunkedItems, Digest, Record, Trace, TraceItem
from nbbuild.store import DiskStore, MemoryStore, archive
from nbbuild.store.blobs import OTHER_BYTES, Blobs
from nbbuild.store.bounds import MOST_ITEMS
from nbbuild.store.checking import INCOMPLETE, Fault
from nbbuild.store.chunks import cut
from nbbuild.store.pruning import Limits
from nbbuild.store.reading import RecordReader, plainly

SHARED = tuple(TraceItem("file", f"data/{n:03}.csv", f"{n:064x}", "read") for n in range(400))
EVERYTHING = Limits(max_records=0)


def made(number: int, items: tuple[TraceItem, ...] = SHARED, **more: object) -> Record:
    """Return a record with some items of its own among those that all have."""
    own = tuple(TraceItem("absent", f"data/{number + 150:03}x{n}.csv") for n in range(3))
    trace = Trace("syscalls", (*items[:150], *own, *items[150:]), path=("<stdlib>",), best=True)
    one = record(f"r{number}", created=float(number), **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(one, trace=trace)


def published(store: DiskStore, count: int = 3) -> list[Record]:
    store.put(b"cells")
    records = [made(number) for number in range(count)]
    for one in records:
        store.publish(one)
    return records[::-1]


def named(store: DiskStore, one: Record) -> set[Digest]:
    """The chunks that the file of a record names."""
    body = unseal(record_file(store, one))
    assert body is not None
    items = msgspec.json.decode(body)["trace"]["items"]
    return set(items["chunks"]) if isinstance(items, dict) else set()


def a_chunk(store: DiskStore) -> Digest:
    return sorted(named(store, made(2)))[0]


# -- keeping and reading -----------------------------------------------------------------------


def test_what_is_met_twice_becomes_chunks_and_reads_back_as_it_was(disk: DiskStore) -> None:
    records = published(disk)

    for store in (disk, DiskStore(disk.layout.path)):
        assert store.records(KEY) == records
        assert sorted(store.all_records(), key=lambda one: -one.created) == records

    sizes = [len(record_file(disk, one)) for one in records]
    assert sizes[0] == sizes[1] < sizes[2] / 4
    assert named(disk, records[0]) == named(disk, records[1]) != set() == named(disk, records[2])
    newest, second, first = disk.records(KEY)
    assert isinstance(newest.trace.items, ChunkedItems)
    assert isinstance(first.trace.items, tuple)
    assert isinstance(second.trace.items, ChunkedItems)
    assert list(map(id, newest.trace.items.chunks)) == list(map(id, second.trace.items.chunks))


def test_another_process_names_the_chunks_that_are_there(disk: DiskStore) -> None:
    published(disk)
    later = DiskStore(disk.layout.path)
    later.publish(made(7))
    assert named(later, made(7)) == named(disk, made(2))
    assert later.records(KEY)[0] == made(7)


def test_a_short_trace_stays_whole(disk: DiskStore) -> None:
    for number in range(3):
        disk.publish(made(number, SHARED[:60]))
    assert [named(disk, one) for one in disk.records(KEY)] == [set()] * 3


def test_a_name_that_is_not_utf_8_keeps_its_trace_whole(disk: DiskStore) -> None:
    odd = (*SHARED[:200], TraceItem("file", "half \udc80", "0" * 64), *SHARED[200:])
    records = [made(number, odd) for number in range(3)]
    for one in records:
        disk.publish(one)
    assert disk.records(KEY) == records[::-1]


def test_chunks_are_there_before_the_record_that_names_them(
    disk: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(disk, 1)
    kept, place = [], disk.layout.record(KEY, "r1")
    put = Blobs.put

    def noted(self: Blobs, data: bytes, *, sync: bool = True) -> Digest:
        kept.append((place.exists(), sync))
        return put(self, data, sync=sync)

    monkeypatch.setattr(Blobs, "put", noted)
    disk.publish(made(1))
    assert kept == [(False, True)] * len(named(disk, made(1)))


def test_listings_and_globs_are_in_no_chunk() -> None:
    odd = [TraceItem("listing", "data"), TraceItem("glob", "data:*.csv", way="glob")]
    items = (*SHARED[:10], odd[0], *SHARED[10:300], odd[1], odd[0], *SHARED[300:])
    stretches = list(cut(items))
    assert tuple(item for one in stretches for item in one.items) == items
    assert [one.items for one in stretches if set(odd) & {*one.items}] == [
        (odd[0],),
        (odd[1],),
        (odd[0],),
    ]
    assert all(not one.alike for one in stretches if set(odd) & {*one.items})


def test_an_item_more_changes_no_chunk_but_its_own() -> None:
    bodies = {one.body for one in cut(SHARED)}
    for place in range(0, len(SHARED), 37):
        own = TraceItem("absent", f"own {place}")
        changed = {one.body for one in cut((*SHARED[:place], own, *SHARED[place:]))}
        assert len(bodies - changed) <= 1


def test_items_in_chunks_behave_as_the_tuple_that_they_stand_for(disk: DiskStore) -> None:
    published(disk)
    found, plain = disk.records(KEY)[0], made(2)
    items, wanted = found.trace.items, plain.trace.items
    assert (len(items), items[3], items[-1], items[148:155]) == (
        len(wanted),
        wanted[3],
        wanted[-1],
        wanted[148:155],
    )
    assert (found, hash(found)) == (plain, hash(plain))
    assert items != wanted[1:]
    assert pickle.loads(pickle.dumps(found)) == plain
    assert (as_json(found), packed(found)) == (as_json(plain), packed(plain))


# -- what is lost ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_record_with_a_lost_chunk_is_a_miss_until_it_is_kept_again(
    disk: DiskStore, how: str
) -> None:
    records, lost = published(disk), a_chunk(disk)
    if how == "gone":
        disk.layout.blob(lost).unlink()
    else:
        damage(disk, lost, b"[]")
    later = DiskStore(disk.layout.path)
    assert later.records(KEY) == [made(0)]

    later.publish(made(9))  # the first notebook that runs again

    assert later.records(KEY) == [made(9), *records]
    assert DiskStore(disk.layout.path).records(KEY) == [made(9), *records]


def test_verify_names_a_damaged_chunk_and_the_records_that_lack_it(disk: DiskStore) -> None:
    published(disk)
    lost = a_chunk(disk)
    damage(disk, lost, b"[]")
    assert DiskStore(disk.layout.path).check().faults == (
        Fault("blob", lost, OTHER_BYTES),
        Fault("record", "r1", INCOMPLETE, "a.ipynb"),
        Fault("record", "r2", INCOMPLETE, "a.ipynb"),
    )
    assert disk.records(KEY) == [made(0)]
    assert disk.check().faults == ()


def test_pruning_keeps_the_chunks_of_records_and_removes_them_with_the_last(
    disk: DiskStore,
) -> None:
    records = published(disk)
    chunks = len(named(disk, records[0]))
    for left in (2, 1):
        disk.prune(Limits(max_records=left))
        assert DiskStore(disk.layout.path).records(KEY) == records[:left]
        assert disk.size()[:2] == (chunks + 1, left)
    disk.prune(EVERYTHING)
    assert disk.size()[:2] == (0, 0)


def test_pruning_keeps_a_record_whose_chunk_is_lost_as_it_keeps_any_incomplete_one(
    disk: DiskStore,
) -> None:
    published(disk)
    disk.layout.blob(a_chunk(disk)).unlink()
    later = DiskStore(disk.layout.path)
    later.prune(Limits())
    assert later.size()[1] == 3


def test_many_publish_while_others_prune(disk: DiskStore) -> None:
    disk.put(b"cells")

    def publish(first: int) -> None:
        mine = DiskStore(disk.layout.path)
        with mine.in_use():
            mine.put(b"cells")
            for number in range(first, first + 5):
                mine.publish(made(number))

    with disk.in_use(), ThreadPoolExecutor(5) as threads:
        pruned = [threads.submit(DiskStore(disk.layout.path).prune, EVERYTHING) for _ in range(2)]
        builds = [threads.submit(publish, first) for first in (0, 5, 10)]
        for one in (*pruned, *builds):
            one.result()
    found = DiskStore(disk.layout.path).records(KEY)
    assert found == [made(number) for number in reversed(range(15))]
    assert disk.check().faults == ()


# -- elsewhere ---------------------------------------------------------------------------------


def test_records_travel_whole(disk: DiskStore, tmp_path: Path) -> None:
    records = published(disk)
    held = list(DiskStore(disk.layout.path).all_records())
    places = [tmp_path / "chunked.tar.gz", tmp_path / "plain.tar.gz"]
    plain = MemoryStore()
    plain.put(b"cells")
    written = [
        archive.write_archive(origin, some, place, lambda done: None)
        for origin, some, place in zip((disk, plain), (held, records), places, strict=True)
    ]
    assert written[0] == written[1]
    assert places[0].read_bytes() == places[1].read_bytes()

    there = DiskStore(tmp_path / "there")
    taken = archive.read_archive(there, places[0], lambda done: None, max_size=10**9)
    assert (taken.records, taken.blobs) == (3, 1)
    assert there.records(KEY) == records


def test_a_record_in_chunks_is_none_where_there_are_no_chunks(disk: DiskStore) -> None:
    published(disk)
    body = unseal(record_file(disk, made(2)))
    assert body is not None
    assert RecordReader().read(body) is None
    assert plainly(body) is None  # nor for a version of nbbuild that does not know chunks


@pytest.mark.parametrize(
    "change",
    [
        {"places": []},
        {"places": [0, 0]},
        {"places": [-1]},
        {"places": [4]},
        {"places": ["0"]},
        {"chunks": ["../../../secret"]},
        {"chunks": [1]},
        {"rest": {}},
        {"rest": [{}]},
        {"more": 1},
    ],
)
def test_other_forms_are_no_record(disk: DiskStore, change: dict[str, object]) -> None:
    chunk = disk.put(as_json(SHARED[:5]))
    form = {"chunks": [chunk], "places": [1], "rest": list(SHARED[5:8])}
    for changed, found in ((form, True), (form | change, False)):
        plain = msgspec.to_builtins(made(1))
        plain["trace"]["items"] = changed
        place = disk.layout.record(KEY, "r1")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(seal(as_json(plain)))
        assert bool(DiskStore(disk.layout.path).records(KEY)) is found


def test_a_chunk_that_is_no_list_of_items_makes_no_record(disk: DiskStore) -> None:
    for content in (b"{}", b"", b"[1]", b'["x"]', b"\xff"):
        chunk = disk.put(content) if content else "af1349b9f5f9a1a6" + "0" * 48
        plain = msgspec.to_builtins(made(1))
        plain["trace"]["items"] = {"chunks": [chunk], "places": [0], "rest": []}
        place = disk.layout.record(KEY, "r1")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(seal(as_json(plain)))
        assert DiskStore(disk.layout.path).records(KEY) == []


def test_a_record_of_more_items_than_any_run_has_is_none_however_they_are_named(
    disk: DiskStore,
) -> None:
    chunk = disk.put(as_json(SHARED[:5]))
    for times, found in ((1, True), (MOST_ITEMS // 5 + 1, False), (MOST_ITEMS, False)):
        plain = msgspec.to_builtins(made(1))
        plain["trace"]["items"] = {"chunks": [chunk] * times, "places": [0] * times, "rest": []}
        place = disk.layout.record(KEY, "r1")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(seal(as_json(plain)))
        assert bool(DiskStore(disk.layout.path).records(KEY)) is found


def test_a_chunk_larger_than_any_that_is_written_is_not_read(disk: DiskStore) -> None:
    records = published(disk)
    for digest in named(disk, records[0]):
        place = disk.layout.blob(digest)
        place.chmod(0o644)
        os.truncate(place, 1 << 40)  # a file with holes
    assert DiskStore(disk.layout.path).records(KEY) == records[2:]
