"""Pools in [execution], and what notebooks take of them: wrong ones are errors with the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbbuild.config import load as config
from nbbuild.errors import ConfigError, NbbuildError


def load(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "jcache.toml"
    path.write_text(text)
    return config.load(path)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(NbbuildError) as raised:
        load(tmp_path, text)
    return str(raised.value)


def fixed(tmp_path: Path, text: str, message: str) -> config.Config:
    """Follow the hint of `message` to the letter."""
    line = message.partition("hint: write, in [execution]: ")[2]
    kept = [one for one in text.splitlines() if one != "[execution]" and "pools" not in one]
    return load(tmp_path, "\n".join(["[execution]", line, *kept]))


def test_a_name_without_a_pool_is_an_error_that_says_what_to_add(tmp_path: Path) -> None:
    text = """
[execution]
resources = { db = 1 }  # the pools
[[notebook]]
path = "a.ipynb"
resources = { gpu = 1, memory = "4GB" }
[[notebook]]
path = "b.ipynb"
resources = { gpu = 2, memory = "500MB" }
"""
    line = 'write, in [execution]: resources = { db = 1, gpu = 2, memory = "4GB" }'
    assert complaint(tmp_path, text) == "\n\nerror: ".join(
        f"'resources' names '{name}', which [execution] resources does not\n"
        f"  in: jcache.toml, [[notebook]] {number}\n\nhint: {line}"
        for number in (1, 2)
        for name in ("gpu", "memory")
    )
    loaded = fixed(tmp_path, text, f"hint: {line}")
    assert loaded.execution.resources == {"db": 1, "gpu": 2, "memory": 4_000_000_000}


def test_more_than_the_pool_has_is_an_error(tmp_path: Path) -> None:
    text = """
[execution]
resources = { gpu = 2, "wide one" = 1, memory = "8GB" }  # the pools
[[notebook]]
path = "a.ipynb"
resources = { gpu = 4 }
"""
    message = complaint(tmp_path, text)
    assert message == (
        "'resources' takes 4 of 'gpu', and [execution] has only 2\n"
        "  in: jcache.toml, [[notebook]] 1\n\n"
        'hint: write, in [execution]: resources = { gpu = 4, "wide one" = 1, memory = "8GB" }'
    )
    assert fixed(tmp_path, text, message).execution.resources["gpu"] == 4


def test_a_name_that_is_nearly_that_of_a_pool_is_taken_for_a_slip(tmp_path: Path) -> None:
    text = """
[execution]
resources = { database = 1 }
[[notebook]]
path = "a.ipynb"
resources = { databse = 1 }
"""
    assert complaint(tmp_path, text) == (
        "'resources' names 'databse', which [execution] resources does not\n"
        "  in: jcache.toml, [[notebook]] 1\n\n"
        "hint: did you mean 'database'?"
    )


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        (
            "resources = 3",
            "'resources' must be a table, not the number 3",
            "write resources = { name = value }",
        ),
        (
            "resources = { gpu = 0.5 }",
            "'resources.gpu' must be a whole number from 0, not the number 0.5",
            "",
        ),
        (
            'resources = { memory = "lots" }',
            '\'resources.memory\' must be a size such as "500MB", "8GB" or "2GiB", '
            'not the string "lots"',
            "",
        ),
        (
            'resources = { " " = 4 }',
            "'resources' has a resource without a name",
            "give each a name, as in { gpu = 1 }",
        ),
        (
            "resources = { cores = 4 }",
            "'resources.cores' is no resource: cores are a setting of their own",
            "write cores = 4, outside the table",
        ),
        (
            'cores = "4"',
            "'cores' must be a whole number from 0, not the string \"4\"",
            "write cores = 4",
        ),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, line: str, what: str, hint: str) -> None:
    for table, named in (
        ("[execution]", "[execution]"),
        ('[[notebook]]\npath = "a.ipynb"', '[[notebook]] 1 (path = "a.ipynb")'),
    ):
        message = complaint(tmp_path, f"{table}\n{line}")
        assert message == f"{what}\n  in: jcache.toml, {named}" + (hint and f"\n\nhint: {hint}")


def test_an_error_in_the_pools_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, "[execution]\nresources = { gpu = -1 }")
