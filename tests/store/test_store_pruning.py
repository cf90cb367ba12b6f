"""What a store forgets, what a running build keeps it from forgetting, and what damage it finds."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_helpers import KEY, OTHER_KEY, damage, damage_record, in_child, killed_at, record

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.locks import Held, lock
from nbbuild.errors import StoreError
from nbbuild.model import ArtefactFile, Record
from nbbuild.store import DiskStore, Limits, MemoryStore, Store

AGES_AGO = 1_000_000_000.0


def keep(store: Store, name: str, *, used: float, blobs: int = 1, size: int = 1000) -> Record:
    """Publish a record with artefacts of its own, used `used` seconds after ages ago."""
    contents = [f"{name}{number}".encode().ljust(size, b".") for number in range(blobs)]
    artefacts = [ArtefactFile(f"{one[:9]!r}", store.put(one), size) for one in contents]
    store.put(b"cells")
    one = record(name, artefacts=artefacts, created=used)
    store.publish(one)
    age(store, one, used=used)
    return one


def age(store: Store, one: Record, *, used: float) -> None:
    """Make a record and its blobs look as if they had been used just then."""
    when = AGES_AGO + used
    if isinstance(store, MemoryStore):
        store.uses.update(dict.fromkeys(one.blobs, when))
        store.uses[one.key.digest, one.id] = when
    else:
        assert isinstance(store, DiskStore)
        places = [store.layout.blob(digest) for digest in one.blobs]
        for place in [*places, store.layout.record(one.key.digest, one.id)]:
            if place.exists():
                os.utime(place, (when, when))


def names(store: Store) -> list[str]:
    return sorted(one.id for one in store.all_records())


def test_the_least_recently_used_records_go_first(store: Store) -> None:
    for number, name in enumerate(["a", "b", "c", "d"]):
        keep(store, name, used=number)
    pruned = store.prune(Limits(max_records=2))
    assert [one.id for one in pruned.records] == ["a", "b"]
    assert names(store) == ["c", "d"]
    assert (pruned.blobs, pruned.left) == (2, store.size()[2])
    assert store.prune(Limits(max_records=2)).records == ()


def test_a_hit_is_a_use(store: Store) -> None:
    old, _ = keep(store, "old", used=0), keep(store, "new", used=1)
    store.used(old)
    store.prune(Limits(max_records=1))
    assert names(store) == ["old"]


def test_what_was_not_used_for_so_long_goes(store: Store) -> None:
    keep(store, "ancient", used=0)
    young = keep(store, "young", used=0)
    age(store, young, used=time.time() - AGES_AGO - 1000)
    store.prune(Limits(max_age=2000))
    assert names(store) == ["young"]
    store.prune(Limits(max_age=500))
    assert names(store) == []
    assert store.size() == (0, 0, 0)


def test_size_counts_a_blob_once_and_it_goes_with_the_last_that_names_it(store: Store) -> None:
    shared = store.put(b"s" * 10_000)
    for number, name in enumerate(["a", "b", "c"]):
        one = record(name, artefacts=[ArtefactFile("s", shared, 10_000)], created=number)
        store.put(b"cells")
        store.publish(one)
        age(store, one, used=number)
    size = store.size()[2]
    assert store.prune(Limits(max_size=size)).records == ()
    # To forget one of them frees its own file only, so that is not enough for much less.
    assert [one.id for one in store.prune(Limits(max_size=size - 1)).records] == ["a"]
    assert store.has(shared)
    assert [one.id for one in store.prune(Limits(max_size=9_999)).records] == ["b", "c"]
    assert store.size() == (0, 0, 0)


def test_blobs_without_a_record_go_without_any_limit(store: Store) -> None:
    one = keep(store, "a", used=0)
    store.remove(one)
    pruned = store.prune(Limits())
    assert (pruned.records, pruned.blobs, store.size()) == ((), 2, (0, 0, 0))


def test_a_dry_run_says_the_same_and_takes_nothing(store: Store) -> None:
    for number, name in enumerate(["a", "b"]):
        keep(store, name, used=number)
    before = store.size()
    said = store.prune(Limits(max_records=1), dry_run=True)
    assert store.size() == before
    assert store.prune(Limits(max_records=1)) == said


def test_a_record_that_is_not_sound_goes(store: Store) -> None:
    bad = keep(store, "bad", used=0)
    keep(store, "good", used=0)
    damage_record(store, bad, b"garbage")
    age(store, bad, used=0)
    store.prune(Limits())
    assert store.size()[1] == 1
    assert names(store) == ["good"]


def test_what_a_running_build_used_stays_and_what_it_did_not_goes(store: Store) -> None:
    hit, _ = keep(store, "hit", used=0), keep(store, "unused", used=1)
    with store.in_use():
        store.used(hit)
        pruned = store.prune(Limits(max_records=0))
        assert ([one.id for one in pruned.records], pruned.spared) == (["unused"], 1)
        assert store.get(hit.artefacts[0].digest) is not None
    age(store, hit, used=0)
    assert [one.id for one in store.prune(Limits(max_records=0)).records] == ["hit"]


def test_a_time_in_the_future_protects_nothing_once_no_build_is_running(disk: DiskStore) -> None:
    """As after a clock that was a year ahead for a while."""
    ahead = time.time() - AGES_AGO + 365 * 86400
    for name in ("a", "b", "hit"):
        keep(disk, name, used=0)
        age(disk, record(name, created=0), used=ahead)
        for path, _ in disk._blobs.all():
            os.utime(path, (AGES_AGO + ahead,) * 2)
    with disk.in_use():
        # A build that was running while the clock was wrong may have used them.
        assert disk.prune(Limits(max_records=1)).spared == 2
    hit = next(one for one in disk.all_records() if one.id == "hit")
    assert disk.used(hit)
    age_of_hit = time.time() - disk.layout.record(hit.key.digest, "hit").stat().st_mtime
    assert 0 <= age_of_hit < 3600
    age(disk, hit, used=0)  # as it is a while later: the clock of files has ticks of 4 ms
    said = disk.prune(Limits(max_records=0, max_size=1), dry_run=True)
    pruned = disk.prune(Limits(max_records=0))
    assert (pruned.records, pruned.spared) == (said.records, 0)
    assert disk.size() == (0, 0, 0)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has this process refused to open a file, or to list a folder, from now on."""

    def refuse(place: Path) -> None:
        opening, listing = os.open, os.listdir

        def opened(path: Any, *words: Any, **more: Any) -> int:
            if os.fspath(path) == str(place):
                raise PermissionError(errno.EACCES, "Permission denied", str(place))
            return opening(path, *words, **more)

        def listed(path: Any = ".") -> list[str]:
            if os.fspath(path) == str(place):
                raise PermissionError(errno.EACCES, "Permission denied", str(place))
            return listing(path)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "listdir", listed)

    return refuse


