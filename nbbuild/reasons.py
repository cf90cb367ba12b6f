"""Say why two action keys differ: the class, the item, its old and its new value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from nbbuild.model import ActionKey, Fingerprint, Reason

_NOUNS: Mapping[str, str] = {
    "assets": "asset",
    "modules": "module",
    "files": "[environment] file",
    "packages": "package",
    "parameters": "parameter",
    "artefacts": "artefact pattern",
    "env": "environment variable",
    "commands": "the output of",
}


def compare(old: ActionKey, new: ActionKey) -> tuple[Reason, ...]:
    """Return what differs between `old` and `new`, class by class in the key's order."""
    before = {fingerprint.kind: fingerprint for fingerprint in old.fingerprints}
    reasons: list[Reason] = []
    for after in new.fingerprints:
        known = before.get(after.kind, Fingerprint(after.kind, ()))
        if known.items != after.items:
            compared = _code if after.kind == "code" else _items
            reasons += compared(known, after)
    return tuple(reasons)


def _items(old: Fingerprint, new: Fingerprint) -> Iterator[Reason]:
    before, after = dict(old.items), dict(new.items)
    for item in sorted(before.keys() | after.keys()):
        was, now = before.get(item), after.get(item)
        if was != now:
            yield Reason(new.kind, item, was or "", now or "", _sentence(new.kind, item, was, now))


def _sentence(kind: str, item: str, was: str | None, now: str | None) -> str:
    """Return "asset 'data/a.csv' changed" and its like; values that say something are shown."""
    if kind == "format":
        return "nbbuild's way of making keys changed"
    name = f"{_NOUNS[kind]} '{item}'" if kind in _NOUNS else f"{kind}: {item}"
    if was is None:
        return f"{name} is new"
    if now is None:
        return f"{name} is gone"
    if kind in ("assets", "modules", "files", "env", "commands") or (kind, item) == (
        "kernel",
        "env",
    ):
        return f"{name} changed"
    return f"{name} changed: {was or 'none'} → {now or 'none'}"


def _code(old: Fingerprint, new: Fingerprint) -> Iterator[Reason]:
    """Name the cells that changed; cells are matched by content, as diff matches lines."""
    before = [digest for _, digest in old.items]
    after = [digest for _, digest in new.items]
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(
        a=before, b=after, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            continue
        both = min(i2 - i1, j2 - j1)
        for k in range(both):
            yield Reason(
                "code",
                f"cell {j1 + k + 1}",
                before[i1 + k],
                after[j1 + k],
                f"cell {j1 + k + 1} changed",
            )
        for k in range(j1 + both, j2):
            yield Reason("code", f"cell {k + 1}", "", after[k], f"cell {k + 1} is new")
        for k in range(i1 + both, i2):
            yield Reason(
                "code", f"cell {k + 1}", before[k], "", f"cell {k + 1} of the last run is gone"
            )
