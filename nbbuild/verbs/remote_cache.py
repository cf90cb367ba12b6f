"""Push to a project's remote cache, pull from it, check it, and remove what is old in it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nbbuild.building.sharing import bring, resting, signer_of
from nbbuild.disk.digests import digest_bytes
from nbbuild.errors import ConfigError, NbbuildError, UsageError
from nbbuild.events import Moved, Observer
from nbbuild.judging.inputs import MissingInput
from nbbuild.judging.reasons import compare
from nbbuild.model import Digest, Judgement, Reason, Record
from nbbuild.session import Session
from nbbuild.store.checking import Checked, Fault, in_order
from nbbuild.store.remote import heads, packs
from nbbuild.store.remote.heads import Head, Unbelieved
from nbbuild.store.remote.objects import Listed, Objects
from nbbuild.store.remote.pushing import Pushed, Pusher
from nbbuild.store.remote.remote import Remote
from nbbuild.store.renewing import note_hit
from nbbuild.store.shared import SharedStore

HEAD_AGE: Final = 30 * 86_400.0
"""Seconds after which a head that nobody pushes to goes, unless the project reads it."""
_PACK_AGE: Final = 86_400.0  # seconds: a push that is under way names its packs last
_CHECKING = "reading the remote cache"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to."""

    tasks: tuple[str, ...]  # whose results are here now, and were not before
    missing: tuple[str, ...]  # that would run: nobody has a result for them
    blobs: int


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed from a remote, or would be."""

    heads: tuple[str, ...]
    packs: int
    freed: int  # bytes
    left: int  # bytes
    unreadable: tuple[str, ...]  # objects where heads lie that are none, so that all packs stay


def shared_store(session: Session) -> SharedStore:
    """Return the store with the project's remote behind it; raise UsageError without one."""
    if isinstance(session.store, SharedStore):
        return session.store
    raise UsageError(
        "the project has no remote cache",
        facts=[("in", session.config.path.name)],
        hint='set [cache] remote, as in remote = "s3://bucket/folder"',
    )


def pull(session: Session, targets: Sequence[str], observer: Observer) -> Pulled:
    """Fetch the results that `targets` need into the cache here; write nothing else.

    Raises what planning raises.
    """
    store = shared_store(session)
    plan = session.plan(targets)
    found = [(one, one.record) for one in plan.judgements if one.record is not None]
    new = [(one, record) for one, record in found if _is_new(store, record)]
    with store.in_use():
        brought = bring(store, [record for _, record in new], observer)
        whole = [(one, record) for one, record in new if all(map(store.holds, record.blobs))]
        for _, record in whole:
            note_hit(store, record)
    have = {one.task for one, _ in whole}
    lost = {one.task for one, _ in new} - have
    missing = [one.task for one in plan.judgements if one.record is None or one.task in lost]
    return Pulled(tuple(one.task for one, _ in whole), tuple(missing), len(brought))


def _is_new(store: SharedStore, record: Record) -> bool:
    known = any(one.id == record.id for one in store.records(record.key.digest))
    return not known or not all(map(store.holds, record.blobs))


def push(session: Session, observer: Observer) -> Pushed:
    """Push what the project's tasks rest on, whatever [cache] mode says.

    Raises ConfigError if it cannot be signed, RemoteError for what the remote refuses.
    """
    store = shared_store(session)
    signer = signer_of(session)
    names = store.remote.terms.heads
    if not names:
        raise ConfigError(
            "there is no head to push to: no branch is known",
            hint="set NBBUILD_BRANCH to the name of the branch",
        )
    sent = 0

    def tell(size: int) -> None:
        nonlocal sent
        sent += size
        observer(Moved("pushing results", sent, 0))

    with store.in_use():
        pusher = Pusher(
            store.remote,
            names[0],
            signer,
            get=store.get,
            bring=store.bring,
            checking=True,
            sent=tell,
        )
        return pusher.finish(resting(session))


def unlike(session: Session, judgement: Judgement) -> tuple[str, tuple[Reason, ...]] | None:
    """Return how the nearest result that the remote has of a task differs from what is here.

    That is the result's id and the reasons why it is no hit; None if the remote has no result.
    """
    store = shared_store(session)
    task = session.graph.tasks[judgement.task]
    try:
        key = judgement.key or session.inputs.key(task)
    except MissingInput as error:
        return "", (Reason("input", text=error.what),)
    nearest: tuple[str, tuple[Reason, ...]] | None = None
    for record in store.remote.of_task(task.name):
        changed = compare(record.key, key, places=session.inputs.places(task))
        reasons = (*changed, *session.validity.broken(task, record))
        if nearest is None or len(reasons) < len(nearest[1]):
            nearest = record.id, reasons
    return nearest


# -- checking ------------------------------------------------------------------------------------


