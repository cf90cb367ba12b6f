"""A package that cannot be loaded beforehand is tried once, not in every build."""

from __future__ import annotations

import json

import pytest

from nbbuild.errors import KernelError
from nbbuild.interpreter.imports import Import
from nbbuild.kernels.warm.import_facts import ImportCost, ImportFacts
from nbbuild.kernels.warm.nursery import Nursery, Warm


class Kept:
    """What builds keep between them."""

    def __init__(self):
        self.values = {}

    def facts(self):
        return ImportFacts(
            lambda kind, key: self.values.get((kind, key)),
            lambda kind, key, value: self.values.update({(kind, key): value}),
        )


@pytest.fixture
def tried():
    """The modules of each zygote that was to be started."""
    return []


@pytest.fixture
def nursery(tried):
    """Makes the nursery of a build, in which no zygote can be started."""

    def start(argv, **_):
        tried.append([module for module, _ in json.loads(argv[-1])["modules"]])
        raise KernelError("no")

    return lambda facts: Nursery(start, facts)


def warm(installed="as it is now"):
    modules = (Import(0, "good"), Import(0, "bad"))
    return Warm(("python",), (), installed=installed, modules=modules)


def test_what_was_refused_is_left_out_in_the_next_build_and_said_again(nursery, tried):
    kept = Kept()
    kept.facts().refuse("as it is now", "bad", "it prints")

    _, lacks = nursery(kept.facts()).zygote(warm(), lambda: None)

    assert tried == [["good"]]
    assert lacks == (
        "'bad' is not loaded beforehand: it prints; the process that forks kernels cannot be "
        "started: no"
    )


def test_it_is_tried_again_when_other_packages_are_installed(nursery, tried):
    kept = Kept()
    kept.facts().refuse("as it is now", "bad", "it prints")

    nursery(kept.facts()).zygote(warm("after an upgrade"), lambda: None)

    assert tried == [["good", "bad"]]


def test_nothing_is_kept_where_nobody_knows_what_is_installed():
    kept = Kept()
    kept.facts().refuse("", "bad", "it prints")
    assert kept.values == {}


def test_what_an_import_took_is_known_in_the_next_build_too():
    kept = Kept()
    assert kept.facts().cost("as it is now", "good") is None
    kept.facts().keep_cost("as it is now", "good", ImportCost(0.25, 1 << 20))
    assert kept.facts().cost("as it is now", "good") == ImportCost(0.25, 1 << 20)
    assert kept.facts().cost("after an upgrade", "good") is None
    for damaged in (b"", b"\xff", b"[1"):
        kept.values = dict.fromkeys(kept.values, damaged)
        assert kept.facts().cost("as it is now", "good") is None
