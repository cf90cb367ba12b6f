"""jcache.toml.example shows every key there is, and tells the truth about defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nbbuild.config import load as config
from nbbuild.config.keys import readers
from nbbuild.config.types import DEFAULTS, Config, NotebookEntry
from nbbuild.model import Settings

EXAMPLE = Path(__file__).parents[2] / "jcache.toml.example"


def shown() -> dict[str, dict[str, str]]:
    """Return table → key → the comment above it, for every key of the example."""
    found: dict[str, dict[str, str]] = {}
    table, comment = "", ""
    for line in EXAMPLE.read_text().splitlines():
        header = re.fullmatch(r"\[+(\w+)\]+", line)
        key = re.match(r"(\w+) = ", line)
        if header:
            table = header[1]
        elif key:
            found.setdefault(table, {}).setdefault(key[1], comment)
        if not line.startswith("#"):
            comment = ""
        else:
            comment = f"{comment} {line.removeprefix('#').strip()}".strip()
    return found


def defaults(table: str) -> dict[str, Any]:
    """Return key → default of one table, as the types have it."""
    settings = {field.name: getattr(DEFAULTS, field.name) for field in fields(Settings)}
    if table == "notebook":
        entry = NotebookEntry(where="", path="")
        return {f.name: getattr(entry, f.name) for f in fields(entry)} | settings
    value = getattr(Config(root=Path(), path=Path()), table)
    own = {field.name: getattr(value, field.name) for field in fields(value)}
    return own | settings if own.pop("settings", None) is not None else own


TABLES = (
    *("project", "execution", "environment", "cache", "report", "export", "verify"),
    "notebook",
)


@pytest.fixture
def example(tmp_path: Path) -> Config:
    path = tmp_path / "jcache.toml"
    path.write_bytes(EXAMPLE.read_bytes())
    return config.load(path)


def test_the_example_has_every_key_of_the_types_and_no_other() -> None:
    expected = {table: set(defaults(table)) - {"where", "settings"} for table in TABLES}
    assert {table: set(keys) for table, keys in shown().items()} == expected


def test_every_key_of_the_types_can_be_read_and_no_other() -> None:
    expected = {table: set(defaults(table)) - {"where", "settings"} for table in TABLES}
    known = readers(Path("/"))
    assert {table: set(keys) for table, keys in known.items()} == expected


def test_the_example_is_valid_in_an_empty_folder(example: Config) -> None:
    assert [entry.path for entry in example.notebooks] == [
        "chapters/model.ipynb",
        "chapters/by-country.ipynb",
    ]


@pytest.mark.parametrize("table", [table for table in TABLES if table != "notebook"])
def test_values_without_a_word_about_defaults_are_the_defaults(table: str, example: Config) -> None:
    value = getattr(example, table)
    # The patterns of notebooks have no default that would find any.
    comments = {
        key: c for key, c in shown()[table].items() if (table, key) != ("project", "notebooks")
    }
    for key, default in defaults(table).items():
        if key not in comments:
            continue
        if "Default: none." in comments[key]:
            assert not default, key
        elif not hasattr(value, key):
            assert getattr(example.execution.settings, key) == default, key
        else:
            assert getattr(value, key) == default, key


def test_the_defaults_of_an_entry_are_named(example: Config) -> None:
    for key, comment in shown()["notebook"].items():
        if "Default: none." in comment or "Default: never." in comment:
            assert not defaults("notebook")[key], key
        else:
            assert key in {"path", "cache", "push", *(field.name for field in fields(Settings))}
    assert example.notebooks[0].cache is True
    assert example.notebooks[0].push is True
