"""Find a run's record again after inputs in its trace have been declared.

A declaration is part of the action key, so it gives another key. But an asset, a module, a file or
a package that the run used with exactly this value is nothing new: the record is valid for the new
key as well.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nbbuild.interpreter.installed import normalised
from nbbuild.model import ActionKey, Fingerprint, Record

_FILES = ("assets", "modules", "files")


def under(record: Record, key: ActionKey) -> Record | None:
    """Return `record` under `key`, None if more was declared than its trace holds."""
    old = {one.kind: one for one in record.key.fingerprints}
    new = {one.kind: one for one in key.fingerprints}
    if old.keys() != new.keys():
        return None
    traced = {
        kind: {i.name: i.value for i in record.trace.items if i.kind == kind}
        for kind in ("file", "distribution")
    }
    added: set[str] = set()
    for kind, fingerprint in new.items():
        more = _more(old[kind], fingerprint)
        if more is None or not _held(kind, more, traced):
            return None
        added |= more.keys()
    own = tuple(path for path in record.own if path not in added)
    return msgspec.structs.replace(
        record,
        id=f"{key.digest[:12]}-{record.id.partition('-')[2]}",
        key=key,
        own=own,
        local=bool(own),
    )


def _more(old: Fingerprint, new: Fingerprint) -> Mapping[str, str] | None:
    """Return what `new` adds to `old`, None if it lacks or changes anything."""
    if old == new:
        return {}
    now = dict(new.items)
    if any(now.get(name) != value for name, value in old.items):
        return None
    before = {name for name, _ in old.items}
    return {name: value for name, value in new.items if name not in before}


def _held(kind: str, more: Mapping[str, str], traced: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the trace has each new item of one class with the same value."""
    if kind in _FILES:
        return all(traced["file"].get(name) == value for name, value in more.items())
    if kind == "packages":
        versions = traced["distribution"]
        return all(versions.get(normalised(name)) == value for name, value in more.items())
    return not more