@pytest.mark.parametrize("part", ["folder", "key", "record"])
def test_nothing_is_pruned_while_some_records_cannot_be_read(
    disk: DiskStore, refusing: Callable[[Path], None], part: str
) -> None:
    one = keep(disk, "a", used=0)
    place = disk.layout.record(one.key.digest, one.id)
    above = {"folder": disk.layout.records, "key": place.parent, "record": place}
    refusing(above[part])
    with pytest.raises(StoreError) as caught:
        disk.prune(Limits())
    assert str(caught.value) == (
        "the cache is not pruned, since a record cannot be read\n"
        f"  path: {above[part]}\n"
        "  reason: Permission denied\n\n"
        "hint: make it readable; `nbbuild cache verify` removes what is damaged"
    )
    assert place.exists()
    assert all(map(disk.has, one.blobs))


def test_what_cannot_be_read_now_is_named_and_stays(
    disk: DiskStore, refusing: Callable[[Path], None]
) -> None:
    one = keep(disk, "a", used=0)
    refusing(disk.layout.blob(one.artefacts[0].digest))
    refusing(disk.layout.record(one.key.digest, one.id))
    found = [(fault.kind, fault.removed, fault.reason) for fault in disk.check().faults]
    assert found == [
        ("blob", False, "it cannot be read: Permission denied"),
        ("record", False, "it cannot be read: Permission denied"),
    ]
    assert disk.layout.record(one.key.digest, one.id).exists()
    assert all(map(disk.has, one.blobs))


