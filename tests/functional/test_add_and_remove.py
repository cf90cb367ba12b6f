"""`nbbuild add` and `remove`: jcache.toml is edited as a careful person would do it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from notebook_sources import ipynb
from reader_package import install

from nbbuild.verbs import edit

CONFIG = """\
# Our chapters.
[project]
notebooks = [
  "a.ipynb",   # the first
  "chapters/*.ipynb",
]   # more to come

[execution]
timeout = 60   # seconds

# What a reads.
[[notebook]]
path = "a.ipynb"
assets = ["one.csv"]   # once a day
"""


@pytest.fixture
def book(project):
    """A project with three notebooks, and files that they could read."""
    project.write("jcache.toml", CONFIG)
    for path in ("a.ipynb", "chapters/b.ipynb", "chapters/c.ipynb"):
        project.notebook(path)
    for path in ("one.csv", "two.csv", "tools.py"):
        project.write(path, "")
    return project


def done(project, *words):
    """Run the command, which has to go well, and return what it says."""
    done = project.nbbuild(*words)
    assert (done.status, done.out) == (0, ""), done.err
    return done.err


def refused(project, *words):
    """Run the command, which has to fail and to write nothing, and return what it says."""
    before = project.files()
    done = project.nbbuild(*words)
    assert (done.status, done.out) == (2, "")
    assert project.files() == before
    return done.err


# -- add ---------------------------------------------------------------------------------------


def test_a_notebook_is_listed_at_the_end_and_everything_else_stays_as_it_was(book):
    book.notebook("new.ipynb")
    assert done(book, "add", "new.ipynb") == "new.ipynb: listed in [project] notebooks\n"
    assert book.read("jcache.toml") == CONFIG.replace(
        '  "chapters/*.ipynb",\n', '  "chapters/*.ipynb",\n  "new.ipynb",\n'
    )
    assert done(book, "add", "new.ipynb") == "new.ipynb: nothing to change\n"
    assert set(book.verdicts()) == {
        *("a.ipynb", "chapters/b.ipynb", "chapters/c.ipynb"),
        "new.ipynb",
    }


def test_what_it_depends_on_goes_to_its_own_entry_and_again_only_what_is_new(book):
    words = ("--asset", "one.csv", "--asset", "two.csv", "--module", "tools.py")
    assert done(book, "add", "a.ipynb", *words, "--module", "lib.more", "--artefact", "out/*") == (
        "a.ipynb: assets: two.csv; modules: tools.py, lib.more; artefacts: out/*\n"
    )
    changed = CONFIG.replace(
        'assets = ["one.csv"]   # once a day\n',
        'assets = ["one.csv", "two.csv"]   # once a day\n'
        'modules = ["tools.py", "lib.more"]\nartefacts = ["out/*"]\n',
    )
    assert book.read("jcache.toml") == changed
    assert done(book, "add", "a.ipynb", *words) == "a.ipynb: nothing to change\n"

    # A pattern lists this one already, so only an entry is needed.
    assert done(book, "add", "chapters/b.ipynb", "--asset", "one.csv") == (
        "chapters/b.ipynb: assets: one.csv\n"
        "note: 'chapters/b.ipynb' was already listed, by 'chapters/*.ipynb'\n"
    )
    assert book.read("jcache.toml") == (
        changed + '\n[[notebook]]\npath = "chapters/b.ipynb"\nassets = ["one.csv"]\n'
    )


def test_paths_are_those_of_the_folder_one_works_in(book, monkeypatch):
    book.notebook("notes/d.ipynb")
    book.write("notes/x{1}.csv", "")
    monkeypatch.chdir(book.root / "notes")
    assert done(book, "-f", "../jcache.toml", "add", "d.ipynb", "--asset", "x{1}.csv") == (
        "notes/d.ipynb: listed in [project] notebooks; assets: notes/x{{1}}.csv\n"
    )
    monkeypatch.chdir(book.root.parent)
    said = done(book, "-C", "project", "add", "notes/d.ipynb", "--asset", "../other.csv")
    assert said == (
        "notes/d.ipynb: assets: ../other.csv\n"
        "note: no file matches the asset '../other.csv' so far\n"
    )


def test_a_pattern_or_a_folder_can_be_added_and_a_file_with_wildcards_in_its_name(book):
    book.notebook("talks/x[1].ipynb")
    assert done(book, "add", "talks/x[1].ipynb") == (
        "talks/x[[]1].ipynb: listed in [project] notebooks\n"
    )
    book.notebook("more/e.ipynb")
    assert done(book, "add", "more/*.ipynb") == "more/*.ipynb: listed in [project] notebooks\n"
    assert {"talks/x[1].ipynb", "more/e.ipynb"} <= set(book.verdicts())
    assert refused(book, "add", "none/*.ipynb") == (
        "error: no file matches 'none/*.ipynb'\n"
        "  declared in: jcache.toml, [project] notebooks\n\n"
        "hint: paths are relative to the folder of jcache.toml\n"
    )


def test_where_there_is_no_jcache_toml_here_or_above_one_is_written(project, monkeypatch):
    project.notebook("a.ipynb")
    assert done(project, "add", "a.ipynb") == (
        "wrote 'jcache.toml'\na.ipynb: listed in [project] notebooks\n"
    )
    assert project.read("jcache.toml") == (
        "# What nbbuild builds; `nbbuild init -n` shows what else can go here.\n\n"
        '[project]\nnotebooks = ["a.ipynb"]\n'
    )
    assert project.build() == ["a"]

    project.notebook("sub/b.ipynb")
    monkeypatch.chdir(project.root / "sub")
    assert done(project, "add", "b.ipynb", "--asset", "data.csv") == (
        "sub/b.ipynb: listed in [project] notebooks; assets: sub/data.csv\n"
        "note: no file matches the asset 'sub/data.csv' so far\n"
    )
    assert not project.exists("sub/jcache.toml")
    assert refused(project, "remove", "bb.ipynb") == (
        "error: there is no notebook 'bb.ipynb' in jcache.toml\n\nhint: did you mean 'b.ipynb'?\n"
    )
    assert done(project, "remove", "b.ipynb") == (
        "sub/b.ipynb: taken out of [project] notebooks; its [[notebook]] was removed\n"
    )
    assert done(project, "add", "-f", "jcache.toml", "b.ipynb").startswith("wrote 'jcache.toml'\n")
    assert project.exists("sub/jcache.toml")


def test_what_is_no_notebook_is_not_added(book):
    book.write("README.md", "# Read me\n\n```bash\nrm -r everything\n```\n")
    book.write("bad.ipynb", "{")
    book.write("a.txt", "")
    assert refused(book, "add", "README.md") == (
        "error: 'README.md' does not say that it is a notebook\n"
        "  would be executed: 1 block of code\n\n"
        "hint: a text notebook has a header with 'kernelspec' or 'jupytext', or a {code-cell}; "
        "`--reader jupytext` takes this one as it is\n"
    )
    assert refused(book, "add", "bad.ipynb").startswith("error: 'bad.ipynb' is not valid JSON\n")
    assert refused(book, "add", "a.txt").startswith("error: no reader can read 'a.txt'\n")
    assert refused(book, "add", "chapters/cc.ipynb") == (
        "error: there is no notebook 'chapters/cc.ipynb'\n"
        f"  looked for: {book.root}/chapters/cc.ipynb\n\n"
        "hint: did you mean 'chapters/c.ipynb'?\n"
    )
    (book.root.parent / "far.ipynb").write_text(ipynb(["1"]))
    assert refused(book, "add", "../far.ipynb") == (
        "error: the notebook '../far.ipynb' lies outside the project\n"
        f"  project: {book.root}\n\n"
        "hint: move jcache.toml to a folder that holds all notebooks\n"
    )


def test_a_wrong_value_is_the_error_that_it_would_be_in_the_file(book):
    assert refused(book, "add", "a.ipynb", "--artefact", "../out.csv") == (
        'error: artefact "../out.csv" lies outside the root\n'
        '  in: jcache.toml, [[notebook]] 1 (path = "a.ipynb")\n\n'
        "hint: artefacts lie below the folder of jcache.toml; write their paths relative to it\n"
    )
    assert refused(book, "add", "a.ipynb", "--module", "no-name").startswith(
        'error: module "no-name" cannot be imported under that name\n'
    )
    # Two notebooks that would be built to one file.
    book.text("chapters/b.py", "# ---\n# kernelspec: {name: python3}\n# ---\n# %%\n1\n")
    assert refused(book, "add", "chapters/b.py").startswith(
        "error: 'chapters/b.ipynb' and 'chapters/b.py' would both write "
        "'_build/executed/chapters/b.ipynb'\n"
    )


def test_a_reader_is_chosen_by_add_and_changed_by_adding_again(book, tmp_path, monkeypatch):
    text = (
        "import nbformat.v4 as v4\n"
        "def read(data, path): return v4.new_notebook(cells=[v4.new_code_cell(data.decode())])\n"
    )
    groups = {"nbbuild.readers": {"whole": "whole_reader:read"}}
    install(monkeypatch, tmp_path / "site", "whole_reader", text, groups)
    book.write("t.txt", "print('whole')")
    assert done(book, "add", "t.txt", "--reader", "whole") == (
        "t.txt: read by 'whole'; listed in [project] notebooks\n"
    )
    assert 'readers = {"t.txt" = "whole"}\n' in book.read("jcache.toml")
    assert book.verdicts("t.txt") == {"t.txt": "run"}

    assert refused(book, "add", "t.txt", "--reader", "hole").endswith("did you mean 'whole'?\n")
    book.write("t.txt", ipynb(["1"]))
    assert done(book, "add", "t.txt", "-r", "nbformat") == "t.txt: read by 'nbformat'\n"
    assert done(book, "remove", "t.txt") == "t.txt: taken out of [project] notebooks\n"
    assert "readers = {}\n" in book.read("jcache.toml")


def test_both_verbs_say_as_json_what_they_changed(book):
    book.notebook("new.ipynb")
    assert book.nbbuild("add", "new.ipynb", "--json").data == {
        "file": "jcache.toml",
        "created": False,
        "changed": True,
        "copy": None,
        "notebooks": [{"notebook": "new.ipynb", "changes": ["listed in [project] notebooks"]}],
        "notes": [],
    }
    data = book.nbbuild("remove", "new.ipynb", "--json").data
    assert data["notebooks"] == [
        {"notebook": "new.ipynb", "changes": ["taken out of [project] notebooks"]}
    ]


# -- remove ------------------------------------------------------------------------------------


def test_a_notebook_goes_with_its_entry_and_its_comment_and_the_rest_stays(book):
    assert done(book, "remove", "a.ipynb") == (
        "a.ipynb: taken out of [project] notebooks; its [[notebook]] was removed\n"
    )
    assert book.read("jcache.toml") == (
        '# Our chapters.\n[project]\nnotebooks = [\n  "chapters/*.ipynb",\n]   # more to come\n\n'
        "[execution]\ntimeout = 60   # seconds\n\n"
    )
    assert book.exists("a.ipynb")


def test_what_a_pattern_matches_is_excluded_and_adding_it_takes_that_back(book):
    assert done(book, "remove", "chapters/b.ipynb") == (
        "chapters/b.ipynb: added to [project] exclude, since 'chapters/*.ipynb' matches it\n"
    )
    assert set(book.verdicts()) == {"a.ipynb", "chapters/c.ipynb"}
    assert done(book, "add", "chapters/b.ipynb") == (
        "chapters/b.ipynb: taken out of [project] exclude\n"
        "note: 'chapters/b.ipynb' was already listed, by 'chapters/*.ipynb'\n"
    )
    assert done(book, "remove", "chapters/b.ipynb", "chapters/c.ipynb") == (
        "chapters/b.ipynb: nothing to change\n"
        "chapters/c.ipynb: nothing to change\n"
        "note: 'chapters/*.ipynb' matched nothing else, so it was removed too\n"
    )
    assert set(book.verdicts()) == {"a.ipynb"}


def test_a_notebook_whose_file_is_gone_and_a_pattern_can_be_removed(book):
    os.remove("a.ipynb")
    assert book.nbbuild("status").status == 2
    assert done(book, "remove", "a.ipynb", "chapters/*.ipynb") == (
        "a.ipynb: taken out of [project] notebooks; its [[notebook]] was removed\n"
        "chapters/*.ipynb: taken out of [project] notebooks\n"
    )
    assert "notebooks = [\n]   # more to come\n" in book.read("jcache.toml")


def test_what_is_not_there_and_what_others_need_cannot_be_removed(book):
    assert refused(book, "remove", "chapters/cc.ipynb") == (
        "error: there is no notebook 'chapters/cc.ipynb' in jcache.toml\n\n"
        "hint: did you mean 'chapters/c.ipynb'?\n"
    )
    book.write(
        "jcache.toml",
        f'{CONFIG}\n[[notebook]]\npath = "chapters/c.ipynb"\ndepends_on = ["a.ipynb"]\n',
    )
    assert refused(book, "remove", "a.ipynb") == (
        "error: 'chapters/c.ipynb' depends on 'a.ipynb'\n"
        "  declared in: jcache.toml, [[notebook]] 2, depends_on\n\n"
        "hint: remove it there first\n"
    )


def test_all_can_be_removed_and_a_copy_is_kept(book):
    assert done(book, "remove", "--all") == (
        "kept the old one as 'jcache.toml.bak'\n"
        "a.ipynb: taken out of [project] notebooks; its [[notebook]] was removed\n"
        "chapters/*.ipynb: taken out of [project] notebooks\n"
    )
    assert book.read("jcache.toml.bak") == CONFIG
    assert book.read("jcache.toml").endswith("[execution]\ntimeout = 60   # seconds\n\n")
    assert refused(book, "remove").startswith("error: name the NOTEBOOKs to remove, or use --all\n")


def test_of_a_pair_the_other_file_is_named(project):
    project.config('[project]\nnotebooks = ["a.ipynb", "a.py"]\n')
    project.notebook("a.ipynb", metadata={"jupytext": {"formats": "ipynb,py:percent"}})
    header = "# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n"
    project.text("a.py", f"{header}# %%\n1\n")
    assert done(project, "remove", "a.ipynb") == (
        "a.ipynb: taken out of [project] notebooks\n"
        "note: 'a.ipynb' is still built: it is paired with 'a.py'\n"
    )


def test_edits_at_the_same_time_lose_nothing(project):
    """Two commands, held where both have read the file and neither has written it."""
    project.config('[project]\nnotebooks = ["a.ipynb"]\n')
    names = [f"{name}.ipynb" for name in "abcde"]
    for name in names:
        project.notebook(name)
    barrier = threading.Barrier(len(names), timeout=60)

    def one(name):
        barrier.wait()
        declared = edit.Declared()
        return edit.add(Path("jcache.toml"), [name], declared, folder=Path(), environ=os.environ)

    with ThreadPoolExecutor(len(names)) as pool:
        assert all(edited.file.name == "jcache.toml" for edited in pool.map(one, names))
    assert set(project.verdicts()) == {*names}
