"""Every kind of remote that the stories about remotes are told of."""

from __future__ import annotations

import pytest

from nbbuild.store.remote.in_memory import MemoryObjects
from nbbuild.store.remote.objects import Objects


@pytest.fixture(params=["in memory"])
def place(request: pytest.FixtureRequest) -> Objects:
    """An empty remote of each kind."""
    return MemoryObjects()
