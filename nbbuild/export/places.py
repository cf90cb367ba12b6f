"""Where the tools look by default: beside the file that marks their book."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from nbbuild.session import Session


def jupyter_cache(session: Session) -> Path:
    """Return `[export] jupyter_cache`, or where MyST-NB looks in the usual layout of a book."""
    if session.config.export.jupyter_cache:
        return session.root / session.config.export.jupyter_cache
    return _book(session, "conf.py", "_config.yml") / "_build" / ".jupyter_cache"


def doctrees(session: Session) -> list[Path]:
    """Return `[export] doctrees`."""
    return [session.root / path for path in session.config.export.doctrees]


def mystmd(session: Session) -> Path:
    """Return where mystmd looks."""
    return _book(session, "myst.yml", "myst.yaml") / "_build" / "execute"


def _book(session: Session, *names: str) -> Path:
    """Return the nearest folder around all notebooks that holds one of `names`, or the root."""
    sources = [task.source for task in session.project.tasks]
    above = [str(PurePosixPath(source).parent) for source in sources]
    folder = PurePosixPath(os.path.commonpath(above) if above else "")
    for candidate in (folder, *folder.parents):
        if any((session.root / candidate / name).is_file() for name in names):
            return session.root / candidate
    return session.root
