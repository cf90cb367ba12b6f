"""Draw the layout of a store on disk, and name its paths.

    <path>/                         [cache] path, or NBBUILD_CACHE; may be shared by projects
      v2.lock                       held while v2 is made, set aside as foreign, or removed
      v2/                           one folder per format, so versions never meet and just miss
        VERSION                     "nbbuild store 2"; with any other text, the folder is not ours
        CACHEDIR.TAG  .gitignore    make backups and git leave the folder out
        blobs/ab/<digest>           bytes, named by their BLAKE3; read-only, never linked to;
                                    of cells, artefacts, and chunks of traces (chunks.py)
        records/ab/<key>/<id>.json  a sealed Record: its digest in the first line, then JSON
        locks/<key>.lock            held by the process that executes the key (locks.py)
        locks/build-<hex>.lock      held by a running build; its mtime is the beginning (gc.py)
        locks/gc.lock               held by the process that prunes
        locks/going.lock            exclusive while files go, shared while they come or are noted
        usage                       an estimate of the store's size; can be deleted (gauge.py)
        earlier                     a build has reported what v1 holds (earlier.py)
        later                       a build has reported that there are later formats
        tmp/                        drafts; what a crash leaves here is garbage
        **/*.bad-<hex>              set aside: something else in the place of a file of the store
      v1/                           an earlier format; stays until `nbbuild cache gc` (earlier.py)
      v1.going-<hex>/               the same, while it is removed

If you change anything here, or the meaning of a field of model.Record, raise FORMAT. An addition
that may be missing does not raise it. The places of files have not changed since format 1.

1: until November 2026. 2: since then, the items of a trace are answers (watching/answers.py).
Before there was a release, records in chunks were added to 2, which no earlier nbbuild can misread.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from nbbuild.disk.durable import Draft, below_private, own_folder, own_mode, tag_as_cache, write
from nbbuild.disk.locks import lock
from nbbuild.disk.regular import NotRegular, leads_nowhere, read
from nbbuild.model import Digest

FORMAT = 2

EMPTY: Digest = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
"""The digest of no bytes: the only blob that may be empty."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_RECORD_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def is_digest(text: str) -> bool:
    """Whether `text` can name a blob or be a key; nothing else ever becomes part of a path."""
    return _DIGEST.fullmatch(text) is not None


def new_record_id(key: Digest) -> str:
    """Return an id for a record of `key` that no other run has."""
    return f"{key[:12]}-{secrets.token_hex(8)}"


def is_record_id(text: str) -> bool:
    """Whether `text` can name a record: letters, digits, `.`, `_`, `-`; at most 200."""
    return _RECORD_ID.fullmatch(text) is not None


