"""Make text safe to print: whatever would control a terminal, or hide, is shown as an escape.

File names, notebooks and records come from anywhere. So all text that leaves the program goes
through here, where it leaves: `cli.render`, `cli._errors`, `report.plain` and `report.terminal`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_INVISIBLE = (
    "\x7f-\x9f"  # delete, and the controls that 8-bit terminals obey
    "\xad\u061c\u180e\u200b-\u200f\ufeff"  # without width, or marks of direction
    "\u2028-\u202e\u2060-\u206f\ufff9-\ufffb"  # separators, embeddings, isolates
    "\U000e0001\U000e0020-\U000e007f"  # tags
)
_UNSAFE = re.compile(f"[\\x00-\\x08\\x0b-\\x1f{_INVISIBLE}]")
_UNSAFE_OR_COLOUR = re.compile(rf"\x1b\[[\d;]*m|{_UNSAFE.pattern}")
_UNSAFE_IN_JSON = re.compile(f"[{_INVISIBLE}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OBEYED = re.compile(r"^(\s*)::|##\[", re.MULTILINE)
_NOT_A_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def clean(text: str) -> str:
    r"""Return `text` with \x1b or \u202e, say, written out; line ends and tabs stay.

    Bytes of file names that are not UTF-8 stay, as Python has them.
    """
    return _UNSAFE.sub(_escape, _whole(text).replace("\r\n", "\n"))


def in_one_line(text: str) -> str:
    r"""Return `text` as `clean` does, its line ends and tabs as \n and \t: for names in a line."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def clean_but_colours(text: str) -> str:
    """Return `text` as `clean` does, with its colours, which end where it ends."""
    cleaned = _UNSAFE_OR_COLOUR.sub(
        lambda found: found[0] if len(found[0]) > 1 else _escape(found),
        _whole(text).replace("\r\n", "\n"),
    )
    return f"{cleaned}\x1b[0m" if "\x1b" in cleaned else cleaned


def clean_json(text: str) -> str:
    """Return JSON that says the same, in which nothing but line ends is invisible."""
    return _UNSAFE_IN_JSON.sub(_escape_in_json, text)


def on_a_runner(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether GitHub Actions reads what is printed: see `disobeyed`."""
    return environ.get("GITHUB_ACTIONS") == "true"


def disobeyed(text: str) -> str:
    """Return `text` with nothing in it that the runner of GitHub Actions takes for a command.

    It obeys lines that begin with `::`, after blanks, and `##[` anywhere.
    """
    return _OBEYED.sub(lambda found: "## [" if found[1] is None else f"{found[1]}: :", text)


def printed(text: str) -> str:
    """Return `text` as `clean` does, and without commands where a runner would obey them."""
    return disobeyed(clean(text)) if on_a_runner() else clean(text)


def _whole(text: str) -> str:
    """Return `text` without halves of surrogate pairs, but for those that stand for bytes.

    Bytes that make a character together are that character: it may be a control.
    """
    if not _SURROGATE.search(text):
        return text
    text = _NOT_A_BYTE.sub(_escape, text)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _escape(found: re.Match[str]) -> str:
    # From \u007f on as TOML and Python understand it: what is printed may be pasted.
    code = ord(found[0])
    if code < 0x20:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_in_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
