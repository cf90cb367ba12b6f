"""Open a copy of a built notebook, or of a partial one, with the user's viewer."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from nbbuild.errors import UsageError

VIEWER = "NBBUILD_VIEWER"
"""The variable that holds the program which shows notebooks, with its arguments."""


def open_copy(notebook: Path, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Open a copy of `notebook` that ends in `.ipynb`, and return it; it stays for the viewer.

    A partial notebook has another suffix, and an edit of either would be lost with the next build.
    Raises UsageError when there is no notebook, or nothing opens it.
    """
    if not notebook.is_file():
        raise UsageError(
            f"there is no notebook to open: '{notebook}' does not exist",
            hint="build it first",
        )
    folder = Path(tempfile.mkdtemp(prefix="notebook-"))
    copy = folder / f"{notebook.name.partition('.ipynb')[0]}.ipynb"
    shutil.copyfile(notebook, copy)
    words = shlex.split(environ.get(VIEWER, ""))
    try:
        if words:
            status = subprocess.run([*words, str(copy)], check=False).returncode
        else:
            status = click.launch(str(copy))
    except OSError as error:
        raise _not_opened(copy, error.strerror or str(error)) from error
    if status:
        raise _not_opened(copy, f"exit status {status}")
    return copy


def _not_opened(copy: Path, reason: str) -> UsageError:
    return UsageError(
        "the notebook could not be opened",
        facts=[("copy", str(copy)), ("reason", reason)],
        hint=f"set {VIEWER} to a program that shows notebooks: {VIEWER}='jupyter lab'",
    )
