"""Data on stdout."""

import click
from click.testing import CliRunner

from nbbuild.cli.render import emit, json_option, say, table


def test_columns_are_aligned_without_trailing_spaces():
    rows = [("a.ipynb", "1.0 s", ""), ("long/b.ipynb", "12.0 s", "slow")]
    assert table(rows, header=("notebook", "took", "groups"), right=(1,)).splitlines() == [
        "NOTEBOOK        TOOK  GROUPS",
        "a.ipynb        1.0 s",
        "long/b.ipynb  12.0 s  slow",
    ]
    assert table(rows).splitlines()[0] == "a.ipynb       1.0 s"


def test_no_rows_are_nothing_at_all():
    assert table([], header=("notebook",)) == ""


def test_wide_and_combining_letters_take_the_columns_they_take():
    assert table([("日本", "x"), ("e\u0301", "x"), ("abcd", "x")]).splitlines() == [
        "日本  x",
        "e\u0301     x",
        "abcd  x",
    ]


def test_data_goes_to_stdout_and_words_to_stderr():
    @click.command()
    @json_option
    def verb(as_json):
        say("two notebooks")
        emit("a\nb" if not as_json else ["a", "b"], as_json=as_json)
        emit("")

    plain, as_json = (CliRunner().invoke(verb, args) for args in ([], ["--json"]))
    assert (plain.stdout, plain.stderr) == ("a\nb\n", "two notebooks\n")
    assert as_json.stdout == '[\n  "a",\n  "b"\n]\n'
