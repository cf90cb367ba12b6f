"""Parameters: where their cell goes, and what it says in each language."""

import datetime
import json
import math
import shutil
import subprocess
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.errors import NotebookError
from nbbuild.notebook.assignments import assignments
from nbbuild.notebook.parameters import inject

UTC = datetime.timezone.utc
MOMENTS = {
    "day": datetime.date(2024, 2, 29),
    "naive": datetime.datetime(2024, 2, 29, 12, 30, 1, 500000),
    "zoned": datetime.datetime(
        2024, 2, 29, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))
    ),
    "clock": datetime.time(7, 32, 0, 1500),
}
VALUES: dict[str, Any] = {
    "country": "UK",
    "year": 2024,
    "big": 2**62,
    "rate": 0.5,
    "most": math.inf,
    "fast": True,
    "sizes": [1, 2],
    "mixed": [1, 2.5, "a", [False]],
    "empty": [],
    "table": {"a b": 1, "in": {"x": []}},
    "quoted": 'it\'s "so" $x `y` \\ \n\t\x07 é 🎉',
}


def book(*cells: Any) -> Any:
    return new_notebook(cells=list(cells))


def cell(source: str, *tags: str) -> Any:
    return new_code_cell(source, id=source, metadata={"tags": list(tags)} if tags else {})


def injected(*cells: Any) -> list[str]:
    notebook = inject(book(*cells), {"a": 1}, language="python")
    nbformat.validate(notebook)
    return [c.source for c in notebook.cells]


# -- where -------------------------------------------------------------------------------------

NEW = "# Parameters\na = 1"


def test_they_follow_the_first_parameters_cell() -> None:
    assert injected(cell("x"), cell("p", "parameters"), cell("q", "parameters")) == [
        "x", "p", NEW, "q",
    ]  # fmt: skip


def test_they_come_first_when_there_is_no_parameters_cell() -> None:
    assert injected(cell("x")) == [NEW, "x"]
    assert injected() == [NEW]


def test_they_replace_those_injected_before() -> None:
    assert injected(cell("p", "parameters"), cell("x"), cell("old", "injected-parameters")) == [
        "p", "x", NEW,
    ]  # fmt: skip


def test_the_source_notebook_stays_as_it_was_and_the_cell_has_one_id() -> None:
    source = book(cell("x"))
    before = nbformat.writes(source)
    first, second = (inject(source, {"a": 1}, language="python") for _ in range(2))
    assert first == second
    assert first.cells[0]["id"] == "injected-parameters"
    assert first.cells[0].metadata == {"tags": ["injected-parameters"]}
    assert nbformat.writes(source) == before
    taken = inject(book(new_code_cell("x", id="injected-parameters")), {"a": 1}, language="python")
    nbformat.validate(taken)
    assert taken.cells[0]["id"] != "injected-parameters"


def test_without_parameters_nothing_changes() -> None:
    source = book(cell("x"))
    assert inject(source, {}, language="") is source


def test_the_values_are_recorded_as_json_has_them() -> None:
    source = book()
    source.metadata["nbbuild"] = {"other": 1}
    said = inject(source, {**VALUES, **MOMENTS}, language="python").metadata["nbbuild"]
    assert said["other"] == 1
    assert json.loads(json.dumps(said["parameters"], allow_nan=False)) == {
        **VALUES,
        "most": "inf",
        "day": "2024-02-29",
        "naive": "2024-02-29T12:30:01.500000",
        "zoned": "2024-02-29T12:00:00+02:00",
        "clock": "07:32:00.001500",
    }


# -- Python ------------------------------------------------------------------------------------


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(source, names)
    return {name: value for name, value in names.items() if name != "__builtins__"}


def test_python() -> None:
    assert assignments({"country": "UK", "day": MOMENTS["day"]}, language="python") == (
        "# Parameters\n"
        "import datetime as _datetime\n"
        "country = 'UK'\n"
        'day = _datetime.date.fromisoformat("2024-02-29")\n'
        "del _datetime"
    )
    assert run(assignments({**VALUES, **MOMENTS}, language="ipython3")) == {**VALUES, **MOMENTS}
    assert math.isnan(run(assignments({"a": math.nan}, language="python"))["a"])


