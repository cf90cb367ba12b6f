"""Records are carried in a file from one store to another; a bad file leaves no record."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from store_helpers import KEY, OTHER_KEY, damage, record, without_root_powers

from nbbuild.disk.digests import digest_bytes
from nbbuild.errors import StoreError, UsageError
from nbbuild.model import ArtefactFile, Record
from nbbuild.store import DiskStore, MemoryStore, Store, archive
from nbbuild.store.records import encode

LIMIT = 1_000_000
CELLS = b"cells"
Member = tuple[str, bytes]


def nothing(_: float) -> None:
    pass


def filled(store: Store, *, data: bytes = b"the artefact") -> list[Record]:
    """Put two records into a store that share their cells."""
    with store.in_use():
        store.put(CELLS)
        digest = store.put(data)
        records = [
            record("a" * 12 + "-1", artefacts=[ArtefactFile("out.txt", digest, len(data), False)]),
            record("b" * 12 + "-2", key=OTHER_KEY),
        ]
        for one in records:
            store.publish(one)
    return records


def read(store: Store, source: Path, *, max_size: int = LIMIT) -> archive.ArchiveRead:
    return archive.read_archive(store, source, nothing, max_size=max_size)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A file with the two records, written from a store of its own."""
    origin = MemoryStore()
    archive.write_archive(origin, filled(origin), tmp_path / "here.tar.gz", nothing)
    return tmp_path / "here.tar.gz"


def members(place: Path) -> list[Member]:
    with tarfile.open(place) as tar:
        return [(one.name, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]


def packed(place: Path, content: Iterable[Member | tarfile.TarInfo]) -> Path:
    """Write an archive with Python's own writer; a TarInfo stands for a member without bytes."""
    with tarfile.open(place, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for one in content:
            if isinstance(one, tarfile.TarInfo):
                tar.addfile(one)
            else:
                info = tarfile.TarInfo(one[0])
                info.size = len(one[1])
                tar.addfile(info, io.BytesIO(one[1]))
    return place


def test_records_travel_with_their_blobs(store: Store, tmp_path: Path) -> None:
    origin, place = MemoryStore(), tmp_path / "out.tar.gz"
    records = filled(origin)
    told: list[float] = []
    written = archive.write_archive(origin, records, place, told.append)
    assert written == archive.ArchiveWritten(2, 2, place.stat().st_size, ())
    assert told == [0.0, 0.5, 1.0]

    assert read(store, place) == archive.ArchiveRead(records=2, known=0, refused=0, blobs=2)
    assert sorted(one.id for one in store.all_records()) == sorted(one.id for one in records)
    assert store.get(records[0].artefacts[0].digest) == b"the artefact"
    assert read(store, place) == archive.ArchiveRead(records=0, known=2, refused=0, blobs=2)


def test_the_same_records_give_the_same_bytes(here: Path, tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    read(store, here)
    again = tmp_path / "again.tar.gz"
    archive.write_archive(store, reversed(list(store.all_records())), again, nothing)
    assert again.read_bytes() == here.read_bytes()
    names = [name.split("/")[:2] for name, _ in members(again)]
    assert names == [["v2", "blobs"]] * 2 + [["v2", "records"]] * 2


def test_nothing_can_be_carried(store: Store, tmp_path: Path) -> None:
    archive.write_archive(MemoryStore(), [], tmp_path / "empty.tar.gz", nothing)
    assert read(store, tmp_path / "empty.tar.gz") == archive.ArchiveRead(0, 0, 0, 0)


def test_a_large_blob_goes_through_a_file(store: Store, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(archive, "_IN_MEMORY", 1000)
    monkeypatch.setattr(archive, "_CHUNK", 300)
    origin, place = MemoryStore(), tmp_path / "large.tar.gz"
    data = random.Random(1).randbytes(5000)
    one = filled(origin, data=data)[0]
    archive.write_archive(origin, [one], place, nothing)
    read(store, place)
    assert store.get(one.artefacts[0].digest) == data

    changed = [(name, content[::-1]) for name, content in members(place)]
    with pytest.raises(StoreError, match="the bytes of the blob"):
        read(store, packed(place, changed))


def test_a_record_without_a_sound_blob_is_left_out(store: Store, tmp_path: Path) -> None:
    records = filled(store)
    damage(store, records[0].artefacts[0].digest, b"other bytes")
    written = archive.write_archive(store, records, tmp_path / "out.tar.gz", nothing)
    assert (written.records, written.blobs, written.incomplete) == (1, 1, (records[0],))


def test_another_file_is_not_replaced_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    notebook = tmp_path / "report.ipynb"
    notebook.write_text("{}")
    with pytest.raises(UsageError) as error:
        archive.write_archive(MemoryStore(), [], notebook, nothing)
    assert str(error.value) == (
        f"'{notebook}' is no exported cache, so it is not replaced\n\n"
        "hint: name another file, such as `nbbuild-cache.tar.gz`"
    )
    lost = tmp_path / "gone" / "out.tar.gz"
    with pytest.raises(StoreError) as failed:
        archive.write_archive(MemoryStore(), [], lost, nothing)
    assert failed.value.what == f"'{lost}' cannot be written"

    def fails(_: float) -> None:
        raise KeyboardInterrupt

    old = tmp_path / "old.tar.gz"
    archive.write_archive(MemoryStore(), [], old, nothing)
    before = old.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        archive.write_archive(MemoryStore(), [record()], old, fails)
    assert old.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.tar.gz", "report.ipynb"]


# -- hostile and damaged files -----------------------------------------------------------------


def test_each_cut_and_each_changed_byte_leaves_no_record(here: Path, tmp_path: Path) -> None:
    whole, bad = here.read_bytes(), tmp_path / "bad.tar.gz"
    changed = random.Random(2)
    for length in range(0, len(whole), 7):
        bad.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="damaged, or no exported cache"):
            read(MemoryStore(), bad)
    for _ in range(200):
        place = changed.randrange(10, len(whole))  # before that, gzip says when and how it packed
        bad.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << changed.randrange(8)]) + whole[place + 1 :]
        )
        store = MemoryStore()
        try:
            read(store, bad)
        except StoreError:
            assert list(store.all_records()) == []
        else:  # some bits of a deflated stream mean nothing
            assert gzip.decompress(bad.read_bytes()) == gzip.decompress(whole)


