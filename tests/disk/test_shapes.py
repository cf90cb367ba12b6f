"""What is read from outside: every type is met at import, and whatever text there is comes back."""

import ast
from pathlib import Path

import msgspec
import pytest

import nbbuild
from nbbuild.disk.shapes import Misshapen, Shape, as_json, is_unicode, packed

PACKAGE = Path(nbbuild.__file__).parent
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
TYPED = {"decode", "convert", "Decoder", "Encoder"}
"""What of msgspec meets the type that it is given."""


class Page(msgspec.Struct, frozen=True):
    name: str
    words: tuple[str, ...] = ()


PAGE: Shape[Page] = Shape(Page)


def _calls(tree: ast.AST, *, inside: bool = False) -> list[tuple[ast.Call, bool]]:
    """Return the calls in `tree`, each with whether it stands in a function."""
    found = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Call):
            found.append((child, inside))
        in_function = inside or isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        found += _calls(child, inside=in_function)
    return found


def _is_typed(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr in TYPED and ast.unparse(call.func).startswith("msgspec.")
    return False


def _faults(source: str, name: str) -> list[str]:
    tree = ast.parse(source)
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "msgspec":
            taken = {alias.name for alias in node.names} & {*TYPED, "json", "msgpack"}
            faults += [f"{name}:{node.lineno}: takes {one} out of msgspec" for one in sorted(taken)]
    for call, inside in _calls(tree):
        if name != "disk/shapes.py" and _is_typed(call):
            faults.append(f"{name}:{call.lineno}: {ast.unparse(call.func)}")
        if inside and isinstance(call.func, ast.Name) and call.func.id == "Shape":
            faults.append(f"{name}:{call.lineno}: a Shape that is made at a call")
    return faults


def test_no_type_is_given_to_msgspec_at_the_moment_of_a_call():
    """Two threads that met a type for the first time at once have crashed whole builds."""
    faults = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        faults += _faults(file.read_text(encoding="utf-8"), name)
    assert faults == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "def f(d): return msgspec.json.decode(d, type=int)",
            "msgspec.json.decode",
        ),
        ("D = msgspec.msgpack.Decoder(int)", "msgspec.msgpack.Decoder"),
        ("def f(d): return msgspec.convert(d, int)", "msgspec.convert"),
        ("from msgspec import convert", "takes convert out of msgspec"),
        ("def f(d): return Shape(int).unpack(d)", "a Shape that is made at a call"),
    ],
)
def test_the_search_finds_what_is_not_allowed(source, fault):
    assert [one.partition(": ")[2] for one in _faults(source, "x.py")] == [fault]


@pytest.mark.parametrize("name", ["plain", "caf\udce9", "half \ud83d", "nul \0", 'quote " \\u0041'])
def test_any_text_comes_back(name):
    page = Page(name, ("a", name))
    assert PAGE.unpack(packed(page)) == page
    assert PAGE.from_json(as_json(page)) == page
    assert is_unicode(name) == (name.isprintable() or "\0" in name)


def test_text_that_msgspec_takes_is_encoded_as_before():
    """Keys of earlier versions stay what they are."""
    assert packed(("a", "b")) == msgspec.msgpack.encode(("a", "b"))
    assert packed(("a", "\udce9")) != packed(("a", "\\udce9"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x80",
        b"[1]",
        b'{"name": 1}',
        b'{"name": "\\ud800", "words": 1}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\xed\xa0\x80\\u0041"}',
        b'{"name": "a", "more": ' + b"[" * 100_000,
        b'{"name": "\\ud800", "more": ' + b"[" * 100_000,
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_one_kind_of_error(data):
    with pytest.raises(Misshapen):
        PAGE.from_json(data)
    with pytest.raises(Misshapen):
        PAGE.unpack(data)
