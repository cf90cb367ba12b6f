"""What is printed steers no terminal and hides nothing."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbbuild
from nbbuild.text.printable import clean, clean_but_colours, clean_json, in_one_line, printed

LINES = {
    "a\x1b]0;title\x07b": r"a\x1b]0;title\x07b",  # the title of the window
    "\x9b31mred\x7f": r"\u009b31mred\u007f",  # 8-bit controls
    "name\u202efdp.exe\u202c": r"name\u202efdp.exe\u202c",
    "\u2066x\u2069\u061c": r"\u2066x\u2069\u061c",
    "no\u200bthing\ufeff": r"no\u200bthing\ufeff",
    "tag\U000e0041": r"tag\U000e0041",
    "over\rwritten\x08": r"over\x0dwritten\x08",
    "\ud800": r"\ud800",  # half of a pair
    "\udcc2\udc9b31m": r"\u009b31m",  # two bytes that a terminal reads as one control
}


@pytest.mark.parametrize(("text", "shown"), LINES.items(), ids=map(ascii, LINES))
def test_what_steers_or_hides_is_written_out(text, shown):
    assert clean(text) == shown


def test_what_people_write_stays():
    text = "two\tlines\n  日本 é e\u0301 ½\xa0µs → 🚀 [1] \\x1b \udcff"
    assert clean(text) == text
    assert clean("ends\r\n") == "ends\n"
    assert in_one_line("a\n\tb") == r"a\n\tb"


def test_colours_can_stay_and_end_with_the_text():
    assert clean_but_colours("\x1b[1;31mred\x1b[2J\x07") == "\x1b[1;31mred\\x1b[2J\\x07\x1b[0m"
    assert clean_but_colours("plain\x1b") == r"plain\x1b"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_says_the_same_with_nothing_hidden(text):
    written = clean_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(written) == [text]
    assert clean(written) == written


@given(st.text(st.characters()))
def test_what_is_clean_stays_as_it_is(text):
    assert clean(clean(text)) == clean(text)


def test_text_leaves_the_program_at_few_places():
    """Each goes through `clean` or `printed`; the others write bytes that are data."""
    package = Path(nbbuild.__file__).parent
    writes = re.compile(
        r"\bclick\.(?:echo|secho|confirm|prompt|pause)\(|\bprint\(|\.stdout\.(?:write|buffer)"
    )
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if writes.search(path.read_text())
    }
    text = {"cli/render.py", "cli/_errors.py", "report/terminal.py", "quick/uptodate.py"}
    text.add("verbs/watch/board.py")
    # Asks another Python; an example; a word of ours.
    other = {"interpreter/environment.py", "__init__.py", "__main__.py"}
    data = {"cli/cache/cat.py", "cli/merge.py"}
    data |= {"cli/_completing.py", "cli/completion.py"}  # for a shell to read
    assert found == text | other | data
    for path in text:
        assert re.search(r"\b(?:clean|printed)\(", (package / path).read_text())


def test_a_runner_finds_no_command(monkeypatch):
    text = "a\n::error::b\n  ::c\n##[d]\x1b"
    assert printed(text) == "a\n::error::b\n  ::c\n##[d]\\x1b"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert printed(text) == "a\n: :error::b\n  : :c\n## [d]\\x1b"
