"""Folders of earlier formats: counted, named once, and removed when somebody asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_helpers import KEY, in_child, killed_at, record

from nbbuild.disk.locks import lock
from nbbuild.errors import StoreError
from nbbuild.store import DiskStore, Earlier
from nbbuild.store.layout import FORMAT, Layout


def older(path: Path, number: int = 1, *, records: int = 2) -> Layout:
    """Make what an older nbbuild leaves: a blob, and so many records."""
    layout = Layout(path, number)
    layout.make()
    for name in range(records):
        place = layout.record(KEY, f"r{name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"of another format")
    place = layout.blob(KEY)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.write_bytes(b"bytes")
    place.chmod(0o444)
    return layout


def size(layout: Layout) -> int:
    return sum(path.stat().st_size for path in layout.folder.rglob("*") if path.is_file())


def test_what_an_older_version_left_is_said_once(disk: DiskStore) -> None:
    assert disk.unsaid_earlier() == 0
    disk.put(b"ours")
    older(disk.layout.path, records=0)
    assert disk.unsaid_earlier() == 0
    older(disk.layout.path, records=2)
    assert [disk.unsaid_earlier(), disk.unsaid_earlier()] == [2, 0]
    assert DiskStore(disk.layout.path).unsaid_earlier() == 0
    assert (disk.layout.folder / "earlier").exists()


def test_a_store_that_can_only_be_read_says_nothing(
    disk: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(disk.layout.path)
    monkeypatch.setattr(DiskStore, "writable", False)
    assert disk.unsaid_earlier() == 0
    assert [one.records for one in disk.earlier()] == [2]
    with pytest.raises(StoreError, match="read-only"):
        disk.remove_earlier()


def test_what_earlier_versions_left_goes_and_ours_stays(disk: DiskStore) -> None:
    layout = older(disk.layout.path)
    disk.publish(record())
    expected = [Earlier("v1", 2, size(layout), in_use=False)]
    assert disk.earlier() == expected
    assert disk.remove_earlier() == expected
    assert sorted(os.listdir(disk.layout.path)) == [f"v{FORMAT}", f"v{FORMAT}.lock"]
    assert disk.records(KEY) == [record()]
    assert disk.earlier() == disk.remove_earlier() == []


def test_what_is_not_ours_or_later_stays(disk: DiskStore, tmp_path: Path) -> None:
    disk.put(b"ours")
    store = disk.layout.path
    older(store, FORMAT + 1)
    (store / "v1").mkdir()
    (store / "v1" / "VERSION").write_text(f"nbbuild store {FORMAT}\n")
    (store / "v1.going-01234567").mkdir()
    (store / "v1.going-01234567" / "file").write_text("somebody's")
    (store / f"v{FORMAT + 1}.going-01234567").mkdir()
    before = sorted(store.rglob("*"))
    assert disk.remove_earlier() == []
    assert sorted(store.rglob("*")) == before

    (store / "v1" / "VERSION").unlink()
    (store / "v1").rmdir()
    elsewhere = older(tmp_path / "elsewhere")
    (store / "v1").symlink_to(elsewhere.folder)
    assert disk.remove_earlier() == []
    assert size(elsewhere)


def test_it_stays_while_a_build_of_that_version_is_at_work(disk: DiskStore) -> None:
    layout = older(disk.layout.path)
    with lock(layout.lease()):
        before = sorted(layout.folder.rglob("*"))
        assert [one.in_use for one in disk.earlier()] == [True]
        assert [one.in_use for one in disk.remove_earlier()] == [True]
        assert sorted(layout.folder.rglob("*")) == before
    assert [one.in_use for one in disk.remove_earlier()] == [False]
    assert not layout.folder.exists()


def test_a_lease_that_was_taken_meanwhile_brings_it_back(
    disk: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = older(disk.layout.path)
    lease = layout.lease()
    # Looked at before the lease was there: nobody is at work.
    monkeypatch.setattr("nbbuild.store.earlier.at_work", lambda layout: [])
    with lock(lease):
        assert [one.in_use for one in disk.remove_earlier()] == [True]
        assert lease.exists()
        assert layout.is_ours()
    assert sorted(os.listdir(disk.layout.path)) == ["v1", "v1.lock"]


def test_killed_at_any_step_the_next_one_takes_the_rest(tmp_path: Path) -> None:
    for step in range(1, 100):
        disk = DiskStore(tmp_path / str(step))
        disk.put(b"ours")
        older(disk.layout.path)
        over = not killed_at(step, disk.remove_earlier)
        assert in_child(disk.remove_earlier) == 0
        left = set(os.listdir(disk.layout.path)) - {"v1.lock"}
        assert left == {f"v{FORMAT}", f"v{FORMAT}.lock"}
        if over:
            return
    pytest.fail("it never came to its end")
