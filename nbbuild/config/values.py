"""Read one value of jcache.toml: check its type, and convert it.

A reader takes the name of the key and its value. It raises ConfigError, or Problems, without
saying where: the caller knows the table.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn, TypeAlias, TypeGuard, TypeVar

from nbbuild.errors import ConfigError, NbbuildError, did_you_mean, raise_all
from nbbuild.model import MEMORY, Resources

_T = TypeVar("_T")

Reader: TypeAlias = Callable[[str, object], _T]

_LIMIT: Final = 1e12
"""No number of jcache.toml is as large as this; it keeps arithmetic from overflowing."""

_MOST_RUNS: Final = 10_000
"""More tasks of one notebook than this are a slip: to list them alone would take for ever."""

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) *([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES: Final = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}


def described(value: object) -> str:
    """Say what a TOML value is: `the string "a"`, `the number 3`, `a list`."""
    match value:
        case bool():
            said = str(value).lower()
        case str():
            said = f"the string {quoted(value)}"
        case int() if abs(value) >= _LIMIT:
            said = "an integer that large"
        case int() | float():
            said = f"the number {value}"
        case list():
            said = "a list"
        case dict():
            said = "a table"
        case _:
            said = f"the date or time {value}"
    return said


def quoted(text: str) -> str:
    """Return `text` as TOML writes it, shortened when it is very long."""
    return json.dumps(text if len(text) <= 200 else text[:200] + "…", ensure_ascii=False)


def _wrong(key: str, value: object, wanted: str, hint: str = "") -> NoReturn:
    raise ConfigError(f"'{key}' must be {wanted}, not {described(value)}", hint=hint)


# -- plain values ------------------------------------------------------------------------------


def string(key: str, value: object) -> str:
    """Read a string, which may be empty."""
    if not isinstance(value, str):
        start = "write " if key.endswith("]") else f"write {key} = "
        hint = f"{start}{quoted(str(value))}" if _is_number(value) else ""
        _wrong(key, value, "a string", hint)
    if "\0" in value:
        raise ConfigError(f"'{key}' holds a NUL character")
    return value


def filled(key: str, value: object) -> str:
    """Read a string that says something."""
    text = string(key, value)
    if not text.strip():
        raise ConfigError(f"'{key}' is empty", hint=f"give it a value, or remove '{key}'")
    return text


def boolean(key: str, value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        plain = str(value).lower()
        spelled = isinstance(value, str) and plain in ("true", "false")
        _wrong(key, value, "true or false", f"write {key} = {plain}" if spelled else "")
    return value


def count(key: str, value: object) -> int:
    """Read a whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LIMIT:
        _wrong(key, value, "a whole number from 0", _unquoted(key, value))
    return value


def seconds(key: str, value: object) -> float:
    """Read seconds from 0; 0 is no limit."""
    if not _is_number(value) or not 0 <= value < _LIMIT:
        hint = _unquoted(key, value)
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found:
            hint = f"write {key} = {float(found[1]) * _SECONDS[found[2]]:g}"
        _wrong(key, value, "a number of seconds from 0", hint)
    return float(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unquoted(key: str, value: object) -> str:
    """Return the hint for a number that is written as a string, or below 0."""
    if isinstance(value, str):
        plain = re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value)
        return f"write {key} = {value}" if plain else ""
    negative = _is_number(value) and value < 0
    return "0 is no limit" if negative and "timeout" in key else ""


def duration(key: str, value: object) -> float:
    """Read seconds from a number, or from "30s", "10m", "12h", "1d", "2w"."""
    wanted = 'a time such as "30s", "10m", "12h", "1d" or "2w"'
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if not found:
            _wrong(key, value, wanted)
        result = float(found[1]) * _SECONDS[found[2]]
    elif _is_number(value) and 0 <= value < _LIMIT:
        result = float(value)
    else:
        _wrong(key, value, wanted)
    if result <= 0:
        _wrong(key, value, "longer than zero", "to run it every time, write cache = false")
    return result


