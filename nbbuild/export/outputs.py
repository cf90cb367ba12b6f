"""The outputs that a page shows."""

from __future__ import annotations

import json
from typing import Any

from blake3 import blake3
from nbformat import NotebookNode

from nbbuild.export.merge import built_from
from nbbuild.export.pages import Page
from nbbuild.notebook.read import from_bytes
from nbbuild.session import Session

LOST = "its result is no longer complete in the cache"
"""The reason why there is nothing to show if the store has lost what a record names."""


def built(session: Session, page: Page) -> NotebookNode | None:
    """Return the built notebook of a page with a result; None if the store has lost it."""
    assert page.task is not None and page.record is not None
    try:
        data = built_from(session, page.task, page.record)
    except ValueError:  # a record that cannot be merged counts as none
        return None
    return from_bytes(data) if data is not None else None


def shown(outputs: Any) -> str:
    """Return a digest of outputs, to tell whether two pages show the same."""
    return blake3(json.dumps(outputs, sort_keys=True).encode()).hexdigest()
