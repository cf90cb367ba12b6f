"""Notebooks are read without the configuration of whoever runs the tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# Reading imports and compiles on first use, on machines of any speed: time is no failure here.
settings.register_profile("notebook", deadline=None)
settings.load_profile("notebook")


@pytest.fixture(autouse=True)
def _no_configuration_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "system"))
    monkeypatch.delenv("JUPYTEXT_CEILING_DIRECTORIES", raising=False)
