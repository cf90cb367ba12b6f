"""Which tasks a jcache.toml makes of the notebooks that lie there, and which words mean them."""

from pathlib import Path

import pytest

from nbbuild.config import load as config
from nbbuild.disk.digests import digest_bytes
from nbbuild.errors import ConfigError, NotebookError, Problems, raise_all
from nbbuild.model import CodeCell, Parsed, Task
from nbbuild.paths.walk import Walker
from nbbuild.project import project
from nbbuild.project.selecting import Selector


class Digests:
    """Digests of files as they are."""

    def digest(self, path):
        path = Path(path)
        return digest_bytes(path.read_bytes()) if path.is_file() else None

    fresh = digest


@pytest.fixture
def load(tmp_path):
    """Load a project of empty files; `says` gives what some hold, and `pairs` who belongs together.

    What is parsed is remembered between loads, as it is by the real thing.
    """
    memo = {}

    def load(toml, files, *, says=None, pairs=()):
        tmp_path.joinpath("jcache.toml").write_text(toml)
        for path in files:
            tmp_path.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
            tmp_path.joinpath(path).write_text("")

        def parse(source):
            said = (says or {}).get(source)
            if isinstance(said, Exception):
                raise said
            paired = any(source in pair for pair in pairs)
            return said or Parsed(formats="ipynb,md" if paired else "")

        def pair(source, formats):
            if "frob" in formats:
                raise NotebookError("unknown formats")
            return tuple(path for one in pairs if source in one for path in one if path != source)

        return project.load(
            config.load(tmp_path / "jcache.toml"),
            walker=Walker(tmp_path, closed=[]),
            readings=project.Readings(
                tmp_path,
                digests=Digests(),
                recall=lambda kind, key: memo.get((kind, key)),
                remember=lambda kind, key, value: memo.__setitem__((kind, key), value),
                parse=parse,
            ),
            pair=pair,
        )

    return load


def tasks(loaded):
    return {task.name: task.paired for task in loaded.tasks}


PAIR = ("a.ipynb", "a.md")


# -- pairs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", ['"a.ipynb"', '"*.ipynb"', '"a.md"', '"*.ipynb", "a.md"'])
def test_the_text_of_a_pair_is_the_source_whichever_file_is_listed(load, listed):
    loaded = load(
        f'[project]\nnotebooks = [{listed}]\n[[notebook]]\npath = "a.ipynb"\ngroups = ["one"]\n'
        '[[notebook]]\npath = "a.md"\ngroups = ["two"]\n',
        PAIR,
        pairs=[PAIR],
    )
    assert tasks(loaded) == {"a.md": ("a.ipynb",)}
    assert loaded.tasks[0].groups == ("one", "two")
    for word in (*PAIR, "*.ipynb", "*.md", "one"):
        assert Selector(loaded.tasks).select(word) == ("a.md",)


def test_of_several_texts_the_listed_one_is_the_source(load):
    three = ("a.ipynb", "a.md", "a.py")
    for listed, source in (("a.py", "a.py"), ("a.ipynb", "a.md")):
        loaded = load(f'[project]\nnotebooks = ["{listed}"]', three, pairs=[three])
        assert tasks(loaded) == {source: tuple(path for path in three if path != source)}


def test_a_text_outside_the_root_is_no_source(load):
    pair = ("a.ipynb", "../a.md")
    loaded = load('[project]\nnotebooks = ["a.ipynb"]', ["a.ipynb"], pairs=[pair])
    assert tasks(loaded) == {"a.ipynb": ("../a.md",)}


@pytest.mark.parametrize(
    ("listed", "excluded", "made"),
    [
        ('"*.ipynb"', "a.md", {"b.ipynb": ()}),
        ('"*.ipynb"', "a.ipynb", {"b.ipynb": ()}),
        # The text is listed in its own right: only its copy is no notebook of this project.
        ('"b.ipynb", "a.md"', "a.ipynb", {"b.ipynb": (), "a.md": ("a.ipynb",)}),
    ],
)
def test_a_pair_is_left_out_when_its_text_is_excluded(load, listed, excluded, made):
    toml = f'[project]\nnotebooks = [{listed}]\nexclude = ["{excluded}"]'
    assert tasks(load(toml, [*PAIR, "b.ipynb"], pairs=[PAIR])) == made


def test_formats_that_jupytext_does_not_know_stop_only_their_notebook(load):
    loaded = load(
        '[project]\nnotebooks = ["*.ipynb"]',
        ["a.ipynb", "b.ipynb"],
        says={"a.ipynb": Parsed(formats="ipynb,frob"), "b.ipynb": Parsed()},
    )
    assert tasks(loaded) == {"a.ipynb": (), "b.ipynb": ()}
    assert {path: error.what for path, error in loaded.unreadable.items()} == {
        "a.ipynb": "unknown formats"
    }


