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
    assert wrapped("日本語", 3) == ["日", "本", "語"]
    assert wrapped("", 8) == [""]


def test_a_table_fits_the_room_there_is():
    rows = [
        ("run", "chapters/model.ipynb", "asset 'data/a.csv' changed; module 'lib' changed"),
        ("wait", "report.ipynb", "waits for 'chapters/model.ipynb'"),
    ]
    assert table(rows, room=80).splitlines() == [
        "run   chapters/model.ipynb  asset 'data/a.csv' changed; module 'lib' changed",
        "wait  report.ipynb          waits for 'chapters/model.ipynb'",
    ]
    assert table(rows, room=60).splitlines() == [
        "run   chapters/model.ipynb  asset 'data/a.csv' changed;",
        "                            module 'lib' changed",
        "wait  report.ipynb          waits for 'chapters/model.ipynb'",
    ]
    assert table(rows, room=40).splitlines() == [
        "run   …ers/model.ipynb  asset",
        "                        'data/a.csv'",
        "                        changed; module",
        "                        'lib' changed",
        "wait  report.ipynb      waits for",
        "                        'chapters/model.",
        "                        ipynb'",
    ]


def test_without_a_sentence_the_widest_column_gives_way():
    rows = [("a/very/long/way/to/model.ipynb", "executed", "1.0 s")]
    header = ("task", "last", "took")
    assert table(rows, header=header, right=(2,), room=30).splitlines() == [
        "TASK           LAST       TOOK",
        "…/model.ipynb  executed  1.0 s",
    ]