def memory(key: str, value: object) -> int | float:
    """Read a size in bytes, or as a float the share of all memory that "80%" is."""
    found = re.fullmatch(r"(\d{1,3}) *%", value.strip()) if isinstance(value, str) else None
    if found is None:
        return size(key, value, wanted='a size such as "8GB", or a share such as "80%"')
    if not 0 < int(found[1]) <= 100:
        _wrong(key, value, "from 1 to 100 %")
    return int(found[1]) / 100


def size(
    key: str, value: object, *, wanted: str = 'a size such as "500MB", "5GB" or "2GiB"'
) -> int:
    """Read bytes from a whole number, or from "500MB", "5GB", "2GiB"."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) *([A-Za-z]+)", value.strip())
        units = {unit.lower(): number for unit, number in _BYTES.items()}
        if not found or found[2].lower() not in units:
            _wrong(key, value, wanted)
        result = int(float(found[1]) * units[found[2].lower()])
    elif isinstance(value, int) and not isinstance(value, bool) and value < 10**18:
        result = value
    else:
        _wrong(key, value, wanted)
    if result <= 0:
        _wrong(key, value, "more than zero", wanted)
    return result


def choice(*known: str) -> Reader[str]:
    """Return a reader of one of a few words."""

    def read(key: str, value: object) -> str:
        if value not in known or not isinstance(value, str):
            near = did_you_mean(value, known) if isinstance(value, str) else ""
            _wrong(key, value, _either(known), near)
        return value

    return read


def _either(words: Sequence[str]) -> str:
    *most, last = [quoted(word) for word in words]
    return f"{', '.join(most)} or {last}" if most else last


# -- lists and tables --------------------------------------------------------------------------


def listed(item: Reader[_T]) -> Reader[tuple[_T, ...]]:
    """Return a reader of lists, all of whose items `item` reads."""

    def read(key: str, value: object) -> tuple[_T, ...]:
        if not isinstance(value, list):
            bracketed = f"write {key} = [{quoted(value)}]" if isinstance(value, str) else ""
            _wrong(key, value, "a list", bracketed)
        items: list[_T] = []
        errors: list[NbbuildError] = []
        for number, one in enumerate(value, 1):
            try:
                items.append(item(f"{key}[{number}]", one))
            except ConfigError as error:
                errors.append(error)
        raise_all(errors)
        return tuple(items)

    return read


def table(key: str, value: object) -> Mapping[str, Any]:
    """Read a table."""
    if not isinstance(value, dict):
        _wrong(key, value, "a table", f"write {key} = {{ name = value }}")
    return value


def aliases(key: str, value: object) -> Mapping[str, str]:
    """Read a table of kernel names."""
    return {name: filled(f"{key}.{name}", other) for name, other in table(key, value).items()}


def resources(key: str, value: object) -> Resources:
    """Read a table of whole numbers from 0; of memory, a size."""
    found: dict[str, int] = {}
    errors: list[NbbuildError] = []
    for name, units in table(key, value).items():
        try:
            found[name] = _units(f"{key}.{name}", name, units)
        except ConfigError as error:
            errors.append(error)
    raise_all(errors)
    return found


def _units(key: str, name: str, value: object) -> int:
    if not name.strip():
        what = f"'{key.rpartition('.')[0]}' has a resource without a name"
        raise ConfigError(what, hint="give each a name, as in { gpu = 1 }")
    if name == "cores":
        raise ConfigError(
            f"'{key}' is no resource: cores are a setting of their own",
            hint="write cores = 4, outside the table",
        )
    if name == MEMORY and value != 0:
        return size(key, value, wanted='a size such as "500MB", "8GB" or "2GiB"')
    return count(key, value)


def spelled_resources(given: Resources) -> str:
    """Return a table of resources as TOML writes it."""
    parts = (f"{_key(name)} = {spelled_units(name, units)}" for name, units in given.items())
    return f"{{ {', '.join(parts)} }}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def spelled_units(name: str, units: int) -> str:
    """Return a number of units as TOML writes it."""
    if name == MEMORY:
        for unit in ("TB", "GB", "MB"):
            number, rest = divmod(units, _BYTES[unit])
            if number and not rest:
                return quoted(f"{number}{unit}")
    return str(units)


def parameters(key: str, value: object) -> Mapping[str, Any]:
    """Read a table whose keys can be names of variables."""
    values = table(key, value)
    errors: list[NbbuildError] = [
        ConfigError(
            f"{quoted(name)} in '{key}' cannot be the name of a variable",
            hint="use letters, digits and _, and begin with a letter",
        )
        for name in values
        if not re.fullmatch(r"[^\W\d][\w.]*", name)
    ]
    raise_all(errors)
    return values


def matrix(key: str, value: object) -> Mapping[str, Sequence[Any]]:
    """Read a table of lists, none of them empty, no value twice in one."""
    values = parameters(key, value)
    errors: list[NbbuildError] = []
    if not values:
        errors.append(ConfigError(f"'{key}' is empty", hint=f"remove '{key}', or give it values"))
    for name, choices in values.items():
        if not isinstance(choices, list):
            as_list = f"write {name} = [{_spelled(choices)}], or use `parameters` for one value"
            errors.append(
                ConfigError(
                    f"'{key}.{name}' must be a list of values, not {described(choices)}",
                    hint=as_list,
                )
            )
        elif not choices:
            errors.append(
                ConfigError(
                    f"'{key}.{name}' is empty, which leaves no task",
                    hint=f"give '{name}' values, or remove it",
                )
            )
        elif twice := _twice(choices):
            errors.append(
                ConfigError(f"'{key}.{name}' holds {twice} twice", hint="every value is one task")
            )
    raise_all(errors)
    number = math.prod(map(len, values.values()))
    if number > _MOST_RUNS:
        raise ConfigError(
            f"'{key}' makes {number:,} tasks of one notebook, more than {_MOST_RUNS:,}",
            hint="every combination of values is one task; take out values, or loop in a cell",
        )
    return values


def _spelled(value: object) -> str:
    return quoted(value) if isinstance(value, str) else str(value) if _is_number(value) else "…"


def _twice(values: Sequence[object]) -> str:
    seen: set[str] = set()
    for value in values:
        if repr(value) in seen:
            return described(value)
        seen.add(repr(value))
    return ""


def expression(key: str, value: object) -> str:
    """Read a regular expression of Python's."""
    text = filled(key, value)
    try:
        re.compile(text, re.MULTILINE)
    except re.error as error:
        raise ConfigError(
            f"{quoted(text)} in '{key}' is not a regular expression",
            facts=[("because", str(error))],
            hint="put a backslash before . * + ? ( ) [ ] { } ^ $ | where they mean themselves",
        ) from None
    return text


