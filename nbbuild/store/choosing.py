"""Find the record of a store, or the artefact of a record, that a user means."""

from __future__ import annotations

from collections.abc import Iterable

from nbbuild.errors import UsageError, did_you_mean
from nbbuild.model import ArtefactFile, Record


def record_named(word: str, records: Iterable[Record]) -> Record | None:
    """Return the record whose id is or begins with `word`; None if there is none.

    Raises `UsageError` if there are several: the ids of all runs of one key begin alike.
    """
    begun = [record for record in records if word and record.id.startswith(word)]
    exact = [record for record in begun if record.id == word]
    if len(exact or begun) > 1:
        raise UsageError(
            f"{len(begun)} records begin with '{word}'", hint="`nbbuild cache list` shows their ids"
        )
    return next(iter(exact or begun), None)


def artefact_named(path: str, record: Record) -> ArtefactFile:
    """Return the artefact `path` of `record`; raise `UsageError` if there is none."""
    files = {file.path: file for file in record.artefacts}
    if path not in files:
        raise UsageError(
            f"the record '{record.id}' has no artefact '{path}'",
            facts=[("artefacts", ", ".join(files) or "none")],
            hint=did_you_mean(path, files),
        )
    return files[path]
