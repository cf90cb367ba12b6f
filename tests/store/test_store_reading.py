"""Records are read as they were written, and equal items of their traces are one object."""

import json

import msgspec
import pytest

from nbbuild.disk.shapes import as_json
from nbbuild.model import ActionKey, Record, Trace, TraceItem
from nbbuild.store import reading
from nbbuild.store.reading import RecordReader, plainly


def record(name, *items, **more):
    trace = Trace("python", items, path=("<stdlib>", "."), best=True)
    return Record(
        id=name, key=ActionKey("k", ()), trace=trace, task=name, source="", cells="", **more
    )


SHARED = tuple(TraceItem("file", f"data/{n}.csv", "digest", f"read by In [{n}]") for n in range(50))


def test_records_with_the_same_items_share_them(monkeypatch):
    made = []
    new = RecordReader._new
    monkeypatch.setattr(RecordReader, "_new", lambda *a: made.append(a[1]) or new(*a))
    reader = RecordReader()
    own = [TraceItem("absent", f"own/{n}") for n in range(3)]
    written = [record(f"r{n}", *SHARED[:20], own[n], *SHARED[20:], seconds=n) for n in range(3)]

    found = [reader.read(as_json(one)) for one in written]

    assert found == written
    assert len(made) == len(SHARED) + 3
    shared = [[id(item) for item in one.trace.items if item in SHARED] for one in found]
    assert shared[0] == shared[1] == shared[2]


@pytest.mark.parametrize(
    "name",
    ["},{", '"},{"', 'a"},{"kind":"file","name":"b', "\\", '\\"},{\\"', "ä\u2028", "", "]}", "[{"],
)
def test_names_that_look_like_the_end_of_an_item_are_names(name):
    one = record("r", TraceItem("file", name, name, name), TraceItem("stat", name, way=name))
    reader = RecordReader()
    assert [reader.read(as_json(one)) for _ in range(2)] == [one, one]


@pytest.mark.parametrize("indent", [None, 1])
def test_other_blanks_and_half_surrogates_are_read_as_before(indent):
    one = record("r", TraceItem("file", "half \udc80"), TraceItem("file", "whole"))
    body = json.dumps(msgspec.to_builtins(one), indent=indent).encode()
    assert RecordReader().read(body) == plainly(body) == one
    assert RecordReader().read(as_json(record("none"))) == record("none")


@pytest.mark.parametrize(
    "change",
    [
        (b'"kind":"file"', b'"kind":5'),
        (b'"items":[', b'"items":[['),
        (b'"items":[', b'"items":[{},'),
        (b'"items":', b'"items":null,"more":'),
        (b'"trace":', b'"no trace":'),
        (b"}", b""),
    ],
)
def test_what_is_no_record_is_none_in_either_way(change):
    body = as_json(record("r", *SHARED[:2])).replace(*change)
    assert RecordReader().read(body) is plainly(body) is None


def test_no_more_items_are_kept_than_make_sense(monkeypatch):
    monkeypatch.setattr(reading, "MOST", 10)
    reader = RecordReader()
    written = record("r", *SHARED)
    assert [reader.read(as_json(written)) for _ in range(3)] == [written] * 3
    assert len(reader._known) <= 10
