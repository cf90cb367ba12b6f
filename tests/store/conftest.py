from __future__ import annotations

from pathlib import Path

import pytest

from nbbuild.store import DiskStore, MemoryStore, Store


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each story about the store is told of both."""
    return MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "store")


@pytest.fixture
def disk(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.ipynb").write_text("source")
    return folder
