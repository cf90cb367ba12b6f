"""Write assignments in the languages of notebooks: `country = "UK"`, and so on."""

from __future__ import annotations

import datetime
import json
import keyword
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nbbuild.errors import NotebookError

_Moment: TypeAlias = datetime.date | datetime.time  # a datetime is a date


@dataclass(frozen=True, slots=True, kw_only=True)
class _Language:
    """How one language writes names and values."""

    name: str
    comment: str = "#"
    names: str  # regular expression of names that can be assigned …
    reserved: frozenset[str] = frozenset()  # … except these
    assign: Callable[[str, Any, str], str]  # name, value, the value's text → statement
    for_times: tuple[str, str] = ("", "")  # lines before and after, if dates or times occur
    none: str
    booleans: tuple[str, str]  # false, true
    inf: str
    nan: str
    integer: Callable[[int], str] = str
    string: Callable[[str], str]
    moment: Callable[[_Moment], str]
    listing: Callable[[Sequence[Any], list[str]], str]  # the items, their texts → text
    table: Callable[[Mapping[str, Any], list[tuple[str, str]]], str]  # … and (key, text) pairs


def assignments(parameters: Mapping[str, Any], *, language: str, declared: bool = True) -> str:
    """Return source code that assigns each of `parameters`, below a comment `Parameters`.

    `declared` says that the notebook declares them earlier; if not, JavaScript code must. Raises
    `NotebookError` for an unknown language, and for a name or value that it cannot express.
    """
    known = _LANGUAGES.get(language.lower())
    if known is None:
        raise NotebookError(
            f"parameters cannot be written in {language or 'an unknown language'}",
            facts=[("known", "Python, R, Julia, JavaScript, bash")],
            hint="pass the values through environment variables, and name these in [[notebook]] env"
            if language
            else "name the language in the notebook's kernelspec",
        )
    lines = [
        known.assign(_checked(name, known), value, _literal(value, known))
        for name, value in parameters.items()
    ]
    if known is _JAVASCRIPT and not declared:
        # Not always: what the `parameters` cell declared with `let` must not be declared again.
        lines = [f"var {line}" for line in lines]
    if _holds_time(parameters):
        before, after = known.for_times
        lines = [*filter(None, [before]), *lines, *filter(None, [after])]
    return "\n".join([f"{known.comment} Parameters", *lines])


def _checked(name: str, language: _Language) -> str:
    if not re.fullmatch(language.names, name) or name in language.reserved:
        raise NotebookError(
            f"'{name}' cannot be the name of a parameter in {language.name}",
            hint="rename it, in jcache.toml and in the notebook",
        )
    return name


def _literal(value: Any, language: _Language) -> str:
    match value:
        case None:
            text = language.none
        case bool():
            text = language.booleans[value]
        case int():
            text = language.integer(value)
        case float():
            text = _float(value, language)
        case str():
            text = language.string(value)
        case datetime.date() | datetime.time():
            text = language.moment(value)
        case list() | tuple():
            text = language.listing(value, [_literal(item, language) for item in value])
        case Mapping():
            items = [(language.string(key), _literal(value[key], language)) for key in value]
            text = language.table(value, items)
        case _:
            raise _impossible(value, language.name, f"it is a {type(value).__name__}")
    return text


def _float(value: float, language: _Language) -> str:
    if math.isnan(value):
        return language.nan
    if math.isinf(value):
        return language.inf if value > 0 else f"-{language.inf}"
    return repr(value)


