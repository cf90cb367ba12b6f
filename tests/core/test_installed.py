"""What is installed beside nbbuild is found as importlib.metadata finds it."""

import sys
from importlib import metadata

import pytest

from nbbuild import installed


@pytest.fixture(autouse=True)
def forgotten():
    installed.found.cache_clear()
    yield
    installed.found.cache_clear()


@pytest.mark.parametrize("name", ["nbformat", "jupytext", "PyYAML", "markdown_it.py", "msgspec"])
def test_versions_are_those_of_the_metadata(name):
    distribution = metadata.distribution(name)
    assert installed.found(name) == (distribution.version, str(distribution.locate_file("")))


def test_the_first_on_the_path_wins_and_others_are_asked_for_in_their_way(tmp_path, monkeypatch):
    assert installed.found("no-such-thing") is None
    for folder in ("one/No.Such_Thing-1.5.dist-info", "two/no_such_thing-2.dist-info"):
        (tmp_path / folder).mkdir(parents=True)
    egg = tmp_path / "one/older.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: older\nVersion: 0.9\n")
    path = [str(tmp_path / name) for name in ("absent", "one", "two")]
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    installed.found.cache_clear()
    assert installed.found("no-such-thing") == ("1.5", str(tmp_path / "one"))
    assert installed.found("older") == ("0.9", str(tmp_path / "one"))
