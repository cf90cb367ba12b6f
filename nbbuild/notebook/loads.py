"""MyST's `:load:`: a code cell whose source is the text of a file (as MyST-NB reads it)."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePosixPath
from typing import Any

from nbbuild.errors import NotebookError
from nbbuild.notebook.suffixes import suffix


def can_load(notebook: Any, source: str) -> bool:
    """Return whether `load` has a meaning in the cells of `notebook`, read from `source`.

    Its paired `.ipynb` carries the same metadata, but there `load` means nothing.
    """
    if suffix(source) == ".ipynb":
        return False
    said = notebook["metadata"].get("jupytext")
    form = said.get("text_representation") if isinstance(said, dict) else None
    is_myst = isinstance(form, dict) and form.get("format_name") == "myst"
    # MyST-NB's other way to write this, which its own reader leaves unchanged.
    return is_myst or notebook["metadata"].get("file_format") == "mystnb"


def loaded_path(source: str, named: object) -> str:
    """Return the file that a cell of `source` loads, relative to the root; raise `NotebookError`.

    A relative path starts from the notebook's folder.
    """
    if not isinstance(named, str) or not named.strip():
        raise NotebookError(
            f"'{source}' has a `:load:` that names no file",
            facts=[("load", repr(named))],
            hint="write `:load: path/to/file`, relative to the notebook",
        )
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), named.strip()))


def loaded_text(root: Path, path: str, *, wanted_by: str = "a cell") -> str:
    """Return the text of the loaded file `path`; raise `NotebookError` if it cannot be read."""
    try:
        data = (root / path).read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise NotebookError(
            f"'{path}', which {wanted_by} loads, "
            + ("does not exist" if missing else "cannot be read"),
            facts=[] if missing else [("reason", getattr(error, "strerror", None) or str(error))],
            hint="`:load:` paths are relative to the notebook's folder",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def relative(root: Path, path: Path) -> str:
    """Return `path` relative to `root`, in POSIX form; it may begin with `../`."""
    return str(PurePosixPath(Path(os.path.relpath(path, root))))
