"""Note that a result was used; one found under an earlier key is kept under its new one, too."""

from __future__ import annotations

from nbbuild.model import Record
from nbbuild.store.protocol import Store


def note_hit(store: Store, record: Record) -> None:
    """Note that `record` was a hit; publish it if the store has none of this name.

    A record that was found under an earlier key has a name of its own under its new one. Only as
    the result of the task's last run would it be found again. Raises `StoreError`.
    """
    if not store.used(record) and store.writable:
        with store.in_use():
            store.publish(record)
