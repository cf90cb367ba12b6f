"""What a changed file means to a watched project, by its path."""

import pytest

from nbbuild.paths.patterns import Pattern
from nbbuild.verbs.watch.meanings import Meaning, Meanings, may_be_loaded

PROJECT = Meanings(
    named=frozenset({"jcache.toml", "nb/a.ipynb"}),
    closed=("_build/executed", "report.html"),
    used=frozenset({"lib/tools.py", "../shared/x.csv", "data/made.csv", ".env"}),
    used_patterns=(Pattern.parse("data/*.csv"), Pattern.parse("../more/*.csv")),
    made=frozenset({"data/made.csv", "_build/executed/nb/a.ipynb"}),
    made_patterns=(Pattern.parse("figures/*.png"),),
    folders=frozenset({"_build", "data"}),
)


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        ("jcache.toml", Meaning.NAMED),
        ("nb/a.ipynb", Meaning.NAMED),
        ("data/x.csv", Meaning.INPUT),
        ("lib/tools.py", Meaning.INPUT),
        (".env", Meaning.INPUT),
        ("../shared/x.csv", Meaning.INPUT),
        ("data/made.csv", Meaning.MADE),
        ("figures/a.png", Meaning.MADE),
        ("_build", Meaning.MADE),
        ("nb/new.ipynb", Meaning.OTHER),
        ("notes.txt", Meaning.OTHER),
        (".nbbuild/state.sqlite-wal", Meaning.NOTHING),
        ("_build/executed/nb/a.ipynb", Meaning.NOTHING),
        ("report.html", Meaning.NOTHING),
        (".git/index", Meaning.NOTHING),
        ("nb/.ipynb_checkpoints/a-checkpoint.ipynb", Meaning.NOTHING),
        (".venv/lib/site-packages/x.py", Meaning.NOTHING),
        ("nb/.a.ipynb.swp", Meaning.NOTHING),
        ("nb/4913", Meaning.NOTHING),
        ("nb/a.ipynb~", Meaning.NOTHING),
        ("nb/.#a.ipynb", Meaning.NOTHING),
        ("nb/#a.ipynb#", Meaning.NOTHING),
        ("nb/.~a.ipynb", Meaning.NOTHING),
        ("nb/a.ipynb___jb_tmp___", Meaning.NOTHING),
    ],
)
def test_a_path_means(path, meaning):
    assert PROJECT.of(path) is meaning


def test_the_folders_of_inputs_outside_are_known():
    assert PROJECT.outside() == {"../shared", "../more"}
    assert Meanings().outside() == set()


def test_what_a_kernel_may_load_as_it_starts_is_told_by_its_name():
    assert [may_be_loaded(path) for path in ("code.py", "x.so", "a.ipynb", "x.csv")] == [
        True,
        True,
        False,
        False,
    ]