def test_the_error_says_what_is_wrong(here: Path, store: Store) -> None:
    here.write_bytes(here.read_bytes()[:-30])
    with pytest.raises(StoreError) as error:
        read(store, here)
    assert str(error.value) == (
        f"'{here}' is damaged, or no exported cache; none of its results is used\n"
        "  reason: it is cut off\n\n"
        "hint: make it again with `nbbuild cache export`, or copy it again"
    )
    assert list(store.all_records()) == []


def kind_of(kind: bytes, name: str, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


BLOB = f"v2/blobs/{digest_bytes(CELLS)}"


@pytest.mark.parametrize(
    "member",
    [
        ("../outside", b""),
        ("/etc/cron.d/job", b""),
        (f"v2/blobs/../{digest_bytes(CELLS)}", CELLS),
        (f"/{BLOB}", CELLS),
        (f"./{BLOB}", CELLS),
        (f"{BLOB}/x", CELLS),
        ("v2/VERSION", b"nbbuild store 2\n"),
        (f"v2/records/{KEY}/..json", b""),
        (f"v2/records/{KEY}/{'x' * 96}.json", b""),
        ("v2/blobs/" + "ü" * 64, b""),
        kind_of(tarfile.SYMTYPE, BLOB),
        kind_of(tarfile.LNKTYPE, BLOB),
        kind_of(tarfile.CHRTYPE, BLOB),
        kind_of(tarfile.FIFOTYPE, BLOB),
        kind_of(tarfile.DIRTYPE, "v2/blobs"),
        kind_of(tarfile.GNUTYPE_SPARSE, BLOB),
        kind_of(tarfile.XHDTYPE, BLOB),
    ],
    ids=lambda one: one.type.decode() if isinstance(one, tarfile.TarInfo) else one[0][:30],
)
def test_only_blobs_and_records_are_taken(
    here: Path, tmp_path: Path, member: Member | tarfile.TarInfo
) -> None:
    store = DiskStore(tmp_path / "store")
    hostile = packed(tmp_path / "hostile.tar.gz", [*members(here), member])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="none of its results is used"):
        read(store, hostile)
    assert list(store.all_records()) == []
    outside = set(tmp_path.rglob("*")) - set(before)
    assert all((tmp_path / "store") in (path, *path.parents) for path in outside)


def resized(data: bytes, size: int) -> bytes:
    """Return a header of tar with another size, and the right checksum."""
    info = tarfile.TarInfo.frombuf(data[:512], "ascii", "strict")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + data[512:]