def version(number: int) -> bytes:
    """Return the content of a format's file VERSION."""
    return f"nbbuild store {number}\n".encode()


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of the store at `path`. Digests, keys and ids must have been checked."""

    path: Path
    format: int = FORMAT

    @property
    def folder(self) -> Path:
        """The folder of this format."""
        return self.path / f"v{self.format}"

    @property
    def making(self) -> Path:
        """The lock to hold while the folder is made or removed."""
        return self.path / f"v{self.format}.lock"

    @property
    def blobs(self) -> Path:
        """The folder of all blobs."""
        return self.folder / "blobs"

    @property
    def records(self) -> Path:
        """The folder of all records."""
        return self.folder / "records"

    @property
    def locks(self) -> Path:
        """The folder of all lock files."""
        return self.folder / "locks"

    def blob(self, digest: Digest) -> Path:
        """The path of a blob."""
        return self.path / f"v{self.format}/blobs/{digest[:2]}/{digest}"

    def key(self, key: Digest) -> Path:
        """The folder of a key's records."""
        return self.records / key[:2] / key

    def record(self, key: Digest, record_id: str) -> Path:
        """The path of a record."""
        return self.key(key) / f"{record_id}.json"

    def lock(self, key: Digest) -> Path:
        """The file of a key's lock."""
        return self.locks / f"{key}.lock"

    @property
    def going(self) -> Path:
        """The lock between files that come and files that go."""
        return self.locks / "going.lock"

    @property
    def pruning(self) -> Path:
        """The lock to hold while pruning."""
        return self.locks / "gc.lock"

    @property
    def usage(self) -> Path:
        """The file with the estimate of the store's size."""
        return self.folder / "usage"

    @property
    def earlier(self) -> Path:
        """The mark that a build has reported what earlier formats hold."""
        return self.folder / "earlier"

    @property
    def later(self) -> Path:
        """The mark that a build has reported that there are later formats."""
        return self.folder / "later"

    def lease(self) -> Path:
        """The path of a new lock for one build."""
        return self.locks / f"build-{os.urandom(8).hex()}.lock"

    def leases(self) -> Iterator[Path]:
        """Yield the locks of builds, some of which may have ended."""
        return self.locks.glob("build-*.lock")

    def looks(
        self, folder: Path, pattern: str, *, all_of_it: bool = False
    ) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield each match of `pattern` in `folder` with its stat, in no order.

        A file that is removed meanwhile is left out, and so is a folder that cannot be listed; if
        `all_of_it` counts, that raises OSError.
        """
        first, _, rest = pattern.partition("/")
        try:
            names = os.listdir(folder)  # noqa: PTH208 - a glob would pass over what is refused
        except OSError as error:
            if all_of_it and not leads_nowhere(error):
                raise
            return
        for name in names:
            if fnmatchcase(name, first):
                path = folder / name
                if rest:
                    yield from self.looks(path, rest, all_of_it=all_of_it)
                    continue
                with suppress(OSError):
                    yield path, path.lstat()

    def is_ours(self) -> bool:
        """Whether a store of this format exists here."""
        try:
            return self._version() == version(self.format)
        except OSError:
            return False

    def is_foreign(self) -> bool:
        """Whether something else is in our place; `make` sets it aside.

        What cannot be read may be ours.
        """
        try:
            found = self._version()
        except OSError:
            return False
        if found is None:
            return os.path.lexists(self.folder / "VERSION") or _is_no_folder(self.folder)
        return found != version(self.format)

    def _version(self) -> bytes | None:
        """Return what VERSION says; None if there is none. Raises OSError if it cannot be read."""
        try:
            return read(self.folder / "VERSION")
        except NotRegular:
            return b""
        except OSError as error:
            if leads_nowhere(error):
                return None
            raise

    def make(self) -> None:
        """Make the store if it does not exist. Raises OSError, StoreError.

        A folder of this name with another VERSION is set aside.
        """
        if not self.is_ours():
            below_private(self.path)
            # One process at a time, or one could set aside what another one just made.
            with lock(self.making):
                if not self.is_ours():
                    self._make_anew()
        self.make_folder(self.folder / "tmp")

    def make_folder(self, folder: Path) -> None:
        """Make a folder of the store if it does not exist. Raises OSError."""
        own_folder(folder, below=self.folder)

    def _make_anew(self) -> None:
        self._version()  # if it cannot be read, nothing is known, and nothing is made
        if self.is_foreign():
            self.folder.rename(self.path / f"v{self.format}.foreign-{os.urandom(4).hex()}")
        self.folder.mkdir(exist_ok=True)
        tag_as_cache(self.folder)
        write(self.folder / "VERSION", version(self.format))

    def draft(self, *, mode: int = 0o666) -> Draft:
        """Begin a new file, to be committed to one of the paths above. Raises OSError."""
        if not self.is_ours():
            self.make()
        tmp = self.folder / "tmp"
        mode = own_mode(tmp, mode)
        try:
            return Draft(tmp, mode=mode)
        except (FileNotFoundError, NotADirectoryError):
            self.make()  # somebody removed the store, or its `tmp`, under us
            return Draft(tmp, mode=mode)


def _is_no_folder(place: Path) -> bool:
    return os.path.lexists(place) and not place.is_dir()
