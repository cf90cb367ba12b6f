"""The reports of the last builds, kept in the project's own folder.

    <root>/.nbbuild/reports/<id>.json      one for each build that had something to do

An id is the time (UTC) at which the build began, to the second, and its microseconds in hex: ids
sort by time. A report is written in one step and reaches the disk before the build ends. Only its
owner may read it: it holds tracebacks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from nbbuild.disk import regular
from nbbuild.disk.durable import own_folder, sync_folder, write
from nbbuild.disk.project_folder import DOT, REPORTS
from nbbuild.disk.shapes import Misshapen
from nbbuild.errors import StoreError, UsageError
from nbbuild.report.document import Document, decoded, encoded

MOST: Final = 50
"""How many reports are kept."""

MOST_BYTES: Final = 100_000_000
"""How large they may be together; the newest one is kept whatever its size."""

LAST: Final = "last"

_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{5}")


def new_id(began: float) -> str:
    """Return an id for the report of a build that began `began` seconds after the epoch."""
    second = time.strftime("%Y%m%dT%H%M%S", time.gmtime(began))
    return f"{second}-{int(began % 1 * 1e6):05x}"


class ReportFolder:
    """The reports of the project in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / DOT / REPORTS

    def add(self, document: Document) -> None:
        """Keep a report, and forget the oldest ones. Raises OSError."""
        own_folder(self._folder, below=self._root / DOT)
        place = self._folder / f"{document.id}.json"
        write(place, encoded(document), mode=0o600, ours=True)
        sync_folder(self._folder)
        self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        size = 0
        for number, id in enumerate(self.ids()):
            place = self._folder / f"{id}.json"
            with suppress(OSError):
                size += place.stat().st_size
                if number and (number >= MOST or size > MOST_BYTES):
                    place.unlink()

    def ids(self) -> list[str]:
        """Return the ids of all reports, newest first."""
        try:
            names = [path.stem for path in self._folder.iterdir() if path.suffix == ".json"]
        except OSError:
            return []
        return sorted(filter(_ID.fullmatch, names), reverse=True)

    def find(self, word: str = LAST) -> Document:
        """Return the report of `word`: "last", an id, or how one id begins.

        Raises UsageError if it means no report or several, StoreError if it cannot be read.
        """
        ids = self.ids()
        if not ids:
            raise UsageError(
                "there is no report of a build yet",
                hint="each build that has something to do writes one",
            )
        found = ids[:1] if word == LAST else [id for id in ids if word and id.startswith(word)]
        if len(found) != 1:
            several = f"{len(found)} reports begin with '{word}'"
            raise UsageError(
                several if found else f"there is no report '{word}'",
                hint="`nbbuild report --list` shows their ids",
            )
        return self._read(found[0])

    def readable(self) -> Iterator[Document]:
        """Yield the reports that can be read, newest first."""
        for id in self.ids():
            with suppress(StoreError):
                yield self._read(id)

    def _read(self, id: str) -> Document:
        place = self._folder / f"{id}.json"
        try:
            return decoded(regular.read(str(place)))
        except (OSError, Misshapen) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise StoreError(
                f"the report '{id}' cannot be read",
                facts=[("path", str(place)), ("reason", reason)],
                hint="`nbbuild report --list` shows the others",
            ) from error