def swapped(tar: bytes) -> bytes:
    return tar.replace(b"cells", b"slice", 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tar: b"", "it is cut off"),
        (lambda tar: tar[:-1024].rstrip(b"\0"), "it is cut off"),
        (lambda tar: tar[:-1024], "it is cut off"),
        (lambda tar: tar + b"more", "something follows the end of the archive"),
        (lambda tar: tar + bytes(3 << 20), "something follows the end of the archive"),
        (swapped, f"the bytes of the blob {digest_bytes(CELLS)} are others"),
        (lambda tar: resized(tar, -512), "it holds 'v2/blobs/"),
        (lambda tar: resized(tar, LIMIT), "it is cut off"),
        (lambda tar: b"x" * 512 + tar, "a header cannot be read"),
        (lambda tar: tar.replace(b"a.ipynb", b"b.ipynb", 1), "the record '"),
    ],
    ids=lambda one: one[:20] if isinstance(one, str) else "",
)
def test_what_gzip_cannot_see_is_seen(
    here: Path, store: Store, change: Callable[[bytes], bytes], reason: str
) -> None:
    tar = gzip.decompress(here.read_bytes())
    here.write_bytes(gzip.compress(change(tar)))
    with pytest.raises(StoreError) as error:
        read(store, here, max_size=2 * LIMIT)
    assert error.value.facts[0][1].startswith(reason)
    assert list(store.all_records()) == []


def test_a_file_is_refused_before_too_much_of_it_is_unpacked(
    here: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError) as error:
        read(store, here, max_size=20)
    assert str(error.value) == (
        f"'{here}' holds more than this cache may; none of its results is used\n"
        "  limit: 20 bytes\n\n"
        "hint: raise max_size in [cache], or export less"
    )
    # The header alone says that it is too much; no such bytes follow.
    tar = gzip.decompress(here.read_bytes())
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(resized(tar, 10**12)))
    with pytest.raises(StoreError, match="more than this cache may"):
        read(store, bomb, max_size=10**11)
    with pytest.raises(StoreError) as error:
        read(store, bomb, max_size=10**13)
    length = bomb.stat().st_size
    assert error.value.facts == (("reason", f"{length} bytes cannot hold 1.0 TB of results"),)

    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    with pytest.raises(StoreError, match="limit: 3 files"):
        read(store, here)
    monkeypatch.setattr(archive, "LARGEST_RECORD", 100)
    with pytest.raises(StoreError, match="has more than 100 bytes"):
        read(store, here)
    assert list(store.all_records()) == []


def test_a_file_of_another_format_is_refused(here: Path, store: Store, tmp_path: Path) -> None:
    other = [(name.replace("v2/", "v1/"), data) for name, data in members(here)]
    with pytest.raises(StoreError) as error:
        read(store, packed(tmp_path / "v1.tar.gz", other))
    assert str(error.value) == (
        f"'{tmp_path / 'v1.tar.gz'}' was exported by another nbbuild; none of its results is used\n"
        "  its format: 1\n"
        "  format here: 2\n\n"
        "hint: make it again with this nbbuild"
    )


def test_records_that_must_not_travel_or_lack_a_blob_are_left_out(
    store: Store, tmp_path: Path
) -> None:
    cells = record().cells
    own = [
        msgspec.structs.replace(record("accepted"), accepted=True),
        msgspec.structs.replace(record("local"), local=True),
        record("lacks", artefacts=[ArtefactFile("x", digest_bytes(b"x"), 1, False)]),
        record("good"),
    ]
    content = [(f"v2/blobs/{cells}", CELLS)]
    content += [(f"v2/records/{KEY}/{one.id}.json", encode(one)) for one in own]
    taken = read(store, packed(tmp_path / "own.tar.gz", content))
    assert taken == archive.ArchiveRead(records=1, known=0, refused=3, blobs=1)
    assert [one.id for one in store.all_records()] == ["good"]


def test_a_record_of_the_store_is_never_replaced(here: Path, store: Store, tmp_path: Path) -> None:
    read(store, here)
    (mine,) = store.records(KEY)
    other = msgspec.structs.replace(mine, task="another.ipynb")
    content = [(f"v2/records/{KEY}/{other.id}.json", encode(other))]
    assert read(store, packed(tmp_path / "other.tar.gz", content)).known == 1
    assert store.records(KEY) == [mine]


def test_what_is_no_file_cannot_be_read(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("pipe", "it is not a regular file"),
        ("absent", "No such file or directory"),
    ):
        with pytest.raises(UsageError) as error:
            read(store, tmp_path / name)
        assert str(error.value) == (
            f"'{tmp_path / name}' cannot be read\n"
            f"  reason: {reason}\n\n"
            "hint: name a file that `nbbuild cache export` wrote"
        )


def test_a_cache_that_can_only_be_read_takes_nothing(here: Path, tmp_path: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir(mode=0o555)
    with without_root_powers(), pytest.raises(StoreError) as error:
        read(DiskStore(place), here)
    assert str(error.value) == (
        "the cache is read-only, so nothing is imported\n"
        f"  path: {place / 'v2'}\n\n"
        "hint: make it writable, or choose another folder with [cache] path or NBBUILD_CACHE"
    )