def test_a_store_whose_version_cannot_be_read_is_not_set_aside(
    disk: DiskStore, refusing: Callable[[Path], None]
) -> None:
    keep(disk, "a", used=0)
    refusing(disk.layout.folder / "VERSION")
    with pytest.raises(StoreError, match="Permission denied"):
        disk.put(b"another")
    assert [path.name for path in disk.layout.path.glob("v*.foreign-*")] == []
    assert disk.layout.blob(digest_bytes(b"cells")).exists()


def test_what_a_running_build_has_put_waits_for_its_record(store: Store) -> None:
    old = keep(store, "old", used=0)
    with store.in_use():
        new, known = store.put(b"new"), store.put(b"old0".ljust(1000, b"."))
        assert known == old.artefacts[0].digest
        store.prune(Limits(max_records=0))
        assert names(store) == []
        assert store.has(new)
        assert store.has(known)  # though the record that had named it is gone
        store.put(b"cells")
        store.publish(record("r", artefacts=[ArtefactFile("k", known, 1000)]))
        store.prune(Limits(max_records=0))
        assert names(store) == ["r"]


def test_a_sound_store_is_found_to_be_sound(store: Store) -> None:
    keep(store, "a", used=0, blobs=2)
    checked = store.check()
    assert (checked.blobs, checked.records, checked.faults) == (3, 1, ())


def test_what_is_damaged_is_named_and_goes(store: Store) -> None:
    hurt, whole = keep(store, "hurt", used=0), keep(store, "whole", used=0)
    bad = record("bad", key=OTHER_KEY)
    store.publish(bad)
    damage(store, hurt.artefacts[0].digest, b"other bytes")
    damage_record(store, bad, b"garbage")
    checked = store.check()
    assert [(one.kind, one.name, one.reason, one.task) for one in checked.faults] == [
        ("blob", hurt.artefacts[0].digest, "its bytes do not match its name", ""),
        ("record", "bad", "it is not the record that was written", ""),
        ("record", "hurt", "some of its blobs are gone or damaged", "a.ipynb"),
    ]
    assert names(store) == ["whole"]
    assert store.records(KEY) == [whole]
    assert store.check().faults == ()


# -- on disk -----------------------------------------------------------------------------------


def test_a_killed_build_protects_nothing(disk: DiskStore) -> None:
    one = keep(disk, "a", used=0)

    def story() -> None:
        with disk.in_use():
            disk.used(one)
            os._exit(0)

    assert in_child(story) == 0
    (lease,) = disk.layout.leases()
    os.utime(lease, (AGES_AGO, AGES_AGO))
    age(disk, one, used=1)
    assert [one.id for one in disk.prune(Limits(max_records=0)).records] == ["a"]
    assert not lease.exists()


def test_a_lease_ends_with_its_build(disk: DiskStore) -> None:
    with disk.in_use():
        assert len(list(disk.layout.leases())) == 1
    assert list(disk.layout.leases()) == []


def test_two_that_prune_take_turns_or_leave_it_be(disk: DiskStore) -> None:
    keep(disk, "a", used=0)
    with lock(disk.layout.pruning), pytest.raises(Held):
        disk.prune(Limits(max_records=0), wait=False)
    assert names(disk) == ["a"]


def test_drafts_and_locks_that_somebody_left_go(disk: DiskStore) -> None:
    keep(disk, "a", used=0)
    with disk.lock(KEY):
        pass
    old, new = (disk.layout.folder / "tmp" / f".nbbuild-{name}.tmp" for name in ("old", "new"))
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (AGES_AGO, AGES_AGO))
    disk.prune(Limits())
    assert (old.exists(), new.exists(), disk.layout.lock(KEY).exists()) == (False, True, False)


def test_pruning_where_there_is_no_store_makes_none(disk: DiskStore, tmp_path: Path) -> None:
    assert disk.prune(Limits(max_records=0)).left == 0
    assert disk.check().records == 0
    assert not (tmp_path / "store").exists()


