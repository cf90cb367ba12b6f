"""Drafts that a killed build left beside the ledgers."""

import os
import time

from nbbuild.disk.durable import DRAFT
from nbbuild.tree.ledger import Ledger, Ledgers

DAY = 86_400


def test_drafts_go_a_day_later_and_ledgers_stay(tmp_path):
    ledgers = Ledgers(tmp_path / ".nbbuild")
    ledgers.write(Ledger(task="a.ipynb"))
    folder = ledgers.drafts()
    old, new = folder / f"{DRAFT}old.tmp", folder / f"{DRAFT}new.tmp"
    for place in (old, new):
        place.write_bytes(b"half")
    (ledger,) = folder.glob("*.json")
    for place in (old, ledger):
        os.utime(place, (time.time() - 2 * DAY,) * 2)

    ledgers.sweep()

    assert {*folder.iterdir()} == {new, ledger}
    assert ledgers.read("a.ipynb").task == "a.ipynb"


def test_nothing_is_swept_where_nothing_was_ever_built(tmp_path):
    Ledgers(tmp_path / ".nbbuild").sweep()
    assert list(tmp_path.iterdir()) == []
