"""Say why two action keys differ: the class, the item, its old and its new value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from nbbuild.model import ActionKey, Fingerprint, Reason
from nbbuild.text.numbering import named

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


def compare(
    old: ActionKey, new: ActionKey, *, places: Sequence[tuple[int, int | None]] = ()
) -> tuple[Reason, ...]:
    """Return what differs between `old` and `new`, class by class in the key's order.

    `places` are those of the code cells of `new`; see `nbbuild.notebook.code`.
    """
    before = {fingerprint.kind: fingerprint for fingerprint in old.fingerprints}
    reasons: list[Reason] = []
    for after in new.fingerprints:
        known = before.get(after.kind, Fingerprint(after.kind, ()))
        if known.items != after.items:
            code = after.kind == "code"
            reasons += _code(known, after, places) if code else _items(known, after)
    return tuple(reasons)


def _items(old: Fingerprint, new: Fingerprint) -> Iterator[Reason]:
    before, after = dict(old.items), dict(new.items)
    for item in sorted(before.keys() | after.keys()):
        was, now = before.get(item), after.get(item)
        if was != now:
            yield Reason(new.kind, item, was or "", now or "", _sentence(new.kind, item, was, now))


def _sentence(kind: str, item: str, was: str | None, now: str | None) -> str:
    """Return a sentence such as "asset 'data/a.csv' changed"; readable values are shown."""
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


def _code(
    old: Fingerprint, new: Fingerprint, places: Sequence[tuple[int, int | None]]
) -> Iterator[Reason]:
    """Yield the cells that changed; cells are matched by content, as diff matches lines."""
    before = [digest for _, digest in old.items]
    after = [digest for _, digest in new.items]

    def reason(place: int, was: str, what: str) -> Reason:
        at = places[place] if place < len(places) else (None, None)
        name = named(*at) if place < len(places) else new.items[place][0]
        return Reason("code", name, was, after[place], f"{name} {what}", *at)

    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(
        a=before, b=after, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            continue
        both = min(i2 - i1, j2 - j1)
        for k in range(both):
            yield reason(j1 + k, before[i1 + k], "changed")
        for k in range(j1 + both, j2):
            yield reason(k, "", "is new")
        for name, digest in old.items[i1 + both : i2]:
            yield Reason("code", name, digest, "", f"{name} of the last run is gone")