def test_a_store_that_can_only_be_read_is_not_pruned(disk: DiskStore, tmp_path: Path) -> None:
    keep(disk, "a", used=0)
    hurt = disk.put(b"whole")
    damage(disk, hurt, b"whale")

    class ReadOnly(DiskStore):
        writable = False

    store = ReadOnly(tmp_path / "store")
    with pytest.raises(StoreError) as caught:
        store.prune(Limits(max_records=0))
    assert str(caught.value) == (
        "the cache is read-only, so nothing is removed from it\n"
        f"  path: {disk.layout.folder}\n\n"
        "hint: make it writable, or use --dry-run to see what would be removed"
    )
    assert [one.id for one in store.prune(Limits(max_records=0), dry_run=True).records] == ["a"]
    (fault,) = store.check().faults
    assert (fault.name, fault.removed) == (hurt, False)
    with store.in_use():
        assert list(disk.layout.leases()) == []


def test_the_size_is_estimated_and_looked_up_only_when_it_may_be_past(
    disk: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[int] = []
    size = DiskStore.size

    def counted(store: DiskStore) -> tuple[int, int, int]:
        walks.append(1)
        return size(store)

    monkeypatch.setattr(DiskStore, "size", counted)

    def build(content: bytes) -> None:
        with disk.in_use():
            disk.put(content)

    build(b"x" * 1000)
    assert not disk.exceeds(5000)
    assert len(walks) == 1  # nobody knew
    build(b"y" * 1000)
    build(b"y" * 1000)  # is there already
    assert not disk.exceeds(5000)
    assert len(walks) == 1
    build(b"z" * 4000)
    assert disk.exceeds(5000)
    assert len(walks) == 2
    disk.layout.usage.write_bytes(b"garbage")
    assert disk.exceeds(5000)
    assert not disk.exceeds(6000)
    assert len(walks) == 3
    disk.layout.usage.write_text(f"1 {AGES_AGO:.0f}\n")  # too long ago to be trusted
    assert disk.exceeds(5000)


def test_the_first_of_two_to_touch_a_blob_decides(disk: DiskStore) -> None:
    """A blob that went between a look and a note is put anew."""
    content = b"x" * 1000
    place = disk.layout.blob(disk.put(content))
    os.utime(place, (AGES_AGO, AGES_AGO))
    note = type(disk._uses).note
    disk._uses.note = lambda path: (path.unlink(), note(disk._uses, path))[1]  # type: ignore[method-assign]
    assert disk.put(content) == digest_bytes(content)
    assert place.read_bytes() == content


_BUILDER = """
import random, sys
from pathlib import Path
from store_helpers import record
from nbbuild.disk.digests import digest_bytes
from nbbuild.model import ArtefactFile
from nbbuild.store import DiskStore

disk, chance, lost = DiskStore(Path(sys.argv[1])), random.Random(int(sys.argv[2])), 0
for turn in range(25):
    with disk.in_use():
        published = []
        for number in range(4):
            content = bytes([chance.randrange(12)]) * 500
            blob, cells = disk.put(content), disk.put(b"cells")
            key = digest_bytes(f"{sys.argv[2]} {turn} {number}".encode())
            one = record("r", key=key, artefacts=[ArtefactFile("a", blob, 500)])
            disk.publish(one)
            published.append(one)
        for one in published:
            assert disk.records(one.key.digest) == [one], "a record went that was in use"
            assert all(map(disk.has, one.blobs)), "a blob went that was in use"
"""


def test_builds_never_miss_what_they_use_while_others_prune_all(tmp_path: Path) -> None:
    store = tmp_path / "store"
    helpers = str(Path(__file__).parents[1])
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", _BUILDER, str(store), str(seed)],
            env={**os.environ, "PYTHONPATH": helpers},
        )
        for seed in range(2)
    ]
    disk, pruned = DiskStore(store), 0
    while any(builder.poll() is None for builder in builders):
        pruned += len(disk.prune(Limits(max_records=0)).records)
    assert [builder.wait() for builder in builders] == [0, 0]
    assert pruned > 0
    assert disk.check().faults == ()


def test_killed_at_any_step_pruning_never_leaves_a_record_without_its_blobs(
    tmp_path: Path,
) -> None:
    for step in range(1, 100):
        disk = DiskStore(tmp_path / str(step))
        for number in range(3):
            keep(disk, f"r{number}", used=number)
        over = not killed_at(step, lambda disk=disk: disk.prune(Limits(max_records=1)))
        assert disk.check().faults == ()
        assert "r2" in names(disk)
        disk.prune(Limits(max_records=1))
        assert disk.size()[:2] == (2, 1)
        if over:
            return
    pytest.fail("it never came to its end")
