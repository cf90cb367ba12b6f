"""Read a `.jupyter_cache` folder through jupyter-cache, and leave it as it is.

Opening one may make a database, and each read is noted in it. So the database is a copy, in a
folder of our own with a link to the cached notebooks.

The folder may be anybody's. What would keep jupyter-cache reading for ever, or lead it elsewhere,
is refused before it is asked: pipes, links, files of any size, a database that computes.

jupyter-cache is an extra, so it is imported where it is used.
"""

from __future__ import annotations

import datetime
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from nbbuild.disk import regular, temporary
from nbbuild.errors import NotebookError, UsageError
from nbbuild.model import Task
from nbbuild.notebook.read import from_bytes
from nbbuild.notebook.suffixes import MYST_SUFFIXES, is_text, suffix

# What nbformat and jupyter-cache raise for notebooks that are none.
_MALFORMED = (
    *(nbformat.ValidationError, nbformat.NBFormatError),
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError),
)


_MOST_DATABASE = 1 << 30  # bytes
_LONGEST = 1e9  # seconds of a run


class Damaged(Exception):
    """A cached notebook cannot be read."""


@dataclass(frozen=True, slots=True)
class Match:
    """A cached notebook that has the hash of a task's source."""

    pk: int  # jupyter-cache's own number
    uri: str  # what was executed
    folder: str  # the name of its folder
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

        self._executed = Path(os.path.realpath(folder / "executed"))
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
                when = min(max(created.timestamp(), 0.0), time.time())
                return Match(record.pk, record.uri, hashkey, _seconds(record.data), when)
        return None

    def read(self, match: Match) -> Cached:
        """Return the notebook of `match`, and its artefacts. Raises Damaged."""
        home = self._executed / match.folder
        made = home / "artifacts"
        try:
            if os.path.realpath(made) != str(made):
                raise OSError("its folder is a link")
            os.close(regular.opened(home / "base.ipynb", links=False))
            regular.read(home / "base.ipynb")  # not too large either
            bundle = self._cache.get_cache_bundle(match.pk)
            notebook = from_bytes(nbformat.writes(bundle.nb).encode("utf-8", "surrogatepass"))
            files = zip(bundle.artifacts.relative_paths, bundle.artifacts.paths, strict=True)
            # A link may lead anywhere, and is not a file that was cached.
            artefacts = {
                path.as_posix(): file
                for path, file in files
                if os.path.realpath(file) == str(made / path)
            }
        except (OSError, NotebookError, *_MALFORMED) as error:
            said = error.what if isinstance(error, NotebookError) else str(error)
            if isinstance(error, OSError):
                said = error.strerror or said
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
    if not isinstance(said, int | float) or not 0 <= said < _LONGEST:
        return 0.0
    return float(said)


@contextmanager
def opened(given: Path) -> Iterator[JupyterCache]:
    """Open a copy of the jupyter-cache at `given`. Raises UsageError."""
    if find_spec("jupyter_cache") is None:
        raise UsageError(
            "jupyter-cache is not installed, and reads its own folders",
            hint="pip install 'nbbuild[jupyter-cache]'",
        )
    if not os.path.isfile(given / "global.db"):  # noqa: PTH113 - a name may be too long
        raise UsageError(
            f"there is no jupyter-cache in '{given}'",
            facts=[("reason", "it has no global.db" if given.is_dir() else "it is not a folder")],
            hint="its folder is `.jupyter_cache` by default; a Jupyter Book has it in `_build`",
        )
    with temporary.folder() as copy:
        try:
            for name in ("global.db", "global.db-wal", "global.db-journal"):
                if (given / name).is_file():
                    (copy / name).write_bytes(regular.read(given / name, most=_MOST_DATABASE))
            _check_schema(copy / "global.db")
        except OSError as error:
            raise UsageError(
                f"the jupyter-cache in '{given}' cannot be read",
                facts=[("reason", error.strerror or str(error))],
            ) from error
        (copy / "executed").symlink_to(os.path.realpath(given / "executed"))
        yield JupyterCache(copy, given)


def _check_schema(database: Path) -> None:
    """Raise OSError if tables are computed; whatever else is wrong, jupyter-cache says."""
    computed = "SELECT count(*) FROM sqlite_master WHERE type IN ('view', 'trigger')"
    with closing(sqlite3.connect(database)) as connection:
        try:
            (count,) = connection.execute(computed).fetchone()
        except sqlite3.DatabaseError:
            return
    if count:
        raise OSError("its global.db has views or triggers, which jupyter-cache does not make")
