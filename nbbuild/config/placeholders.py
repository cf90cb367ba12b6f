"""`{parameter}` in a pattern of jcache.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from nbbuild.errors import ConfigError, NbbuildError, did_you_mean
from nbbuild.paths.patterns import escape

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def expand(text: str, known: Mapping[str, str], where: str) -> str:
    """Return the pattern `text` with `{name}` replaced by `known[name]`; `{{` and `}}` are braces.

    Wildcards in a value are made plain characters. `where` is for the ConfigError that an unknown
    name, or a brace without its other, raises.
    """

    def value(found: re.Match[str]) -> str:
        token = found.group()
        if token in ("{{", "}}"):
            return token[0]
        name = found[1]
        if name is None or not name.strip():
            raise _stray_brace(text, facts=[("in", where)])
        if name not in known:
            raise ConfigError(
                f"'{{{name}}}' in '{text}' is not a parameter",
                facts=[("in", where), ("known", ", ".join(sorted(known)) or "none")],
                hint=did_you_mean(name, known)
                or "declare it in `parameters`, or write {{ and }} for plain braces",
            )
        return escape(known[name])

    return _BRACES.sub(value, text)


def _stray_brace(text: str, *, facts: Iterable[tuple[str, str]] = ()) -> ConfigError:
    return ConfigError(
        f"'{text}' has a brace that belongs to no {{parameter}}",
        facts=facts,
        hint="write {{ and }} for plain braces",
    )


def check_braces(texts: Iterable[str], problem: Callable[[NbbuildError], None]) -> None:
    """Report to `problem` each of `texts` that has a brace without its other."""
    for text in texts:
        for found in _BRACES.finditer(text):
            plain = found.group() in ("{{", "}}")
            if not plain and not (found[1] or "").strip():
                problem(_stray_brace(text))
                break
