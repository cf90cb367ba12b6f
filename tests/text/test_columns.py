"""Text fitted into the columns of a terminal."""

import pytest

from nbbuild.text.columns import table, width, without_end, without_start, wrapped


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("日本", 4), ("e\u0301", 1), ("😀.ipynb", 8), ("สัก", 2), ("…", 1)],
)
def test_letters_take_the_columns_that_terminals_give_them(text, columns):
    assert width(text) == columns


def test_names_keep_their_ends_and_sentences_their_beginnings():
    assert without_start("chapters/model.ipynb", 20) == "chapters/model.ipynb"
    assert without_start("chapters/model.ipynb", 12) == "…model.ipynb"
    assert without_start("日本日本", 6) == "…日本"
    assert without_end("waits for memory", 16) == "waits for memory"
    assert without_end("waits for memory", 11) == "waits for…"
    assert without_end("日本日本", 6) == "日本…"


def test_lines_break_between_words_and_inside_those_that_are_too_long():
    assert wrapped("asset 'data/a.csv' changed", 12) == ["asset", "'data/a.csv'", "changed"]
    assert wrapped("data/measurements.csv", 8) == ["data/mea", "surement", "s.csv"]
    assert wrapped("日本語", 1) == ["日", "本", "語"]
    assert wrapped("", 8) == [""]


ROWS = [
    ("run", "chapters/model.ipynb", "asset 'data/a.csv' changed; module 'lib' changed"),
    ("wait", "report.ipynb", "waits for 'chapters/model.ipynb'"),
]


@pytest.mark.parametrize("room", [None, 76])
def test_a_table_that_fits_stays_as_it_is(room):
    assert table(ROWS, room=room).splitlines() == [
        "run   chapters/model.ipynb  asset 'data/a.csv' changed; module 'lib' changed",
        "wait  report.ipynb          waits for 'chapters/model.ipynb'",
    ]


def test_the_last_column_is_wrapped():
    assert table(ROWS, room=60).splitlines() == [
        "run   chapters/model.ipynb  asset 'data/a.csv' changed;",
        "                            module 'lib' changed",
        "wait  report.ipynb          waits for 'chapters/model.ipynb'",
    ]


def test_or_it_has_lines_of_its_own():
    assert table(ROWS, room=40).splitlines() == [
        "run   chapters/model.ipynb",
        "    asset 'data/a.csv' changed; module",
        "    'lib' changed",
        "wait  report.ipynb",
        "    waits for 'chapters/model.ipynb'",
    ]


def test_columns_stay_aligned_and_whole_on_further_lines():
    rows = [("model.ipynb", "executed", "1.0 s", "9 files"), ("a.md", "", "12.0 s", "")]
    header = ("task", "last", "took", "used")
    assert table(rows, header=header, right=(2,), room=24).splitlines() == [
        "TASK         LAST",
        "      TOOK  USED",
        "model.ipynb  executed",
        "     1.0 s  9 files",
        "a.md",
        "    12.0 s",
    ]
    assert table([("a/long/way.ipynb", "", "")], room=12).splitlines() == [
        "a/long/w",
        "ay.ipynb",
    ], "a name longer than the terminal is the only one that is broken"
