"""Compare the outputs of two executions of a notebook, cell by cell; no I/O.

What can differ between any two runs of the same code is set aside by `MASKS` and by rules for each
kind of output. The patterns are narrow on purpose: a number that changes is a finding, unless
something beside it shows that it is a time, an address or an id.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nbbuild.text.masks import MASKS, masked, without
from nbbuild.text.numbering import named
from nbbuild.verbs import pixels

__all__ = ["DIFF_LINES", "MASKS", "Comparison", "Difference"]

DIFF_LINES = 12
"""How many lines of a diff are shown."""

_DIFF_WIDTH = 160  # characters in a line
_COMPARED_LINES = 400  # around the first difference: diffs of long texts take long

_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_SVG_ID = re.compile(r"(?<=\bid=[\"'])[^\"']+")
_SVG_ID_OR_USE = re.compile(r"(?:(?<=\bid=[\"'])|(?<=#))[^\"'()\s;<>]+")
_SVG_DATE = re.compile(r"<dc:date>[^<]*</dc:date>")
_WIDGETS = "application/vnd.jupyter.widget-state+json"

Value: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs between two executions."""

    what: str  # "stdout", "image/png of its result", …
    cell: int | None = None  # index among all cells, from 0
    diff: tuple[str, ...] = ()  # lines: "-" before, "+" after; what is set aside is masked
    position: int | None = None  # of that cell among all cells, from 1
    execution_count: int | None = None

    @property
    def where(self) -> str:
        """The name of the cell; "" if the difference is in none."""
        return "" if self.position is None else named(self.position, self.execution_count)


@dataclass(frozen=True, slots=True)
class _Facet:
    """One comparable piece of a cell's outputs."""

    label: str
    value: Value


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares; first removes from both sides what `ignore`, the `[verify] ignore`, matches."""

    ignore: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, ignore: Iterable[str] = ()) -> Comparison:
        """Return one that ignores these patterns, in which ^ and $ match at each line."""
        return cls(tuple(re.compile(text, re.MULTILINE) for text in ignore))

    def notebooks(
        self, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> tuple[Difference, ...]:
        """Return the first difference of each cell that differs, then that of the widgets.

        Both are built notebooks of the same source, in the form of nbformat 4.
        """
        # The same source, so the same number of cells.
        pairs = enumerate(zip(before["cells"], after["cells"], strict=True))
        each = (self._cell(index, old, new) for index, (old, new) in pairs)
        found = [difference for difference in each if difference is not None]
        widgets = [self._widgets(notebook) for notebook in (before, after)]
        if widgets[0] != widgets[1]:
            found.append(Difference("state of its widgets", None, _diff(widgets[0], widgets[1])))
        return tuple(found)

    def text(self, text: str) -> str:
        """Return `text` without anything that may differ between runs."""
        for pattern in self.ignore:
            text = without(pattern, text)
        return masked(text)

    def _cell(
        self, index: int, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Difference | None:
        if before.get("outputs") == after.get("outputs"):
            return None
        pairs = itertools.zip_longest(self._facets(before), self._facets(after))
        place = (index + 1, after.get("execution_count"))
        for old, new in pairs:
            if old is None or new is None or old.label != new.label:
                texts = [f"{one.label}: {_shown(one.value)}" if one else "" for one in (old, new)]
                label = (old or new).label
                return Difference(label, index, _diff(*texts), *place)
            if (diff := _different(old, new)) is not None:
                return Difference(old.label, index, diff, *place)
        return None

    def _facets(self, cell: Mapping[str, Any]) -> Iterator[_Facet]:
        displays = itertools.count(1)
        for output in _merged(cell.get("outputs", ())):
            match output["output_type"]:
                case "stream":
                    yield _Facet(str(output["name"]), self.text(output["text"]))
                case "error":
                    yield _Facet("error", self.text(_error(output)))
                case "execute_result":
                    yield from self._bundle("its result", output)
                case _:
                    yield from self._bundle(f"display {next(displays)}", output)

    def _bundle(self, of: str, output: Mapping[str, Any]) -> Iterator[_Facet]:
        data = output.get("data", {})
        for mime in sorted(data):
            yield _Facet(f"{mime} of {of}", self._normal(mime, data[mime]))
        if output.get("metadata"):
            yield _Facet(f"metadata of {of}", self._json(output["metadata"]))

    def _normal(self, mime: str, value: Any) -> Value:
        if not isinstance(value, (str, list)) or mime.endswith("json"):
            return self._json(value)
        text = _joined(value)
        if mime == "image/svg+xml":
            return self.text(_svg(text))
        if mime.startswith(("image/", "audio/", "video/")) or mime == "application/pdf":
            try:
                return base64.b64decode("".join(text.split()), validate=True)
            except (binascii.Error, ValueError):
                pass  # not base64, although the type says so
        return self.text(text)

    def _json(self, value: Any) -> str:
        """Return JSON in a fixed order, with all its strings normalised."""
        return json.dumps(self._strings(value), indent=1, sort_keys=True, ensure_ascii=False)

    def _strings(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._strings(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._strings(item) for item in value]
        return value

    def _widgets(self, notebook: Mapping[str, Any]) -> str:
        """Return the states of all widgets in an order that does not depend on their ids."""
        states = notebook.get("metadata", {}).get("widgets", {}).get(_WIDGETS, {}).get("state", {})
        return "\n".join(sorted(self._json(state) for state in states.values()))


def _merged(outputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs with consecutive text on the same stream joined."""
    merged: list[dict[str, Any]] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output["output_type"] != "stream":
            merged.append(dict(output))
        elif last.get("output_type") == "stream" and last["name"] == output["name"]:
            last["text"] += _joined(output["text"])
        else:
            merged.append({**output, "text": _joined(output["text"])})
    return merged


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(str(line) for line in text)