def check(session: Session, observer: Observer) -> Checked:
    """Read all that the project's heads lead to; return what is damaged. Removes nothing."""
    remote = shared_store(session).remote
    faults = list(_bad_heads(remote))
    read: set[Digest] = set()
    bad: set[Digest] = set()
    records = 0
    total = sum(pack.size for pack in {one for head in remote.heads() for one in head.packs})
    done = 0
    for head in remote.heads():
        for number, pack in enumerate(head.packs):
            pieces = [one for one in head.pieces if one.pack == number and one.digest not in read]
            for request in packs.ranges(pieces):
                found = _damaged(remote.objects(), packs.object_name(pack), request)
                bad |= set(found)
                faults += [Fault("blob", name, why, removed=False) for name, why in found.items()]
                read |= {piece.digest for piece in request.pieces}
                done += request.size
                observer(Moved(_CHECKING, done, max(total, done)))
        for entry in head.entries:
            records += 1
            blobs = {head.pieces[one].digest for one in entry.blobs}
            if remote.record(head, entry) is None:
                why = "it is not the record that was pushed"
            elif blobs & bad:
                why = "some of its blobs are gone or damaged"
            else:
                continue
            faults.append(Fault("record", entry.id, why, entry.task, removed=False))
    remote.problems()  # the faults say it all
    return Checked(len(read), records, in_order(faults))


def _bad_heads(remote: Remote) -> Iterator[Fault]:
    for name in remote.terms.heads:
        found = remote.objects().get(heads.object_name(name), most=heads.MOST)
        if found is None:
            continue
        try:
            remote.believed(name, found.data)
        except Unbelieved as reason:
            yield Fault("head", name, str(reason), removed=False)


def _damaged(objects: Objects, name: str, request: packs.Range) -> dict[Digest, str]:
    """Return the blobs of one range that are not what they should be, and why."""
    try:
        data = objects.get_range(
            name, request.start, request.size, most_whole=request.start + request.size
        )
    except NbbuildError as error:
        return {piece.digest: error.what for piece in request.pieces}
    if data is None:
        return {piece.digest: "its pack is gone" for piece in request.pieces}
    starts = ((piece, piece.start - request.start) for piece in request.pieces)
    return {
        piece.digest: "its bytes do not match its name"
        for piece, start in starts
        if digest_bytes(data[start : start + piece.size]) != piece.digest
    }


# -- removing ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """A head as it lies in the remote."""

    listed: Listed
    head: Head | None  # None: it cannot be read


def collect(
    session: Session,
    *,
    max_age: float = HEAD_AGE,
    max_size: int | None = None,
    dry_run: bool = False,
    now: float | None = None,
) -> Removed:
    """Remove old heads from the remote, and packs that no head names; see HEAD_AGE.

    Heads that the project reads stay. With `max_size` (bytes), further heads go, the oldest first,
    until the rest is small enough. Raises RemoteError.

    Somebody may push meanwhile. So what goes is looked at again just before: a head to which
    somebody pushed stays, and so does a pack that a head names by then. What slips through
    between is a miss, which the next `nbbuild cache push` mends. While there is something that
    may be a head of another version, no pack goes: only that version knows which it needs.
    """
    remote = shared_store(session).remote
    objects = remote.objects()
    now = time.time() if now is None else now
    fixed = {heads.object_name(name) for name in remote.terms.heads}
    known = _known(objects)
    sizes = {one.name: one for one in objects.list("cas/")}
    loose = sorted(
        (one for one in known if one.head is not None and one.listed.name not in fixed),
        key=lambda one: one.listed.modified,
    )
    going = [one for one in loose if now - one.listed.modified > max_age]
    for one in loose if max_size is not None else ():
        staying = [other for other in known if other not in going]
        if max_size is None or _size(staying, sizes) <= max_size:
            break
        if one not in going:
            going.append(one)
    garbage = _garbage([one for one in known if one not in going], sizes.values(), now)
    if not dry_run:
        # Heads first: one that is read meanwhile must not lead to packs that are gone.
        as_before = set(objects.list("ac/"))
        going = [one for one in going if one.listed in as_before]
        for head in going:
            objects.delete(head.listed.name)
        if garbage:
            staying = _known(objects)
            known = [*staying, *going]
            garbage = _garbage(staying, garbage, now)
        for pack in garbage:
            objects.delete(pack.name)
    freed = sum(one.listed.size for one in going) + sum(one.size for one in garbage)
    total = sum(one.size for one in sizes.values()) + sum(one.listed.size for one in known)
    return Removed(
        tuple(one.head.name for one in going if one.head is not None),
        len(garbage),
        freed,
        total - freed,
        _unreadable(known),
    )


def _known(objects: Objects) -> list[_Known]:
    """Return all heads, whoever signed them: they only keep what they name from going."""
    found = ((one, objects.get(one.name, most=heads.MOST)) for one in objects.list("ac/"))
    return [
        _Known(listed, heads.unverified(fetched.data))
        for listed, fetched in found
        if fetched is not None  # else somebody removed it just now
    ]


def _garbage(known: Sequence[_Known], there: Iterable[Listed], now: float) -> list[Listed]:
    """Return the packs that no head of these names; none while one of them cannot be read."""
    if _unreadable(known):
        return []
    named = _named(known)
    return [one for one in there if one.name not in named and now - one.modified > _PACK_AGE]


def _unreadable(known: Sequence[_Known]) -> tuple[str, ...]:
    return tuple(sorted(one.listed.name for one in known if one.head is None))


def _named(known: Sequence[_Known]) -> set[str]:
    found = (one.head for one in known if one.head is not None)
    return {packs.object_name(pack) for head in found for pack in (*head.packs, *head.records)}


def _size(known: Sequence[_Known], sizes: dict[str, Listed]) -> int:
    return sum(sizes[name].size for name in _named(known) if name in sizes)
