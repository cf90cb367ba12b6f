"""What is installed beside nbbuild is found as importlib.metadata finds it."""

import sys
from importlib import metadata

import pytest

from nbbuild.interpreter import installed


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
    for folder, version in (
        ("one/No.Such_Thing-1.5.dist-info", "1.5"),
        ("two/no_such_thing-2.dist-info", "2"),
        ("one/older.egg-info", "0.9"),
        ("two/older-2.dist-info", "2"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        file = tmp_path / folder / ("PKG-INFO" if folder.endswith("egg-info") else "METADATA")
        file.write_text(f"Metadata-Version: 2.1\nName: x\nVersion: {version}\n")
    (tmp_path / "one/empty-1.dist-info").mkdir()
    path = [str(tmp_path / name) for name in ("absent", "one", "two")]
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    installed.found.cache_clear()
    assert installed.found("no-such-thing") == ("1.5", str(tmp_path / "one"))
    assert installed.found("older") == ("0.9", str(tmp_path / "one"))
    assert installed.version("empty") == "none"