def _error(output: Mapping[str, Any]) -> str:
    lines = [f"{output.get('ename', '')}: {output.get('evalue', '')}"]
    return _COLOURS.sub("", "\n".join([*lines, *output.get("traceback", ())]))


def _svg(text: str) -> str:
    """Return an SVG image without its date, and with ids numbered in their order."""
    names: dict[str, str] = {}
    for found in _SVG_ID.finditer(text):
        names.setdefault(found.group(), f"id-{len(names) + 1}")
    text = _SVG_ID_OR_USE.sub(lambda found: names.get(found.group(), found.group()), text)
    return _SVG_DATE.sub("<dc:date/>", text)


# -- finding what differs ----------------------------------------------------------------------


def _different(old: _Facet, new: _Facet) -> tuple[str, ...] | None:
    """Return how two facets with the same label differ; None if they do not."""
    if old.value == new.value:
        return None
    if isinstance(old.value, bytes) and isinstance(new.value, bytes):
        if old.label.startswith("image/png"):
            return _pictures(old.value, new.value)
        return (f"-{_shown(old.value)}", f"+{_shown(new.value)}, other bytes")
    return _diff(_shown(old.value), _shown(new.value))


def _pictures(before: bytes, after: bytes) -> tuple[str, ...] | None:
    try:
        old, new = pixels.decode(before), pixels.decode(after)
    except ValueError:
        return (f"-{_shown(before)}", f"+{_shown(after)}, other bytes")
    if old == new:
        return None
    sizes = [f"{one.width}×{one.height} pixels" for one in (old, new)]
    if sizes[0] != sizes[1]:
        return (f"-{sizes[0]}", f"+{sizes[1]}")
    if isinstance(old, pixels.Picture) and isinstance(new, pixels.Picture):
        return (f"{old.differing(new):,} of {old.width * old.height:,} pixels differ",)
    return (f"-{sizes[0]}", f"+{sizes[1]}, others")


def _shown(value: Value) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else value


def _diff(before: str, after: str) -> tuple[str, ...]:
    """Return the lines of a short diff; none if only line ends differ."""
    old, new = before.splitlines(), after.splitlines()
    pairs = enumerate(zip(old, new, strict=False))
    same = next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))
    first = max(0, same - 1)
    window = slice(first, first + _COMPARED_LINES)
    lines = difflib.unified_diff(old[window], new[window], n=1, lineterm="")
    told = [line for line in itertools.islice(lines, 2, None) if not line.startswith("@@")]
    alike = _alike(*old[same : same + 1], *new[same : same + 1])
    cut = [_clipped(line, alike) for line in told[:DIFF_LINES]]
    return (*cut, f"… {len(told) - DIFF_LINES} more lines") if len(told) > DIFF_LINES else (*cut,)


def _alike(first: str = "", second: str = "") -> int:
    """Return how many characters both have in common at the start."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _clipped(line: str, alike: int) -> str:
    """Return a line of a diff; for a long one, what follows its first `alike` characters."""
    mark, text = line[:1], line[1:]
    if len(text) > _DIFF_WIDTH and alike > _DIFF_WIDTH // 2:
        text = f"…{text[alike - _DIFF_WIDTH // 4 :]}"
    return mark + (text if len(text) <= _DIFF_WIDTH else f"{text[:_DIFF_WIDTH]}…")
