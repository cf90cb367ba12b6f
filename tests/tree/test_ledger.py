"""Drafts that a killed build left beside the ledgers."""

import os
import time

import pytest
from store_helpers import without_root_powers

from nbbuild.disk.durable import DRAFT
from nbbuild.errors import StoreError
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


def test_ledgers_that_cannot_be_listed_are_an_error_of_the_cache(tmp_path):
    ledgers = Ledgers(tmp_path / ".nbbuild")
    ledgers.write(Ledger(task="a.ipynb"))
    folder = ledgers.drafts()
    folder.chmod(0o300)
    with without_root_powers(), pytest.raises(StoreError) as caught:
        [*ledgers.all()]
    folder.chmod(0o755)
    assert str(caught.value) == (
        "the note of what nbbuild wrote into the project cannot be read\n"
        f"  path: {folder}\n"
        "  reason: Permission denied\n"
        "\n"
        "hint: make it writable, or choose another folder with [cache] path or NBBUILD_CACHE"
    )
