"""Export to one tool, by its name; only then is its module imported."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from nbbuild.errors import UsageError
from nbbuild.export import places
from nbbuild.export.pages import Exported, Page
from nbbuild.session import Session


def export(
    session: Session,
    target: str,
    whole: Sequence[Page],
    *,
    path: Path | None = None,
    doctrees: Sequence[Path] = (),
    only: Collection[str] | None = None,
) -> Exported:
    """Export to one tool, at `path` or where it looks. Raises whatever that export raises."""
    if target == "mystmd":
        mystmd = importlib.import_module("nbbuild.export.mystmd")
        done = mystmd.export(session, whole, path or places.mystmd(session), only=only)
    else:
        jupyter_cache = _jupyter_cache()
        done = jupyter_cache.export(
            session,
            whole,
            path or places.jupyter_cache(session),
            doctree_folders=[*doctrees, *places.doctrees(session)],
            only=only,
        )
    assert isinstance(done, Exported)
    return done


def _jupyter_cache() -> Any:
    try:
        importlib.import_module("jupyter_cache")
    except ImportError as error:
        raise UsageError(
            "jupyter-cache is not installed beside nbbuild",
            facts=[("reason", str(error))],
            hint="`pip install 'nbbuild[jupyter-cache]'`",
        ) from None
    return importlib.import_module("nbbuild.export.jupyter_cache")
