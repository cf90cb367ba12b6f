"""The pages in the tree, each beside the built notebook that it shows."""

from __future__ import annotations

import msgspec

from nbbuild.disk.digests import digest_bytes
from nbbuild.model import Task
from nbbuild.tree.ground import Ground
from nbbuild.tree.ledger import Built, Ledger
from nbbuild.tree.own_files import digests_of, present, put, take_away_file


class BuiltPages:
    """Writes and removes pages, and knows which of them show what."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def write(self, task: Task, data: bytes, made_from: str) -> tuple[str, ...]:
        """Write the page of the built notebook, rendered from `made_from`; return notes."""
        ground, path = self._ground, task.page
        ledger = ground.ledgers.read(task.name)
        by = ground.ledgers.by
        new = Built(path, digest_bytes(data), by, made_from)
        there = present(ground, path)
        ours = digests_of(ledger, path)
        # Both the old page and the new one are ours, as for notebooks.
        before = (Built(path, there, by),) if there and there in ours - {new.digest} else ()
        others = tuple(built for built in ledger.built if built.path != path)
        ground.ledgers.write(msgspec.structs.replace(ledger, built=(*others, new, *before)))
        if there == new.digest:
            return ()
        return put(ground, path, data, ours=there in ours, sync=False)

    def in_order(self, task: Task, made_from: str) -> bool:
        """Whether the page is there as it was rendered from `made_from`."""
        path = task.page
        ledger = self._ground.ledgers.read(task.name)
        written = {
            one.digest for one in ledger.built if (one.path, one.made_from) == (path, made_from)
        }
        return self._ground.digests.digest(f"{self._ground.root}/{path}") in written

    def remove(self, task: Task) -> None:
        """Remove the page, unless it was altered since it was written."""
        ledger = self._ground.ledgers.read(task.name)
        if self.take_away(task, ledger):
            rest = tuple(built for built in ledger.built if built.path != task.page)
            self._ground.ledgers.write(msgspec.structs.replace(ledger, built=rest))

    def take_away(self, task: Task, ledger: Ledger) -> bool:
        """Remove the page if it is as `ledger` has it, which stays; return whether."""
        ours = digests_of(ledger, task.page)
        if not ours or present(self._ground, task.page) not in ours:
            return False
        take_away_file(self._ground, task.page, ours)
        return True