def command(key: str, value: object) -> str:
    """Read a command line; `{…}` in it stands for words that are filled in later."""
    text = filled(key, value)
    try:
        shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"{quoted(text)} in '{key}' is no command line",
            facts=[("because", str(error))],
            hint="close each quote, as in a shell",
        ) from None
    return text


# -- settings that are several things ----------------------------------------------------------


def jobs(key: str, value: object) -> int | Literal["auto"]:
    """Read how many notebooks run at once."""
    if value == "auto":
        return "auto"
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < _LIMIT:
        _wrong(key, value, 'a whole number from 1, or "auto"', _unquoted(key, value))
    return value


def trace(key: str, value: object) -> bool | Literal["python"]:
    """Read how closely a run is watched; "syscalls" is an older name for true."""
    if value == "python":
        return "python"
    if value == "syscalls":
        return True
    if not isinstance(value, bool):
        near = did_you_mean(value, ["python"]) if isinstance(value, str) else ""
        _wrong(key, value, 'true, false or "python"', near)
    return value


def warm(key: str, value: object) -> bool | str | tuple[str, ...]:
    """Read what a kernel has ready before its notebook begins."""
    if isinstance(value, str) and value in ("kernel", "auto"):
        return value
    if value is False:
        return False
    if isinstance(value, list) and value:
        return listed(filled)(key, value)
    hint = 'write warm = "auto", the default' if value is True else ""
    if isinstance(value, str):
        hint = did_you_mean(value, ["kernel", "auto"]) or f"write {key} = [{quoted(value)}]"
    _wrong(key, value, '"kernel", "auto", false or a list of modules', hint)
