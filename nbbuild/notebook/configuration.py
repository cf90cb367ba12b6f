"""Find the Jupytext configuration that applies to a notebook, without loading Jupytext."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from nbbuild.errors import NotebookError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = "pyproject.toml"

_CONFIG_NAMES = (
    *("jupytext", "jupytext.toml", "jupytext.yml", "jupytext.yaml", "jupytext.json"),
    *(".jupytext", ".jupytext.toml", ".jupytext.yml", ".jupytext.yaml", ".jupytext.json"),
    ".jupytext.py",
)

NAMES = frozenset((*_CONFIG_NAMES, PYPROJECT))
"""The names of files that may configure Jupytext."""


def configuration_file(folder: Path) -> Path | None:
    """Return the Jupytext configuration that applies in `folder`, found as Jupytext finds it.

    The search goes up from `folder` and takes the first file in each folder; `pyproject.toml` only
    counts with a `[tool.jupytext]`. It does not go above a folder in JUPYTEXT_CEILING_DIRECTORIES.
    The user's and the system's files come last.
    """
    for path in candidates(folder):
        if not os.path.isfile(path):  # noqa: PTH113  called a hundred times a notebook
            continue
        if not path.endswith(f"/{PYPROJECT}") or tool_jupytext(_bytes(Path(path))) is not None:
            return Path(path)
    return None


def candidates(folder: Path) -> Iterator[str]:
    """Yield files in order; the first that has any settings applies in `folder`."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  Path.absolute() keeps ".."
    ceilings = [c for c in os.environ.get("JUPYTEXT_CEILING_DIRECTORIES", "").split(":") if c]
    for here in (folder, *folder.parents):
        yield from _candidates_in(str(here))
        if any(Path(ceiling) == here for ceiling in ceilings):
            return
    for name in _global_folders():
        yield from _candidates_in(f"{name}/jupytext")
        yield from _candidates_in(name)


def _candidates_in(folder: str) -> Iterator[str]:
    for name in (*_CONFIG_NAMES, PYPROJECT):
        yield f"{folder}/{name}"


def _global_folders() -> list[str]:
    environ = os.environ
    folders: list[str] = []
    if "XDG_CONFIG_HOME" in environ:
        folders += environ["XDG_CONFIG_HOME"].split(":")
    elif "USERPROFILE" in environ:
        folders.append(environ["USERPROFILE"])
    elif "HOME" in environ:
        folders += [os.path.join(environ["HOME"], ".config"), environ["HOME"]]  # noqa: PTH118
    if "XDG_CONFIG_DIRS" in environ:
        folders += environ["XDG_CONFIG_DIRS"].split(":")
    elif "ALLUSERSPROFILE" in environ:
        folders.append(environ["ALLUSERSPROFILE"])
    else:
        folders += ["/usr/local/share/", "/usr/share/"]
    return [folder for folder in folders if folder]


def configuration_bytes(path: Path) -> bytes:
    """Return the part of the configuration `path` that counts; raise `NotebookError` on failure."""
    data = _bytes(path)
    if path.name != PYPROJECT:
        return data
    # Only its own table: a new dependency in pyproject.toml does not change how notebooks are read.
    return repr(tool_jupytext(data)).encode()


@functools.lru_cache(maxsize=16)  # called for each notebook of a project
def tool_jupytext(data: bytes) -> object:
    """Return `[tool.jupytext]` of a pyproject.toml, None if it has none."""
    if b"jupytext" not in data:  # most files, and parsing is slow
        return None
    try:
        tools = tomllib.loads(data.decode()).get("tool", {})
    except ValueError:
        return None
    return tools.get("jupytext") if isinstance(tools, dict) else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotebookError(
            "a Jupytext configuration cannot be opened",
            facts=[("file", str(path)), ("reason", error.strerror or str(error))],
            hint="make it readable, or move it away",
        ) from error