# -- what cannot be read -----------------------------------------------------------------------


def test_a_loaded_file_that_goes_makes_its_notebook_unreadable_though_it_is_remembered(
    load, tmp_path
):
    toml, files = '[project]\nnotebooks = ["*.ipynb", "n.md"]', ["n.md", "z.ipynb"]
    says = {"n.md": Parsed(cells=(CodeCell(0, "1", load="code.py"),))}
    tmp_path.joinpath("code.py").write_text("1")
    assert load(toml, files, says=says).unreadable == {}

    tmp_path.joinpath("code.py").unlink()
    loaded = load(toml, files, says={"n.md": AssertionError("it is not read again")})
    assert tasks(loaded) == {"z.ipynb": (), "n.md": ()}
    (error,) = loaded.unreadable.values()
    assert list(loaded.unreadable) == ["n.md"]
    assert error.what == "'code.py', which a cell of 'n.md' loads, does not exist"


# -- what cannot be right ----------------------------------------------------------------------


@pytest.mark.parametrize("toml", ["", "[project]\nnotebooks = []", "[execution]\njobs = 2"])
def test_a_file_that_lists_no_notebooks_says_so(load, tmp_path, toml):
    with pytest.raises(ConfigError) as caught:
        load(toml, ["a.ipynb"])
    assert str(caught.value).replace(str(tmp_path), "ROOT") == (
        "'jcache.toml' lists no notebooks\n"
        "  in: ROOT/jcache.toml\n"
        "\n"
        "hint: name them in [project] notebooks; `nbbuild init --force` writes a file that does, "
        "and keeps a copy of this one"
    )


def test_a_project_whose_only_pair_is_excluded_says_so(load):
    with pytest.raises(ConfigError) as caught:
        load('[project]\nnotebooks = ["a.ipynb"]\nexclude = ["a.md"]', PAIR, pairs=[PAIR])
    assert caught.value.what == "[project] exclude leaves no notebook"


def test_problems_of_several_tasks_are_told_flat_and_each_once():
    one, two, three = (ConfigError(text) for text in ("one", "two", "three"))
    with pytest.raises(Problems) as caught:
        raise_all([Problems([one, two]), ConfigError("two"), Problems([one, three])])
    assert [error.what for error in caught.value.errors] == ["one", "two", "three"]
    with pytest.raises(ConfigError, match=r"^one$"):
        raise_all([one, Problems([ConfigError("one")])])


# -- words -------------------------------------------------------------------------------------


def task(name, **more):
    return Task(name=name, source=name, built=f"_build/{name}", **more)


def test_a_glob_that_means_notebooks_means_no_artefacts():
    some = [task("a.ipynb", artefacts=("out/**",)), task("b.ipynb")]
    assert Selector(some).select("**/b*") == ("b.ipynb",)
    assert Selector(some).select("**/c*") == ("a.ipynb",)


def test_a_glob_of_artefacts_means_those_who_can_make_one():
    some = [
        task("a.ipynb", artefacts=("data/*.txt",)),
        task("b.ipynb", artefacts=("data/b.csv",)),
        task("c.ipynb", artefacts=("figs",)),
        task("d.ipynb"),
    ]
    for word, names in {
        "data/*.txt": ["a"],
        "data/x*": ["a"],
        "data/*": ["a", "b"],
        "data/x.txt": ["a"],
        "*/b.*": ["a", "b"],
        "figs/**/*.png": ["c"],
        "figs/x/y.png": ["c"],
        "*.txt": [],
        "*.ipynb": ["a", "b", "c", "d"],
        # A slip is no target, though the artefact `figs` may be a folder that holds such a file.
        "**/z.ipynb": [],
    }.items():
        found = Selector(some).select(word)
        assert (word, found) == (word, tuple(f"{name}.ipynb" for name in names))


# -- what was read -----------------------------------------------------------------------------


def test_what_is_read_while_a_notebook_changes_is_not_remembered_as_what_it_said_before(tmp_path):
    notebook, memo, reads = tmp_path / "a.ipynb", {}, []

    def parse(source):
        reads.append(notebook.read_text())
        if reads == ["old"]:  # an editor saves it, after its digest was taken
            notebook.write_text("new")
        return Parsed(cells=(CodeCell(0, notebook.read_text(), ()),))

    def readings():
        return project.Readings(
            tmp_path,
            digests=Digests(),
            recall=lambda kind, key: memo.get((kind, key)),
            remember=lambda kind, key, value: memo.__setitem__((kind, key), value),
            parse=parse,
        )

    def said():
        return readings().parsed("a.ipynb").cells[0].source

    notebook.write_text("old")
    assert (said(), reads) == ("new", ["old", "new"])
    notebook.write_text("old")
    reads.append("once more")
    assert said() == "old"
    notebook.write_text("new")
    assert (said(), len(reads)) == ("new", 4)  # that one was remembered
