"""Read a `.jupyter_cache` folder through jupyter-cache, and leave it as it is.

Opening one may make a database, and each read is noted in it. So the database is a copy, in a
folder of our own with a link to the cached notebooks.

jupyter-cache is an extra, so it is imported where it is used.
"""

from __future__ import annotations

import datetime
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from nbbuild.disk import temporary
from nbbuild.errors import NotebookError, UsageError
from nbbuild.model import Task
from nbbuild.notebook.read import from_bytes
from nbbuild.notebook.suffixes import MYST_SUFFIXES, is_text, suffix

# What nbformat and jupyter-cache raise for notebooks that are none.
_MALFORMED = (
    *(nbformat.ValidationError, nbformat.NBFormatError),
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError),
)


class Damaged(Exception):
    """A cached notebook cannot be read."""


@dataclass(frozen=True, slots=True)
class Match:
    """A cached notebook that has the hash of a task's source."""

    pk: int  # jupyter-cache's own number
    uri: str  # what was executed
    seconds: float  # 0: nobody knows
    created: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Cached:
    """A cached notebook, read; it is there until the cache is closed."""

    notebook: NotebookNode
    artefacts: Mapping[str, Path]  # by their paths, relative to the notebook's folder
    seconds: float
    created: float


class JupyterCache:
    """A jupyter-cache that can be altered."""

    def __init__(self, folder: Path, given: Path) -> None:
        from jupyter_cache import get_cache
        from sqlalchemy.exc import SQLAlchemyError

        self._cache = get_cache(folder)
        try:
            records = self._cache.list_cache_records()
        except (RuntimeError, ValueError, SQLAlchemyError) as error:
            raise UsageError(
                f"the jupyter-cache in '{given}' cannot be read",
                facts=[("reason", str(error.__cause__ or error).splitlines()[0])],
                hint="is its global.db damaged? `jcache project clear` begins a new one",
            ) from error
        self._records = {record.hashkey: record for record in records}
        try:
            listed = self._cache.list_project_records()
        except (RuntimeError, ValueError, SQLAlchemyError):  # before 0.5 the table had another name
            listed = []
        self._read_data = {record.uri: record.read_data for record in listed}

    def match(self, root: Path, task: Task) -> Match | None:
        """Return what jupyter-cache would show for the source of `task`."""
        from jupyter_cache.base import CachingError

        for notebook in self._readings(root / task.source):
            try:
                _, hashkey = self._cache.create_hashed_notebook(notebook)
            except (CachingError, *_MALFORMED):
                continue
            record = self._records.get(hashkey)
            if record is not None:
                created = record.created.replace(tzinfo=datetime.timezone.utc)
                return Match(record.pk, record.uri, _seconds(record.data), created.timestamp())
        return None

    def read(self, match: Match) -> Cached:
        """Return the notebook of `match`, and its artefacts. Raises Damaged."""
        try:
            bundle = self._cache.get_cache_bundle(match.pk)
            notebook = from_bytes(nbformat.writes(bundle.nb).encode("utf-8", "surrogatepass"))
            files = zip(bundle.artifacts.relative_paths, bundle.artifacts.paths, strict=True)
            # A link may lead anywhere, and is not a file that was cached.
            artefacts = {path.as_posix(): file for path, file in files if not file.is_symlink()}
        except (OSError, NotebookError, *_MALFORMED) as error:
            said = error.what if isinstance(error, NotebookError) else str(error)
            raise Damaged(f"its cached notebook cannot be read: {said.splitlines()[0]}") from error
        return Cached(notebook, artefacts, match.seconds, match.created)

    def _readings(self, source: Path) -> Iterator[NotebookNode]:
        """Yield the notebook at `source` as each reader gives it that may have been used."""
        from jupyter_cache.readers import get_reader

        text = ["jupytext"] if is_text(source.name) else ["nbformat"]
        myst = ["myst_nb_md"] if suffix(source.name) in MYST_SUFFIXES else []
        plugins = [{"name": name, "type": "plugin"} for name in (*myst, *text)]
        said = self._read_data.get(str(source))
        for read_data in [*([said] if said else []), *plugins]:
            try:
                notebook = get_reader(read_data)(str(source))
            except Exception:  # noqa: BLE001 - anybody's plug-in, for some other format
                continue
            if isinstance(notebook, NotebookNode):
                yield notebook


def _seconds(data: object) -> float:
    """Return how long a run took, by what was noted of it."""
    said = data.get("execution_seconds") if isinstance(data, Mapping) else None
    if not isinstance(said, int | float) or not math.isfinite(said):
        return 0.0
    return max(0.0, float(said))


@contextmanager
def opened(given: Path) -> Iterator[JupyterCache]:
    """Open a copy of the jupyter-cache at `given`. Raises UsageError."""
    if find_spec("jupyter_cache") is None:
        raise UsageError(
            "jupyter-cache is not installed, and reads its own folders",
            hint="pip install 'nbbuild[jupyter-cache]'",
        )
    if not (given / "global.db").is_file():
        raise UsageError(
            f"there is no jupyter-cache in '{given}'",
            facts=[("reason", "it has no global.db" if given.is_dir() else "it is not a folder")],
            hint="its folder is `.jupyter_cache` by default; a Jupyter Book has it in `_build`",
        )
    with temporary.folder() as copy:
        try:
            for name in ("global.db", "global.db-wal", "global.db-journal"):
                if (given / name).is_file():
                    shutil.copyfile(given / name, copy / name)
        except OSError as error:
            raise UsageError(
                f"the jupyter-cache in '{given}' cannot be read",
                facts=[("reason", error.strerror or str(error))],
            ) from error
        (copy / "executed").symlink_to((given / "executed").resolve())
        yield JupyterCache(copy, given)
