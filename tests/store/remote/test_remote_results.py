"""Two machines and a remote between them: what one has pushed, the other one finds."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import packed
from nbbuild.errors import ConfigError, RemoteError
from nbbuild.model import ActionKey, ArtefactFile, Fingerprint, Record, Trace, TraceItem
from nbbuild.store.remote import heads
from nbbuild.store.remote.heads import Head, Unbelieved
from nbbuild.store.remote.in_memory import MemoryObjects, Version
from nbbuild.store.remote.intake import refusal
from nbbuild.store.remote.objects import refused, unreachable
from nbbuild.store.remote.pushing import GONE, KEPT, Pushed, Pusher, Resting
from nbbuild.store.remote.remote import Numbers, Remote, Terms
from nbbuild.store.remote.signing import PublicKey, Signer
from nbbuild.store.shared import SharedStore

NOW = 1_700_000_000.0
# Always the same, since they are in the names of stories.
SECRET = "ed25519-secret:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OTHER_SECRET = "ed25519-secret:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
PUBLIC, OTHER_PUBLIC = Signer(SECRET).public, Signer(OTHER_SECRET).public
MAIN = Terms(heads=("main",), trusted=(PublicKey(PUBLIC),))


@dataclass
class Machine:
    """A store of its own, and the remote that it shares with others."""

    folder: Path
    objects: MemoryObjects
    terms: Terms = MAIN
    secret: str = SECRET
    now: float = NOW
    store: SharedStore = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / ".nbbuild").mkdir(parents=True, exist_ok=True)
        self.anew()

    def anew(self) -> None:
        """Begin another build: what was read of the remote is forgotten."""
        self.objects.closed = False
        numbers = Numbers(self.folder / ".nbbuild" / "heads")
        remote = Remote(lambda: self.objects, self.terms, numbers)
        self.store = SharedStore(self.folder / "store", remote)

    def ran(self, task: str, says: str = "1", *artefacts: bytes) -> Record:
        """Run a task: its cells and artefacts are kept, and its record is published."""
        code = Fingerprint("code", ((task, digest_bytes(says.encode())),))
        key = ActionKey(blake3(packed((code,))).hexdigest(), (code,))
        files = tuple(
            ArtefactFile(f"{task}-{number}", self.store.put(data), len(data))
            for number, data in enumerate(artefacts)
        )
        record = Record(
            id=f"{key.digest[:12]}-{os.urandom(8).hex()}",
            key=key,
            trace=Trace(level="python", items=(TraceItem("file", "data.csv", "ab" * 32),)),
            task=task,
            source=task,
            cells=self.store.put(f"the cells of {task}: {says}".encode()),
            artefacts=files,
            created=NOW - 10,
        )
        self.store.publish(record)
        return record

    def push(self, *records: Record) -> Pushed:
        return self.pusher().finish([Resting(one.task, one) for one in records])

    def pusher(self, head: str = "main", *, checking: bool = False) -> Pusher:
        signer = Signer(self.secret) if self.secret else None
        return Pusher(
            self.store.remote,
            head,
            signer,
            get=self.store.get,
            bring=self.store.bring,
            checking=checking,
            now=lambda: self.now,
        )

    def sees(self, key: str) -> list[Record]:
        return self.store.elsewhere(key)

    def head(self, name: str = "main") -> Head:
        data = self.objects.held[heads.object_name(name)].data
        terms = self.terms
        return heads.decode(name, data, trusted=terms.trusted, unsigned=terms.unsigned)


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def machine(tmp_path: Path, objects: MemoryObjects) -> Callable[..., Machine]:
    def make(name: str, **more: object) -> Machine:
        return Machine(tmp_path / name, objects, **more)  # type: ignore[arg-type]

    return make


def test_what_one_machine_pushed_another_one_finds(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    record = one.ran("a.ipynb", "1", b"a figure", b"")
    assert one.push(record) == Pushed(records=1, blobs=3, size=sum_of(objects), left=0)
    assert other.sees(record.key.digest) == [record]
    assert other.store.has(record.cells)
    assert other.store.get(record.artefacts[0].digest) == b"a figure"
    assert other.store.get(record.artefacts[1].digest) == b""
    assert other.store.problems() == []


def sum_of(objects: MemoryObjects) -> int:
    return sum(len(one.data) for one in objects.held.values())


def test_one_request_judges_and_one_brings_all(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    records = [one.ran(f"{number}.ipynb", "x" * 500, b"%d" % number) for number in range(200)]
    one.push(*records)
    objects.requests.clear()
    assert all(other.sees(record.key.digest) == [record] for record in records)
    assert objects.requests == {"get": 2}  # the head, and the pack of records
    blobs = [digest for record in records for digest in record.blobs]
    assert other.store.bring(blobs) == set(blobs)
    assert objects.requests == {"get": 2, "get_range": 1}
    assert all(other.store.get(digest) is not None for digest in blobs)
    assert objects.requests == {"get": 2, "get_range": 1}


def test_a_push_with_nothing_new_sends_nothing(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one = machine("one")
    record = one.ran("a.ipynb")
    one.push(record)
    held = dict(objects.held)
    assert one.push(record) == Pushed()
    assert objects.held == held


def test_blobs_go_ahead_while_the_build_is_running(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one = machine("one")
    large = os.urandom(17 << 20)
    record = one.ran("a.ipynb", "1", large)
    pusher = one.pusher()
    pusher.add(record)
    sent = [len(version.data) for version in objects.held.values()]
    assert sent and sent[0] >= len(large)
    assert not any(name.startswith("ac/") for name in objects.held)
    assert pusher.finish([Resting("a.ipynb", record)]).records == 1
    assert len(one.head().packs) == 1


def test_a_result_whose_blobs_are_gone_is_left(machine: Callable[..., Machine]) -> None:
    one = machine("one")
    whole, lost = one.ran("a.ipynb"), one.ran("b.ipynb", "1", b"lost")
    one.store.layout.blob(lost.artefacts[0].digest).unlink()
    pushed = one.push(whole, lost)
    assert (pushed.records, pushed.left) == (1, 1)
    assert [entry.task for entry in one.head().entries] == ["a.ipynb"]


def test_another_run_that_says_the_same_is_not_pushed_again(
    machine: Callable[..., Machine],
) -> None:
    one, other = machine("one"), machine("other")
    one.push(one.ran("a.ipynb"))
    assert other.push(other.ran("a.ipynb")) == Pushed()


def test_two_who_push_at_once_both_count(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    mine, theirs = one.ran("mine.ipynb"), other.ran("theirs.ipynb")

    def faster(method: str, name: str) -> None:
        if method == "replace":
            objects.before = None
            other.push(theirs)

    objects.before = faster
    assert one.push(mine).records == 1
    assert [entry.task for entry in one.head().entries] == ["mine.ipynb", "theirs.ipynb"]


def test_one_who_is_never_fast_enough_says_so(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one = machine("one")
    record = one.ran("a.ipynb")

    def always_faster(method: str, name: str) -> None:
        if method == "replace":
            old = objects.held.get(name)
            tag = f"{old.tag}+" if old else "1"
            signer = Signer(SECRET)
            objects.held[name] = Version(heads.encode(Head("main", 1), signer), tag, 0.0)

    objects.before = always_faster
    with pytest.raises(RemoteError) as caught:
        pusher = one.pusher()
        pusher.pause = lambda attempt: None
        pusher.finish([Resting("a.ipynb", record)])
    assert str(caught.value) == (
        "the head 'main' of the remote cache could not be written\n"
        "  reason: others wrote it 12 times meanwhile\n"
        "\n"
        "hint: run `nbbuild cache push` again"
    )


def test_packs_stay_few_however_often_is_pushed(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    records = []
    for number in range(30):
        records.append(one.ran(f"{number}.ipynb", "1", b"%d" % number))
        one.anew()
        one.push(*records)
        head = one.head()
        assert len(head.records) <= 3
        assert len(head.packs) <= 7
    objects.requests.clear()
    assert all(other.sees(record.key.digest) == [record] for record in records)
    other.store.bring([digest for record in records for digest in record.blobs])
    assert all(other.store.get(digest) for record in records for digest in record.blobs)
    assert objects.requests["get"] <= 4
    assert objects.requests["get_range"] <= 7


def test_a_head_lets_go_of_what_is_old(machine: Callable[..., Machine]) -> None:
    one = machine("one")
    gone = one.ran("gone.ipynb")
    one.push(gone)
    for number in range(KEPT + 3):
        one.now += 60
        one.push(one.ran("a.ipynb", f"version {number}"))
    assert len([entry for entry in one.head().entries if entry.task == "a.ipynb"]) == KEPT
    one.now += GONE
    one.push(one.ran("a.ipynb", "much later"))
    assert {entry.task for entry in one.head().entries} == {"a.ipynb"}


def test_what_tasks_still_rest_on_is_not_let_go(machine: Callable[..., Machine]) -> None:
    one = machine("one")
    record = one.ran("a.ipynb")
    for _ in range(4):
        one.push(record)
        one.now += GONE / 2
    assert [entry.id for entry in one.head().entries] == [record.id]


def test_a_new_branch_begins_with_what_another_one_has(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    main = machine("main")
    shared = main.ran("shared.ipynb", "1", b"x" * 1000)
    main.push(shared)
    terms = Terms(heads=("feature", "main"), trusted=(PublicKey(PUBLIC),))
    branch = machine("branch", terms=terms)
    fetched = branch.sees(shared.key.digest)
    own = branch.ran("own.ipynb")
    pushed = branch.pusher("feature").finish([Resting("own.ipynb", own)])
    assert fetched == [shared]
    assert (pushed.records, pushed.blobs) == (1, 1)
    assert [entry.task for entry in branch.head("feature").entries] == [
        "own.ipynb",
        "shared.ipynb",
    ]
    assert [entry.task for entry in main.head().entries] == ["shared.ipynb"]


def test_what_has_expired_is_sent_again(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    record, later = one.ran("a.ipynb", "1", b"figure"), one.ran("b.ipynb")
    one.push(record)
    one.push(later)
    sent = dict(objects.held)
    for number, name in enumerate(sorted(name for name in sent if name.startswith("cas/")), 1):
        objects.held = {kept: sent[kept] for kept in sent if kept != name}
        one.anew()
        pushed = one.pusher(checking=True).finish(
            [Resting("a.ipynb", record), Resting("b.ipynb", later)]
        )
        assert pushed.records == 1, number
        other.anew()
        for each in (record, later):
            assert other.sees(each.key.digest) == [each]
            assert all(one.store.get(digest) for digest in each.blobs)
            assert all(other.store.get(digest) for digest in each.blobs)
        assert other.store.problems() == []


@pytest.mark.parametrize("damaged", [False, True])
def test_a_build_that_missed_a_blob_sends_it_again(
    machine: Callable[..., Machine], objects: MemoryObjects, damaged: bool
) -> None:
    one, other = machine("one"), machine("other")
    record = one.ran("a.ipynb")
    one.push(record)
    (pack,) = one.head().packs
    if damaged:
        objects.held[f"cas/{pack.name}"] = Version(b"X" * pack.size, "t", 0.0)
    else:
        del objects.held[f"cas/{pack.name}"]
    assert other.sees(record.key.digest) == [record]
    assert other.store.bring(record.blobs) == set()
    again = other.ran("a.ipynb")
    assert other.push(again).records == 1
    reader = machine("reader")
    assert reader.sees(record.key.digest) == [again]
    assert reader.store.get(again.cells) is not None


def test_who_was_faster_may_have_let_go_of_what_is_pushed(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    before = one.ran("before.ipynb", "the same")
    one.push(before)
    mine = one.ran("mine.ipynb", "1")
    blob = one.store.get(before.cells)
    assert blob is not None
    mine = msgspec.structs.replace(mine, cells=before.cells)

    def faster(method: str, name: str) -> None:
        if method == "replace":
            objects.before = None
            other.now += 2 * GONE  # it lets go of all that was there
            other.push(other.ran("theirs.ipynb"))

    objects.before = faster
    assert one.push(mine).records == 1
    assert [entry.task for entry in one.head().entries] == ["mine.ipynb", "theirs.ipynb"]
    reader = machine("reader")
    assert reader.sees(mine.key.digest) == [mine]
    assert reader.store.get(mine.cells) == blob


@pytest.mark.parametrize(
    ("trusted", "what", "hint"),
    [
        (
            PublicKey(OTHER_PUBLIC),
            "the key in NBBUILD_SIGNING_KEY belongs to none of [cache] public_keys",
            f'add "{PUBLIC}" there, or set another key',
        ),
        (
            PublicKey(PUBLIC, ("pr/*",)),
            "the key in NBBUILD_SIGNING_KEY may not sign the head 'main'",
            "[cache] public_keys names the heads that it may sign; NBBUILD_BRANCH chooses another "
            "head",
        ),
    ],
)
def test_a_head_that_nobody_would_believe_is_not_written(
    machine: Callable[..., Machine],
    objects: MemoryObjects,
    trusted: PublicKey,
    what: str,
    hint: str,
) -> None:
    one = machine("one", terms=Terms(heads=("main",), trusted=(trusted,)))
    record = one.ran("a.ipynb")
    for push in (lambda: one.push(record), lambda: one.pusher().add(record)):
        with pytest.raises(ConfigError) as caught:
            push()
        assert str(caught.value) == f"{what}\n\nhint: {hint}"
    assert objects.held == {}


def test_nobody_signs_what_came_unsigned(machine: Callable[..., Machine]) -> None:
    both = Terms(heads=("main",), trusted=(PublicKey(PUBLIC),), unsigned=True)
    stranger, one = machine("stranger", terms=both, secret=""), machine("one", terms=both)
    stranger.push(stranger.ran("a.ipynb", "evil"))
    one.push(one.ran("b.ipynb"))
    assert [entry.task for entry in machine("strict").head().entries] == ["b.ipynb"]
    branch = machine(
        "branch", terms=Terms(heads=("topic", "main"), trusted=both.trusted, unsigned=True)
    )
    stranger.objects.held.clear()
    stranger.anew()
    stranger.now += 60
    stranger.push(stranger.ran("a.ipynb", "evil"))
    branch.pusher("topic").finish([Resting("b.ipynb", branch.ran("b.ipynb"))])
    assert [entry.task for entry in branch.head("topic").entries] == ["b.ipynb"]


def test_a_pack_that_nothing_can_be_joined_with_is_left_alone(
    machine: Callable[..., Machine], objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbbuild.store.remote.pushing._JOINED", 1000)
    one = machine("one")
    records = []
    for number in range(9):
        records.append(one.ran(f"{number}.ipynb", "1", os.urandom(600)))
        one.push(*records)
    count = len([name for name in objects.held if name.startswith("cas/")])
    one.push(*records, one.ran("last.ipynb"))
    assert len([name for name in objects.held if name.startswith("cas/")]) == count + 2


# -- what is not believed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "secret", "reason"),
    [
        (
            Terms(heads=("main",), trusted=(PublicKey(OTHER_PUBLIC),)),
            "ours",
            "it is signed with a key that [cache] public_keys does not name",
        ),
        (
            Terms(heads=("main",), trusted=(PublicKey(PUBLIC, ("pr/*",)),)),
            "ours",
            "its key may not sign the head 'main'",
        ),
        (MAIN, "", "it is not signed"),
        (
            Terms(heads=("main",), unsigned=True),
            "ours",
            "it is signed, and [cache] public_keys names no key",
        ),
    ],
)
def test_a_head_that_others_signed_is_not_used(
    machine: Callable[..., Machine], terms: Terms, secret: str, reason: str
) -> None:
    trusting = Terms(heads=("main",), trusted=(PublicKey(PUBLIC),), unsigned=True)
    one = machine("one", terms=trusting, secret=SECRET if secret else "")
    other = machine("other", terms=terms)
    record = one.ran("a.ipynb")
    one.push(record)
    assert other.sees(record.key.digest) == []
    assert other.store.problems() == [f"the head 'main' of the remote cache is not used: {reason}"]
    assert other.sees(record.key.digest) == []
    assert other.store.problems() == []


def test_without_keys_unsigned_results_are_taken_where_the_project_says_so(
    machine: Callable[..., Machine],
) -> None:
    terms = Terms(heads=("main",), unsigned=True)
    one, other = machine("one", terms=terms, secret=""), machine("other", terms=terms)
    record = one.ran("a.ipynb")
    one.push(record)
    assert other.sees(record.key.digest) == [record]


def test_the_key_of_pull_requests_writes_nothing_that_main_reads(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    trusted = (PublicKey(PUBLIC), PublicKey(OTHER_PUBLIC, ("pr/*",)))
    main = machine("main", terms=Terms(heads=("main",), trusted=trusted))
    request = machine(
        "request",
        terms=Terms(heads=("pr/7", "main"), trusted=(PublicKey(OTHER_PUBLIC), *trusted)),
        secret=OTHER_SECRET,
    )
    good = main.ran("a.ipynb", "good")
    main.push(good)
    evil = request.ran("a.ipynb", "evil")
    assert request.pusher("pr/7").finish([Resting("a.ipynb", evil)]).records == 1
    # Its head stands in for that of main; then it signs one for main, against its own terms.
    objects.held[heads.object_name("main")] = objects.held[heads.object_name("pr/7")]
    main.anew()
    assert main.sees(evil.key.digest) == []
    assert main.store.problems() == [
        "the head 'main' of the remote cache is not used: its key may not sign the head 'main'"
    ]
    del objects.held[heads.object_name("main")]
    assert request.pusher("main").finish([Resting("a.ipynb", evil)]).records == 1
    main.anew()
    assert main.sees(evil.key.digest) == []


def test_nobody_replaces_a_head_that_cannot_be_believed(machine: Callable[..., Machine]) -> None:
    one = machine("one")
    one.push(one.ran("a.ipynb"))
    trusted = (PublicKey(OTHER_PUBLIC),)
    other = machine("other", terms=Terms(heads=("main",), trusted=trusted), secret=OTHER_SECRET)
    with pytest.raises(RemoteError) as caught:
        other.push(other.ran("b.ipynb"))
    assert str(caught.value) == (
        "nothing is pushed: the head 'main' of the remote cache is not ours\n"
        "  remote: memory://remote\n"
        "  reason: it is signed with a key that [cache] public_keys does not name\n"
        "\n"
        "hint: name the key that signed it in [cache] public_keys, or remove that head"
    )


def test_an_older_head_that_is_put_back_is_not_used(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    before = one.ran("a.ipynb", "before")
    one.push(before)
    old = objects.held[heads.object_name("main")]
    one.now += 60
    one.push(one.ran("a.ipynb", "after"))
    assert other.sees(before.key.digest) == [before]
    objects.held[heads.object_name("main")] = old
    other.anew()
    assert other.sees(before.key.digest) == []
    assert other.store.problems() == [
        "the head 'main' of the remote cache is not used: it is older than one that was read "
        "before, so somebody put it back"
    ]


def test_a_remote_that_was_emptied_is_filled_again(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    record = one.ran("a.ipynb")
    one.push(record)
    other.sees(record.key.digest)
    objects.held.clear()
    one.anew()
    one.now += 60
    one.push(record)
    other.anew()
    assert other.sees(record.key.digest) == [record]
    assert other.store.problems() == []


@pytest.mark.parametrize("tries", [600, pytest.param(10_000, marks=pytest.mark.stress)])
def test_nothing_damaged_or_forged_is_accepted(
    machine: Callable[..., Machine], objects: MemoryObjects, tries: int
) -> None:
    one, other = machine("one"), machine("other")
    records = [one.ran(f"{number}.ipynb", "1", b"%d" % number) for number in range(5)]
    one.push(*records)
    sound = dict(objects.held)
    dice = random.Random(tries)
    for number in range(tries):
        name = dice.choice(sorted(sound))
        objects.held = {**sound, name: Version(spoilt(sound, name, dice), "t", 0.0)}
        other.anew()
        for record in records:
            assert other.sees(record.key.digest) in ([], [record]), number
            for digest in record.blobs:
                data = other.store.get(digest)
                assert data is None or digest_bytes(data) == digest
        for digest in {digest for record in records for digest in record.blobs}:
            other.store.layout.blob(digest).unlink(missing_ok=True)


def spoilt(sound: dict[str, Version], name: str, dice: random.Random) -> bytes:
    data = bytearray(sound[name].data)
    where = dice.randrange(len(data))
    match dice.randrange(6):
        case 0:
            data[where] ^= 1 << dice.randrange(8)
        case 1:
            del data[where:]
        case 2:
            data[where:where] = dice.randbytes(dice.randrange(1, 40))
        case 3:
            data = bytearray(sound[dice.choice(sorted(sound))].data)
        case 4:
            data[where : where + 20] = data[:20]
        case _:
            data = bytearray(dice.randbytes(dice.randrange(300)))
    return bytes(data)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"local": True}, "it was never to leave its machine"),
        ({"accepted": True}, "it was never to leave its machine"),
        ({"created": NOW + 10 * 86_400}, "its numbers cannot be right"),
        ({"seconds": -1.0}, "its numbers cannot be right"),
        ({"artefacts": (ArtefactFile("../x", "ab" * 32, 1),)}, "it names a file outside"),
        ({"artefacts": (ArtefactFile("/etc/x", "ab" * 32, 1),)}, "it names a file outside"),
        ({"artefacts": (ArtefactFile("x", "no digest", 1),)}, "it names a file outside"),
        ({"artefacts": (ArtefactFile("x", "ab" * 32, 10**30),)}, "its numbers cannot be right"),
        ({"cells": "../../etc/passwd"}, "it names a blob that cannot be one"),
        ({"key": ActionKey("ab" * 32, ())}, "its key is not that of its inputs"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(
    machine: Callable[..., Machine], change: dict[str, object], reason: str
) -> None:
    record = machine("one").ran("a.ipynb")
    assert refusal(record, now=NOW) == ""
    assert refusal(msgspec.structs.replace(record, **change), now=NOW) == reason


@pytest.mark.parametrize(
    ("trace", "refused"),
    [
        (Trace(path=("", "src", "<stdlib>"), items=(TraceItem("import", "json"),) * 5_000), False),
        (Trace(path=tuple(map(str, range(2_001)))), True),
        (
            Trace(
                items=tuple(
                    TraceItem("import", "x", way="\0".join(f"{number}/{part}" for part in range(9)))
                    for number in range(300)
                )
            ),
            True,
        ),
        (
            Trace(
                path=tuple(map(str, range(1_000))),
                items=tuple(TraceItem("import", f"m{number}") for number in range(5_000)),
            ),
            True,
        ),
        (
            Trace(
                path=tuple(map(str, range(1_000))),
                items=(TraceItem("installed", "m " * 5_000),),
            ),
            True,
        ),
    ],
)
def test_imports_from_outside_have_bounds(
    machine: Callable[..., Machine], trace: Trace, refused: bool
) -> None:
    record = msgspec.structs.replace(machine("one").ran("a.ipynb"), trace=trace)
    assert refusal(record, now=NOW) == ("it names more than any run uses" if refused else "")


@pytest.mark.parametrize(
    ("name", "way", "refused"),
    [
        ("data:*.csv", "glob", False),
        ("data:**/*.csv", "glob recursive", False),
        ("../data:*.csv", "glob", False),
        ("../../..:**", "glob recursive", True),
        ("/:**", "glob recursive", True),
        (".:../../**/x", "pathlib", True),
        ("/:*/*/*/*/*", "glob", True),
        ("data:" + "*/" * 40, "glob", True),
        ("data:**/**/**/**", "glob recursive", True),
    ],
)
def test_a_glob_from_outside_has_bounds(
    machine: Callable[..., Machine], name: str, way: str, refused: bool
) -> None:
    record = machine("one").ran("a.ipynb")
    item = TraceItem("glob", name, "ab" * 32, way=way)
    trace = msgspec.structs.replace(record.trace, items=(item,))
    said = refusal(msgspec.structs.replace(record, trace=trace), now=NOW)
    assert said == ("it has a glob without bounds" if refused else "")


def test_a_head_that_never_ends_when_it_is_inflated_is_refused() -> None:
    bomb = heads.zlib.compress(b"\0" * (257 << 20))
    data = b"\n".join((b"nbbuild head 1", b"unsigned", b"-", bomb))
    with pytest.raises(Unbelieved, match="it holds more than 268435456 bytes"):
        heads.decode("main", data, trusted=(), unsigned=True)


# -- what goes wrong on the way ------------------------------------------------------------------


def test_a_remote_that_cannot_be_reached_is_asked_once(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    records = [one.ran(f"{number}.ipynb") for number in range(3)]
    one.push(*records)

    def offline(method: str, name: str) -> None:
        raise unreachable(objects.name, "connection refused")

    objects.requests.clear()
    objects.before = offline
    assert [other.sees(record.key.digest) for record in records] == [[], [], []]
    assert not other.store.has(records[0].cells)
    assert objects.requests == {"get": 1}
    assert other.store.problems() == [
        "the remote cache cannot be reached: connection refused; only the local cache is used"
    ]


def test_a_remote_that_refuses_what_it_has_not_is_read_on(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one = machine("one")
    record = one.ran("a.ipynb")
    one.push(record)
    trusted = (PublicKey(PUBLIC),)
    other = machine("other", terms=Terms(heads=("topic", "main"), trusted=trusted))

    def refuses(method: str, name: str) -> None:
        if name not in objects.held:
            raise refused(objects.name, name, "HTTP 403 Forbidden")

    objects.before = refuses
    assert other.sees(record.key.digest) == [record]
    assert other.store.problems() == []
    objects.held.clear()
    other.anew()
    assert other.sees(record.key.digest) == []
    assert other.store.problems() == [
        "the remote cache refuses access: HTTP 403 Forbidden (check the credentials in the "
        "environment, and what they allow); only the local cache is used"
    ]


def test_a_blob_that_is_damaged_on_the_way_is_missing(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    record = one.ran("a.ipynb", "1", b"figure")
    one.push(record)
    assert other.sees(record.key.digest) == [record]
    objects.damage = lambda name, data: data.replace(b"figure", b"Figure")
    assert other.store.bring(record.blobs) == {record.cells}
    assert other.store.get(record.artefacts[0].digest) is None
    assert not other.store.has(record.artefacts[0].digest)
    assert other.store.problems() == ["a blob in the remote cache is damaged, and is not used"]


def test_a_result_that_does_not_come_whole_is_not_kept(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    record = one.ran("a.ipynb", "1", b"figure")
    one.push(record)
    assert other.sees(record.key.digest) == [record]
    objects.damage = lambda name, data: data.replace(b"figure", b"Figure")
    other.store.publish(record)
    assert other.store.records(record.key.digest) == []
    objects.damage = None
    other.anew()
    other.sees(record.key.digest)
    other.store.publish(record)
    assert other.store.records(record.key.digest) == [record]
    assert other.store.check().faults == ()


def test_packs_that_are_gone_are_a_miss(
    machine: Callable[..., Machine], objects: MemoryObjects
) -> None:
    one, other = machine("one"), machine("other")
    record = one.ran("a.ipynb")
    one.push(record)
    for name in [name for name in objects.held if name.startswith("cas/")]:
        del objects.held[name]
    assert other.sees(record.key.digest) == []
    assert other.store.problems() == ["results in the remote cache cannot be used: it is not there"]


def test_many_problems_are_told_in_few_lines(machine: Callable[..., Machine]) -> None:
    one = machine("one")
    for number in range(40):
        one.store.remote.problem(f"problem {number}")
    assert one.store.problems() == [
        *(f"problem {number}" for number in range(5)),
        "35 more problems with the remote cache",
    ]