_scalars = (
    st.text(st.characters())
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.just(UTC))
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def typed(value: Any) -> Any:
    """Return `value` so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), value


@given(st.dictionaries(st.sampled_from(["a", "b", "datetime", "über"]), _values, max_size=3))
def test_python_gets_each_value_back(parameters: dict[str, Any]) -> None:
    assert typed(run(assignments(parameters, language="python"))) == typed(parameters)


# -- the others --------------------------------------------------------------------------------


def test_r() -> None:
    assert assignments({**VALUES, **MOMENTS}, language="R").splitlines() == [
        "# Parameters",
        'country <- "UK"',
        "year <- 2024L",
        "big <- 4611686018427387904",
        "rate <- 0.5",
        "most <- Inf",
        "fast <- TRUE",
        "sizes <- list(1L, 2L)",
        'mixed <- list(1L, 2.5, "a", list(FALSE))',
        "empty <- list()",
        'table <- list("a b" = 1L, "in" = list("x" = list()))',
        r'''quoted <- "it's \"so\" $x `y` \\ \n\t\u0007 é 🎉"''',
        'day <- as.Date("2024-02-29")',
        'naive <- as.POSIXct("2024-02-29 12:30:01.500000", tz = "UTC")',
        'zoned <- as.POSIXct("2024-02-29 10:00:00", tz = "UTC")',
        'clock <- "07:32:00.001500"',
    ]


def test_julia() -> None:
    assert assignments({**VALUES, **MOMENTS, "low": -(2**63)}, language="julia").splitlines() == [
        "# Parameters",
        "import Dates",
        'country = "UK"',
        "year = 2024",
        "big = 4611686018427387904",
        "rate = 0.5",
        "most = Inf",
        "fast = true",
        "sizes = [1, 2]",
        'mixed = Any[1, 2.5, "a", [false]]',
        "empty = Any[]",
        'table = Dict{String, Any}("a b" => 1, "in" => Dict{String, Any}("x" => Any[]))',
        r'''quoted = "it's \"so\" \$x `y` \\ \n\t\u0007 é 🎉"''',
        "day = Dates.Date(2024, 2, 29)",
        "naive = Dates.DateTime(2024, 2, 29, 12, 30, 1, 500)",
        "zoned = Dates.DateTime(2024, 2, 29, 10, 0, 0, 0)",
        "clock = Dates.Time(7, 32, 0, 1, 500)",
        "low = typemin(Int64)",
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_javascript() -> None:
    values = {**VALUES, "__proto": {"__proto__": 1}}
    del values["big"], values["most"]  # neither has a JSON form there
    source = assignments(values, language="javascript", declared=False)
    assert source.startswith('// Parameters\nvar country = "UK";\n')
    shown = f"{source}\nconsole.log(JSON.stringify({{{', '.join(values)}}}))"
    assert json.loads(_output("node", "-e", shown)) == values
    more = assignments({"big": 2**62, "most": -math.inf, "day": MOMENTS["zoned"]}, language="js")
    shown = "let big, most, day;\n" + more + "\nconsole.log(`${big} ${most} ${day.toISOString()}`)"
    assert (
        _output("node", "-e", shown) == "4611686018427387904 -Infinity 2024-02-29T10:00:00.000Z\n"
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash() -> None:
    words = {"a": VALUES["quoted"], "b": ["x y", "$z", 3], "c": {"k l": True}, "d": MOMENTS["day"]}
    shown = 'printf "%s|" "$a" "${b[@]}" "${c[k l]}" "$d"'
    source = assignments(words, language="bash")
    assert _output("bash", "-c", f"{source}\n{shown}") == f"{words['a']}|x y|$z|3|true|2024-02-29|"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# -- what cannot be written --------------------------------------------------------------------


def error_of(parameters: dict[str, Any], language: str) -> str:
    with pytest.raises(NotebookError) as caught:
        assignments(parameters, language=language)
    return str(caught.value)


def test_another_language_is_refused() -> None:
    assert error_of({"a": 1}, "fortran") == (
        "parameters cannot be written in fortran\n"
        "  known: Python, R, Julia, JavaScript, bash\n\n"
        "hint: pass the values through environment variables, and name these in [[notebook]] env"
    )
    assert error_of({"a": 1}, "") == (
        "parameters cannot be written in an unknown language\n"
        "  known: Python, R, Julia, JavaScript, bash\n\n"
        "hint: name the language in the notebook's kernelspec"
    )


@pytest.mark.parametrize(
    ("name", "language", "called"),
    [
        ("class", "python", "Python"),
        ("a-b", "python", "Python"),
        ("a\nb", "python", "Python"),
        ("TRUE", "r", "R"),
        ("_x", "r", "R"),
        ("end", "julia", "Julia"),
        ("new", "javascript", "JavaScript"),
        ("a.b", "bash", "bash"),
        ("", "bash", "bash"),
    ],
)
def test_a_name_that_the_language_lacks(name: str, language: str, called: str) -> None:
    assert error_of({name: 1}, language) == (
        f"'{name}' cannot be the name of a parameter in {called}\n\n"
        "hint: rename it, in jcache.toml and in the notebook"
    )


@pytest.mark.parametrize(
    ("value", "language", "reason"),
    [
        ({1, 2}, "python", "it is a set"),
        ("a\0b", "r", "its strings cannot hold a NUL"),
        ({"": 1}, "r", "the names in its lists cannot be empty"),
        ([[1]], "bash", "its arrays cannot hold arrays"),
        ({"a": {}}, "bash", "its arrays cannot hold arrays"),
        ("a\0b", "bash", "its strings cannot hold a NUL"),
    ],
)
def test_a_value_that_the_language_lacks(value: Any, language: str, reason: str) -> None:
    said = error_of({"a": value}, language)
    assert f"  value: {value!r}\n  reason: {reason}" in said
