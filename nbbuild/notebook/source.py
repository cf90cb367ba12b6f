"""The source notebook as it is executed and built: read, and with its parameters added."""

from __future__ import annotations

from pathlib import Path

from nbformat import NotebookNode

from nbbuild.model import Task
from nbbuild.notebook import provenance
from nbbuild.notebook.parameters import inject
from nbbuild.notebook.read import read
from nbbuild.notebook.readers import Readers


def prepared(root: Path, task: Task, *, language: str, readers: Readers) -> NotebookNode:
    """Return the notebook of `task` with its parameters; raise `NotebookError`."""
    notebook = read(root, task.source, readers=readers)
    # Only what nbbuild itself puts there now may reach the built notebook.
    notebook.metadata.pop(provenance.KEY, None)
    return inject(notebook, task.parameters, language=language) if task.parameters else notebook
