from __future__ import annotations

import os
import random
import resource
import stat
from pathlib import Path

import pytest
from store_helpers import KEY, damage, in_child, record, without_root_powers

from nbbuild.disk.digests import digest_bytes
from nbbuild.errors import StoreError
from nbbuild.store import DiskStore, MemoryStore, Store
from nbbuild.store.layout import EMPTY


def test_what_is_put_comes_back(store: Store) -> None:
    digest = store.put(b"some bytes")
    assert digest == digest_bytes(b"some bytes")
    assert store.get(digest) == b"some bytes"
    assert store.has(digest)


def test_what_was_never_put_is_a_miss(store: Store) -> None:
    assert store.get(KEY) is None
    assert not store.has(KEY)


@pytest.mark.parametrize("name", ["", ".", "../../etc/passwd", "ab/cd", "\0", "A" * 64, "a" * 63])
def test_what_is_no_digest_is_a_miss_and_never_a_path(
    store: Store, tmp_path: Path, name: str
) -> None:
    assert store.get(name) is None
    assert not store.has(name)
    assert not store.restore(name, tmp_path / "target")
    assert store.records(name) == []


def test_a_file_is_kept_by_its_content(store: Store, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(3_000_000)
    (tmp_path / "big").write_bytes(content)
    assert store.put_file(tmp_path / "big") == (digest_bytes(content), 3_000_000)
    assert store.get(digest_bytes(content)) == content


def test_a_file_that_is_not_there_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        store.put_file(tmp_path / "nothing")
    assert ("path", str(tmp_path / "nothing")) in caught.value.facts


def test_nothing_but_the_empty_blob_may_be_empty(store: Store) -> None:
    digest = store.put(b"x")
    damage(store, digest, b"")
    assert not store.has(digest)
    assert store.get(digest) is None
    assert store.put(b"") == EMPTY
    assert store.has(EMPTY)
    assert store.get(EMPTY) == b""


def test_a_damaged_blob_is_a_miss_and_the_next_put_heals_it(store: Store) -> None:
    digest = store.put(b"whole")
    damage(store, digest, b"whale")
    assert store.get(digest) is None
    assert not store.has(digest)
    assert store.put(b"whole") == digest
    assert store.get(digest) == b"whole"


@pytest.mark.parametrize("bad", [b"", b"shor", b"longer", b"other"])
def test_putting_heals_what_nobody_had_read(store: Store, tmp_path: Path, bad: bytes) -> None:
    digest = store.put(b"whole")
    damage(store, digest, bad)
    store.put(b"whole")
    assert store.get(digest) == b"whole"
    damage(store, digest, bad)
    (tmp_path / "file").write_bytes(b"whole")
    store.put_file(tmp_path / "file")
    assert store.get(digest) == b"whole"


def test_any_flipped_bit_of_a_blob_is_found(store: Store, tmp_path: Path) -> None:
    chance = random.Random(2)
    content = chance.randbytes(300)
    digest = store.put(content)
    target = tmp_path / "target"
    for _ in range(300):
        bad = bytearray(content)
        bad[chance.randrange(300)] ^= 1 << chance.randrange(8)
        damage(store, digest, bytes(bad))
        if chance.random() < 0.5:
            assert store.get(digest) is None
        else:
            assert not store.restore(digest, target)
            assert not target.exists()
        store.put(content)
    assert store.get(digest) == content


def test_restoring_writes_the_file_and_the_folders_above(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out" / "deep" / "file"
    digest = store.put(b"bytes")
    assert store.restore(digest, target)
    assert target.read_bytes() == b"bytes"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    assert store.restore(digest, target, executable=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~umask
    assert os.listdir(target.parent) == ["file"]


def test_restoring_replaces_a_link_and_leaves_its_target_alone(
    store: Store, tmp_path: Path
) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_text("precious")
    link.symlink_to(precious)
    assert store.restore(store.put(b"bytes"), link)
    assert precious.read_text() == "precious"
    assert not link.is_symlink()
    assert link.read_bytes() == b"bytes"


@pytest.mark.parametrize("missing", [True, False])
def test_a_bad_blob_leaves_what_is_at_the_target(
    store: Store, tmp_path: Path, missing: bool
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "target").write_text("before")
    digest = KEY
    if not missing:
        digest = store.put(b"whole")
        damage(store, digest, b"whale")
    assert not store.restore(digest, folder / "target")
    assert (folder / "target").read_text() == "before"
    assert os.listdir(folder) == ["target"]


def test_restoring_onto_a_folder_is_an_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "target" / "inside").mkdir(parents=True)
    with pytest.raises(StoreError, match="a file cannot be restored from the cache"):
        store.restore(store.put(b"x"), tmp_path / "target")


def test_size_counts_blobs_records_and_bytes(store: Store) -> None:
    assert store.size() == (0, 0, 0)
    store.put(b"12345")
    store.publish(record())
    blobs, records, size = store.size()
    assert (blobs, records) == (1, 1)
    assert size > 5


# -- on disk -----------------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_write(disk: DiskStore, tmp_path: Path) -> None:
    assert disk.get(KEY) is None
    assert disk.records(KEY) == []
    assert list(disk.all_records()) == []
    assert disk.size() == (0, 0, 0)
    assert disk.writable
    assert not (tmp_path / "store").exists()


def test_the_folder_says_what_it_is(disk: DiskStore, tmp_path: Path) -> None:
    disk.put(b"x")
    folder = tmp_path / "store" / "v2"
    assert (folder / "VERSION").read_text() == "nbbuild store 2\n"
    assert (folder / ".gitignore").read_text() == "*\n"
    tag = "Signature: 8a477f597d28d172789f06886806bc55"
    assert (folder / "CACHEDIR.TAG").read_text().startswith(tag)


def test_blobs_are_read_only_copies(disk: DiskStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    digest, _ = disk.put_file(tmp_path / "file")
    disk.restore(digest, tmp_path / "target")
    found = disk.layout.blob(digest).stat()
    assert (stat.S_IMODE(found.st_mode), found.st_nlink) == (0o444, 1)
    assert list((disk.layout.folder / "tmp").iterdir()) == []


def test_a_link_in_place_of_a_blob_is_not_followed(disk: DiskStore, tmp_path: Path) -> None:
    digest = disk.put(b"bytes")
    (tmp_path / "elsewhere").write_bytes(b"bytes")
    disk.layout.blob(digest).unlink()
    disk.layout.blob(digest).symlink_to(tmp_path / "elsewhere")
    assert disk.get(digest) is None
    disk.put(b"bytes")
    assert not disk.layout.blob(digest).is_symlink()
    assert disk.get(digest) == b"bytes"


@pytest.mark.parametrize("version", ["nbbuild store 3\n", "", "garbage\0"])
def test_a_folder_of_another_version_is_not_read_and_set_aside(
    disk: DiskStore, tmp_path: Path, version: str
) -> None:
    digest = disk.put(b"x")
    disk.publish(record())
    (tmp_path / "store" / "v2" / "VERSION").write_text(version)
    assert disk.get(digest) is None
    assert not disk.has(digest)
    assert disk.records(KEY) == []
    disk.put(b"y")
    assert not disk.has(digest)
    aside = [path for path in (tmp_path / "store").iterdir() if path.name.startswith("v2.f")]
    assert [path.name.partition("-")[0] for path in aside] == ["v2.foreign"]


def test_other_versions_live_beside_ours(disk: DiskStore, tmp_path: Path) -> None:
    (tmp_path / "store" / "v3").mkdir(parents=True)
    (tmp_path / "store" / "v3" / "VERSION").write_text("nbbuild store 3\n")
    disk.put(b"x")
    assert sorted(os.listdir(tmp_path / "store")) == ["v2", "v2.lock", "v3"]
    assert os.listdir(tmp_path / "store" / "v3") == ["VERSION"]


def test_a_store_that_can_only_be_read_still_answers(disk: DiskStore, tmp_path: Path) -> None:
    digest = disk.put(b"x")
    disk.publish(record())
    damaged = disk.put(b"damaged")
    damage(disk, damaged, b"dam")
    folders = [path for path in (tmp_path / "store").rglob("*") if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with without_root_powers():
            assert not disk.writable
            assert disk.get(digest) == b"x"
            assert disk.get(damaged) is None
            assert disk.restore(digest, tmp_path / "target")
            assert disk.records(KEY) == [record()]
            assert disk.put(b"x") == digest
            with disk.lock(KEY):
                pass
            with pytest.raises(StoreError) as caught:
                disk.put(b"new")
            with pytest.raises(StoreError):
                disk.publish(record("r2"))
            with pytest.raises(StoreError):
                disk.remove(record())
    finally:
        for folder in folders:
            folder.chmod(0o755)
    tmp = disk.layout.folder / "tmp"
    place = dict(caught.value.facts)["path"]
    assert place.startswith(str(tmp))
    assert str(caught.value) == (
        "the cache cannot be written\n"
        f"  path: {place}\n"
        "  reason: Permission denied\n"
        "\n"
        "hint: make it writable, or choose another folder with [cache] path or NBBUILD_CACHE"
    )
    assert disk.writable


def test_a_disk_that_is_full_leaves_the_store_as_it_was(disk: DiskStore, tmp_path: Path) -> None:
    first = disk.put(b"x")
    big = tmp_path / "big"
    big.write_bytes(b"y" * 100_000)

    def story() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for attempt in (lambda: disk.put(b"y" * 100_000), lambda: disk.put_file(big)):
            with pytest.raises(StoreError, match="File too large"):
                attempt()
        with pytest.raises(StoreError, match="a file cannot be restored"):
            disk.restore(full, tmp_path / "out" / "target")

    full = disk.put(b"z" * 100_000)
    assert in_child(story) == 0
    assert disk.size()[0] == 2
    assert disk.get(first) == b"x"
    assert list((disk.layout.folder / "tmp").iterdir()) == []
    assert list((tmp_path / "out").iterdir()) == []


def test_the_store_may_vanish_between_two_writes(disk: DiskStore, tmp_path: Path) -> None:
    disk.put(b"x")
    (tmp_path / "store").rename(tmp_path / "gone")
    digest = disk.put(b"x")
    disk.publish(record())
    assert disk.get(digest) == b"x"
    assert disk.records(KEY) == [record()]


def test_many_processes_put_the_same_and_read_it(disk: DiskStore, tmp_path: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(8)]
    (tmp_path / "file").write_bytes(contents[0])

    def story() -> None:
        chance = random.Random(os.getpid())
        for _ in range(60):
            content = chance.choice(contents)
            digest = disk.put(content)
            disk.put_file(tmp_path / "file")
            assert disk.get(digest) == content

    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os._exit(in_child(story))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    assert all(disk.get(digest_bytes(content)) == content for content in contents)
    assert disk.size()[0] == 8
    assert list((disk.layout.folder / "tmp").iterdir()) == []


def test_a_memory_store_is_always_writable() -> None:
    assert MemoryStore().writable


def test_processes_that_make_the_store_at_once_share_one(tmp_path: Path) -> None:
    for turn in range(10):
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                disk = DiskStore(tmp_path / str(turn))
                os._exit(in_child(lambda store=disk, mine=number: store.put(bytes([mine]))))
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
        assert sorted(os.listdir(tmp_path / str(turn))) == ["v2", "v2.lock"]
        assert DiskStore(tmp_path / str(turn)).size() == (4, 0, 4)
