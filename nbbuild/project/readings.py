"""The contents of notebooks, remembered from one build to the next."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import Misshapen, Shape, is_unicode, packed
from nbbuild.errors import NotebookError
from nbbuild.model import Digest, Parsed
from nbbuild.notebook.formats import PARSE_VERSION, is_notebook, reader_identity
from nbbuild.notebook.readers import Readers
from nbbuild.notebook.suffixes import suffix

_PARSED: Shape[Parsed] = Shape(Parsed)


class FileDigests(Protocol):
    """What this module needs of the table of file digests."""

    def digest(self, path: Path | str) -> Digest | None:
        """Return a file's digest; None if it does not exist."""
        ...

    def fresh(self, path: Path | str) -> Digest | None:
        """Return it, but do not trust an earlier digest of a file that may have changed since."""
        ...


class Readings:
    """Parsed notebooks, remembered by their bytes and their reader's version and configuration."""

    def __init__(
        self,
        root: Path,
        *,
        digests: FileDigests,
        recall: Callable[[str, str], bytes | None],
        remember: Callable[[str, str, bytes], None],
        parse: Callable[[str], Parsed],
        readers: Readers | None = None,
    ) -> None:
        self._root = root
        self._digests = digests
        self._recall = recall
        self._remember = remember
        self._parse = parse
        self.readers = readers or Readers()
        self._read: dict[str, tuple[str, Parsed]] = {}
        self.anew: set[str] = set()
        """The notebooks that had to be parsed, since their contents were not remembered."""
        self._identities: dict[tuple[str, str, str], str] = {}

    def is_notebook(self, path: str) -> bool:
        """Whether the text file `path`, matched by a glob, is a notebook; remembered by bytes."""
        digest = self._digests.digest(f"{self._root}/{path}")
        if digest is None:
            return False
        key = "\n".join((digest, suffix(path), str(PARSE_VERSION)))
        known = self._recall("is_notebook", key)
        if known is not None:
            return bool(known)
        try:
            data = (self._root / path).read_bytes()
        except OSError:
            return True  # reading it as a notebook says what is wrong
        found = is_notebook(path, data)
        if digest_bytes(data) == digest:  # else it has just changed
            self._remember("is_notebook", key, b"yes" if found else b"")
        return found

    def parsed(self, source: str) -> Parsed:
        """Return the contents of the notebook `source`; raise `NotebookError` if unreadable."""
        digest = self._digests.digest(f"{self._root}/{source}")
        if digest is None:
            raise NotebookError(f"'{source}' is not a file that can be read")
        key = "\n".join((digest, source, self.identity(source)))
        held = self._read.get(source)
        if held is not None and held[0] == key:
            return held[1]
        said = self._recalled(key)
        if said is None:
            said = self._parse(source)
            _check_text(source, said)
            if self._digests.fresh(f"{self._root}/{source}") != digest:
                return self.parsed(source)  # it has just changed: these may be other bytes
            self.anew.add(source)
            self._remember("parsed", key, packed(said))
        self._read[source] = (key, said)
        return said

    def identity(self, source: str) -> str:
        """Return how `source` is read; looked up once for all similar notebooks in a folder."""
        folder, name = posixpath.split(source)
        kind = (folder, posixpath.splitext(name)[1], self.readers.configured(source))
        if kind not in self._identities:
            self._identities[kind] = reader_identity(self._root, source, self.readers)
        return self._identities[kind]

    def forget(self) -> None:
        """Look at the readers' configuration again."""
        self._identities.clear()

    def _recalled(self, key: str) -> Parsed | None:
        data = self._recall("parsed", key)
        if data is None:
            return None
        try:
            return _PARSED.unpack(data)
        except Misshapen:  # written by another version: read the notebook again
            return None


def _check_text(source: str, parsed: Parsed) -> None:
    """Raise `NotebookError` if what counts in a notebook cannot be sent to a kernel, or hashed."""
    bad = next((cell for cell in parsed.cells if not is_unicode(cell.source)), None)
    if bad is None and packed(parsed)[:1] != b"{":  # as JSON: something else is not text
        return
    where = "its metadata" if bad is None else f"cell {bad.index + 1}"
    raise NotebookError(
        f"'{source}' holds something that is not text",
        facts=[("in", where), ("reason", "it has only one half of a surrogate pair")],
        hint="remove the character, or write it as an escape sequence of the language",
    )