def _holds_time(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_time(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_time(item) for item in value)
    return isinstance(value, _Moment)


def _impossible(value: object, language: str, reason: str) -> NotebookError:
    shown = repr(value)
    return NotebookError(
        f"a parameter's value cannot be written in {language}",
        facts=[
            ("value", shown if len(shown) <= 80 else f"{shown[:79]}…"),
            ("reason", reason),
        ],
    )


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _quoted(text: str, escapes: Mapping[str, str]) -> str:
    """Return `text` in double quotes, with \\u1234 or \\U00012345 for what cannot be shown."""

    def one(char: str) -> str:
        if char.isprintable():
            return char
        return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"

    return f'"{"".join(escapes.get(char) or one(char) for char in text)}"'


def _utc(value: datetime.datetime) -> datetime.datetime:
    """Return `value` without a zone, in UTC if it had one, for languages whose times have none."""
    if value.tzinfo is None:
        return value
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# -- Python ------------------------------------------------------------------------------------


def _python_moment(value: _Moment) -> str:
    return f'_datetime.{type(value).__name__}.fromisoformat("{value.isoformat()}")'


_PYTHON = _Language(
    name="Python",
    names=r"[^\W\d]\w*",
    reserved=frozenset([*keyword.kwlist, "_datetime"]),
    assign=lambda name, value, text: f"{name} = {text}",
    # Not under its own name, because the notebook may use that for the class.
    for_times=("import datetime as _datetime", "del _datetime"),
    none="None",
    booleans=("False", "True"),
    inf='float("inf")',
    nan='float("nan")',
    string=repr,
    moment=_python_moment,
    listing=lambda items, texts: f"[{', '.join(texts)}]",
    table=lambda items, texts: f"{{{', '.join(f'{key}: {text}' for key, text in texts)}}}",
)

# -- R -----------------------------------------------------------------------------------------


def _r_string(text: str) -> str:
    if "\0" in text:
        raise _impossible(text, "R", "its strings cannot hold a NUL")
    return _quoted(text, _ESCAPES)


def _r_moment(value: _Moment) -> str:
    if isinstance(value, datetime.datetime):
        return f'as.POSIXct("{_utc(value).isoformat(sep=" ")}", tz = "UTC")'
    if isinstance(value, datetime.date):
        return f'as.Date("{value.isoformat()}")'
    return f'"{value.isoformat()}"'  # R has no time of day


def _r_list(items: Mapping[str, Any], texts: list[tuple[str, str]]) -> str:
    if "" in items:
        raise _impossible(items, "R", "the names in its lists cannot be empty")
    return f"list({', '.join(f'{key} = {text}' for key, text in texts)})"


_R = _Language(
    name="R",
    names=r"(?:[^\W\d_]|\.(?!\d))[\w.]*",
    reserved=_words(
        "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_"
        " NA_real_ NA_character_ NA_complex_ in"
    ),
    assign=lambda name, value, text: f"{name} <- {text}",
    none="NULL",
    booleans=("FALSE", "TRUE"),
    inf="Inf",
    nan="NaN",
    # R's integers have 32 bits, and the lowest one means NA; larger ones are written as doubles.
    integer=lambda value: f"{value}L" if abs(value) < 2**31 else str(value),
    string=_r_string,
    moment=_r_moment,
    listing=lambda items, texts: f"list({', '.join(texts)})",
    table=_r_list,
)

# -- Julia -------------------------------------------------------------------------------------


def _julia_moment(value: _Moment) -> str:
    if isinstance(value, datetime.datetime):
        v = _utc(value)  # DateTime counts milliseconds
        kind = "DateTime"
        parts = [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond // 1000]
    elif isinstance(value, datetime.date):
        kind, parts = "Date", [value.year, value.month, value.day]
    else:
        milli, micro = divmod(value.microsecond, 1000)
        kind, parts = "Time", [value.hour, value.minute, value.second, milli, micro]
    return f"Dates.{kind}({', '.join(map(str, parts))})"


def _julia_vector(items: Sequence[Any], texts: list[str]) -> str:
    # A plain [1, 2.5] makes both floating point.
    alike = len({type(item) for item in items}) == 1 and isinstance(items[0], str | int | float)
    return f"{'' if alike else 'Any'}[{', '.join(texts)}]"


def _julia_dict(items: Mapping[str, Any], texts: list[tuple[str, str]]) -> str:
    return f"Dict{{String, Any}}({', '.join(f'{key} => {text}' for key, text in texts)})"


_JULIA = _Language(
    name="Julia",
    names=r"[^\W\d][\w!]*",
    reserved=_words(
        "baremodule begin break catch const continue do else elseif end export false finally for"
        " function global if import let local macro module quote return struct true try using"
        " while"
    ),
    assign=lambda name, value, text: f"{name} = {text}",
    for_times=("import Dates", ""),
    none="nothing",
    booleans=("false", "true"),
    inf="Inf",
    nan="NaN",
    # The minus sign is an operator: the number after it would not fit.
    integer=lambda value: "typemin(Int64)" if value == -(2**63) else str(value),
    string=lambda text: _quoted(text, {**_ESCAPES, "$": "\\$"}),
    moment=_julia_moment,
    listing=_julia_vector,
    table=_julia_dict,
)

# -- JavaScript --------------------------------------------------------------------------------


def _javascript_moment(value: _Moment) -> str:
    text = f'"{value.isoformat()}"'
    return f"new Date({text})" if isinstance(value, datetime.date) else text


def _javascript_object(items: Mapping[str, Any], texts: list[tuple[str, str]]) -> str:
    # In brackets: a plain "__proto__" would set the prototype.
    entries = (f"{f'[{key}]' if '__proto__' in key else key}: {text}" for key, text in texts)
    return f"{{{', '.join(entries)}}}"


_JAVASCRIPT = _Language(
    name="JavaScript",
    comment="//",
    names=r"(?:[^\W\d]|\$)[\w$]*",
    reserved=_words(
        "await break case catch class const continue debugger default delete do else enum export"
        " extends false finally for function if implements import in instanceof interface let new"
        " null package private protected public return static super switch this throw true try"
        " typeof var void while with yield"
    ),
    assign=lambda name, value, text: f"{name} = {text};",
    none="null",
    booleans=("false", "true"),
    inf="Infinity",
    nan="NaN",
    integer=lambda value: str(value) if abs(value) < 2**53 else f"{value}n",
    string=json.dumps,
    moment=_javascript_moment,
    listing=lambda items, texts: f"[{', '.join(texts)}]",
    table=_javascript_object,
)

# -- bash --------------------------------------------------------------------------------------


def _bash_string(text: str) -> str:
    if "\0" in text:
        raise _impossible(text, "bash", "its strings cannot hold a NUL")
    return shlex.quote(text)


def _bash_assign(name: str, value: Any, text: str) -> str:
    if isinstance(value, Mapping):
        return f"unset {name}; declare -A {name}={text}"
    return f"{name}={text}"


def _bash_array(items: Sequence[Any], texts: list[str]) -> str:
    _flat(items, items)
    return f"({' '.join(texts)})"


def _bash_associative(items: Mapping[str, Any], texts: list[tuple[str, str]]) -> str:
    _flat(items, items.values())
    if "" in items:
        raise _impossible(items, "bash", "the keys of its arrays cannot be empty")
    return f"({' '.join(f'[{key}]={text}' for key, text in texts)})"


def _flat(whole: object, items: Any) -> None:
    if any(isinstance(item, list | tuple | Mapping) for item in items):
        raise _impossible(whole, "bash", "its arrays cannot hold arrays")


_BASH = _Language(
    name="bash",
    names=r"[A-Za-z_][A-Za-z0-9_]*",
    assign=_bash_assign,
    none="''",
    booleans=("false", "true"),
    inf="inf",
    nan="nan",
    string=_bash_string,
    moment=lambda value: value.isoformat(),
    listing=_bash_array,
    table=_bash_associative,
)

_LANGUAGES = {
    **dict.fromkeys(("python", "python3", "ipython", "ipython3"), _PYTHON),
    "r": _R,
    "julia": _JULIA,
    **dict.fromkeys(("javascript", "js", "typescript"), _JAVASCRIPT),
    "bash": _BASH,
}
