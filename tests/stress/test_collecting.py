"""A store that is pruned to half of what is worked with, all the time."""

import time
from pathlib import Path

import msgspec
from sizes import numbers, sizes, tried
from store_helpers import record

from nbbuild.disk.digests import digest_bytes
from nbbuild.model import ArtefactFile
from nbbuild.store import DiskStore, Limits

NAMES = 40  # results that are worked with
BYTES = 4096  # of each artefact


def content(name):
    return (f"{name} " * BYTES)[:BYTES].encode()


@sizes(small=400, full=10_000)
def test_a_store_pruned_to_half_of_what_is_worked_with_stays_small_and_whole(
    tmp_path, chance, size
):
    """Each operation publishes a result, asks for one, or prunes, some inside leases."""
    disk = DiskStore(tmp_path / "store")
    cap = NAMES * BYTES // 2
    target = tmp_path / "restored"

    def one_of(name):
        data = content(name)
        blob, cells = disk.put(data), disk.put(f"cells {name}".encode())
        artefact = ArtefactFile("a", blob, len(data))
        made = record("r", key=digest_bytes(name.encode()), artefacts=[artefact])
        made = msgspec.structs.replace(made, cells=cells, created=time.time())
        disk.publish(made)
        return made

    def hit(name):
        """Yield what is wrong if the store has a result of this name and cannot give it."""
        for found in disk.records(digest_bytes(name.encode())):
            if not disk.used(found):
                continue  # pruned in between, by its rules
            (artefact,) = found.artefacts
            if not disk.restore(artefact.digest, target):
                yield f"{name}: its artefact is gone"
            elif Path(target).read_bytes() != content(name):
                yield f"{name}: other bytes were restored"
            if disk.get(found.cells) is None:
                yield f"{name}: its cells are gone"

    def trial(number):
        name = f"n{chance.randrange(NAMES)}"
        deed = chance.random()
        if deed < 0.35:
            with disk.in_use():
                made = one_of(name)
                if chance.random() < 0.2:  # somebody prunes while this build is at work
                    disk.prune(Limits(max_size=cap))
                if disk.records(made.key.digest) != [made]:
                    yield f"{name}: a record went that was in use"
                yield from hit(name)
        elif deed < 0.9:
            with disk.in_use():
                yield from hit(name)
        else:
            disk.prune(Limits(max_size=cap))
            # What came at this very moment, by the clock of the file system, may stay.
            left = disk.size()[2]
            if left > cap + 2 * (BYTES + 2048):
                yield f"{left} bytes are left of {cap}"

    assert tried(numbers(size), trial, chance) == ""
    assert disk.check().faults == ()
