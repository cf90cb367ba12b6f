"""A record stands for a new key when only what its trace holds was declared since."""

import pytest

from nbbuild.judging.declared import under
from nbbuild.model import ActionKey, Fingerprint, Record, Trace, TraceItem


def key(digest="k2", **items):
    kinds = {"code": (("cell 1", "c"),), "assets": (), "packages": (), "env": (), **items}
    return ActionKey(digest, tuple(Fingerprint(kind, held) for kind, held in kinds.items()))


RECORD = Record(
    id="k1-0123",
    key=key("k1", assets=(("a.csv", "A"),)),
    trace=Trace(
        "python",
        (TraceItem("file", "b.csv", "B"), TraceItem("distribution", "ruamel-yaml", "1.0")),
    ),
    task="t",
    source="t",
    cells="",
    own=("b.csv",),
    local=True,
)
A, B = ("a.csv", "A"), ("b.csv", "B")


def test_an_asset_with_the_value_that_it_was_read_with_is_nothing_new():
    new = key(assets=(A, B), packages=(("ruamel.yaml", "1.0"),))
    found = under(RECORD, new)
    assert (found.id, found.key, found.own, found.local) == ("k2-0123", new, (), False)
    assert found.trace == RECORD.trace


@pytest.mark.parametrize(
    "items",
    [
        {"assets": (A, ("b.csv", "other"))},
        {"assets": (A, ("c.csv", "C"))},
        {"assets": (B,)},
        {"assets": (A,), "packages": (("ruamel.yaml", "2.0"),)},
        {"assets": (A,), "env": (("SIZE", "x"),)},
        {"assets": (A,), "code": (("cell 1", "c"), ("cell 2", "d"))},
        {"assets": (A,), "another kind": ()},
    ],
)
def test_anything_else_is(items):
    assert under(RECORD, key(**items)) is None
