"""What notebooks write: made new by each run, put back from the store, and never lost."""

import os
import re
import shutil
import stat

PLOTS = """
[[notebook]]
path = "plots.ipynb"
artefacts = ["out/table.csv", "figs/*.png", "site"]
parameters = {{ number = {number} }}
"""


def parameter(source):
    return {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "source": source,
        "execution_count": None,
        "outputs": [],
    }


def write_text(path, text):
    return f"import pathlib\n_ = pathlib.Path({path!r}).write_text({text!r})"


def write_plots(project, number):
    """Write a project whose notebook makes a file, `number` files of a glob, and a folder."""
    project.config(PLOTS.format(number=number))
    project.notebook(
        "plots.ipynb",
        parameter("number = 0"),
        "from pathlib import Path",
        "for folder in ('out', 'figs', 'site/css'):\n"
        "    Path(folder).mkdir(parents=True, exist_ok=True)",
        "_ = Path('out/table.csv').write_text(f'rows,{number}')",
        "for n in range(number):\n"
        "    _ = Path(f'figs/{n}.png').write_text(f'plot {n} of {number}')",
        "_ = Path('site/index.html').write_text('<p>')\n"
        "_ = Path('site/css/main.css').write_text('p {}')",
    )


def kinds(done):
    """Return what became of each task."""
    return {one["task"]: one["kind"] for one in done.data["outcomes"]}


def replaced(project):
    """Return what was put aside, by path without the folder of the moment."""
    folder = project.root / ".nbbuild/replaced"
    return {
        "/".join(path.relative_to(folder).parts[1:]).removesuffix(".replaced"): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def below(project, folder):
    found = (project.root / folder).rglob("*")
    files = [path for path in found if path.is_file() and path.name != ".gitignore"]
    return sorted(path.relative_to(project.root).as_posix() for path in files)


# -- files, globs and folders ------------------------------------------------------------------


def test_a_glob_that_shrinks_leaves_nothing_behind_and_grows_again_from_the_store(project):
    write_plots(project, 3)
    assert project.build() == ["plots"]
    assert below(project, "figs") == ["figs/0.png", "figs/1.png", "figs/2.png"]
    assert below(project, "site") == ["site/css/main.css", "site/index.html"]

    write_plots(project, 1)
    assert project.build() == ["plots"]
    assert below(project, "figs") == ["figs/0.png"]
    assert project.read("figs/0.png") == "plot 0 of 1"
    assert not project.exists(".nbbuild/replaced")

    # Both results are kept, so going back and forth runs nothing.
    write_plots(project, 3)
    done = project.nbbuild("--json")
    assert (done.ran, kinds(done)) == ([], {"plots.ipynb": "restored"})
    assert below(project, "figs") == ["figs/0.png", "figs/1.png", "figs/2.png"]
    assert project.read("figs/2.png") == "plot 2 of 3"
    assert project.read("out/table.csv") == "rows,3"
    write_plots(project, 1)
    assert project.build() == []
    assert below(project, "figs") == ["figs/0.png"]


def test_what_is_missing_or_altered_comes_back_and_a_hand_edit_is_kept(project):
    write_plots(project, 2)
    assert project.build() == ["plots"]
    good = project.files()
    built = project.read("_build/executed/plots.ipynb")

    (project.root / "out/table.csv").unlink()
    shutil.rmtree(project.root / "site")
    (project.root / "_build/executed/plots.ipynb").unlink()
    assert project.verdicts() == {"plots.ipynb": "refresh"}
    done = project.nbbuild("--json")
    assert (done.ran, kinds(done)) == ([], {"plots.ipynb": "restored"})
    assert project.files() == good
    assert project.read("_build/executed/plots.ipynb") == built
    assert not project.exists(".nbbuild/replaced")

    project.write("figs/0.png", "edited by hand")
    project.write("_build/executed/plots.ipynb", "edited, too")
    done = project.nbbuild()
    assert (done.status, done.ran) == (0, [])
    assert project.files() == good
    assert replaced(project) == {
        "_build/executed/plots.ipynb": "edited, too",
        "figs/0.png": "edited by hand",
    }
    for path in ("figs/0.png", "_build/executed/plots.ipynb"):
        kept = (
            rf"note: plots\.ipynb: kept your copy of '{path}' in \.nbbuild/replaced/[\d-]+/{path}"
        )
        assert re.search(rf"{kept}\.replaced\n", done.err), done.err
    assert project.build() == []

    # A file that somebody puts beside them is nobody's artefact: it stays, and nothing runs.
    project.write("figs/mine.png", "mine")
    assert project.build() == []
    assert project.read("figs/mine.png") == "mine"


def test_a_file_of_the_users_under_a_glob_is_never_taken_for_an_artefact(project):
    write_plots(project, 1)
    project.write("figs/mine.png", "mine")
    assert project.build() == ["plots"]
    shown = project.nbbuild("show", "--json", "plots.ipynb").data
    assert [one["path"] for one in shown["record"]["artefacts"]] == [
        "figs/0.png",
        "out/table.csv",
        "site/css/main.css",
        "site/index.html",
    ]
    assert project.nbbuild("clean").status == 0
    assert below(project, "figs") == ["figs/mine.png"]
    assert project.build() == []
    assert below(project, "figs") == ["figs/0.png", "figs/mine.png"]


def test_an_upstream_artefact_is_put_back_for_those_that_read_it(project):
    project.config(
        '[[notebook]]\npath = "make.ipynb"\nartefacts = ["mid.txt"]\n'
        '[[notebook]]\npath = "use.ipynb"\nassets = ["mid.txt"]\nartefacts = ["end.txt"]'
    )
    project.notebook("make.ipynb", write_text("mid.txt", "made"))
    project.notebook("use.ipynb", "print(open('mid.txt').read())", write_text("end.txt", "used"))
    assert project.build() == ["make", "use"]

    (project.root / "mid.txt").unlink()
    done = project.nbbuild("--json", "use.ipynb")
    assert (done.ran, kinds(done)) == ([], {"make.ipynb": "restored", "use.ipynb": "fresh"})

    # Only now does `use` need a kernel, and it reads what was made, not what lies there.
    project.write("mid.txt", "edited by hand")
    project.notebook(
        "use.ipynb", "print('again', open('mid.txt').read())", write_text("end.txt", "u")
    )
    assert project.build("end.txt") == ["use"]
    assert project.shown("use.ipynb") == "again made\n"


# -- what a run has to write -------------------------------------------------------------------


def test_an_artefact_that_the_run_did_not_write_is_a_failure(project):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["old.txt", "never.txt", "new.txt"]\n'
        '[[notebook]]\npath = "b.ipynb"\nassets = ["old.txt"]'
    )
    project.write("old.txt", "from long ago")
    project.notebook("a.ipynb", write_text("new.txt", "new"))
    project.notebook("b.ipynb")
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (1, ["a"])
    assert kinds(done) == {"a.ipynb": "failed", "b.ipynb": "blocked"}
    assert done.data["outcomes"][0]["failure"] == {
        "kind": "artefact",
        "message": "'a.ipynb' wrote no file for its artefacts 'old.txt', 'never.txt' "
        "('old.txt' already existed and was not rewritten)",
        "cell": None,
        "position": None,
        "execution_count": None,
        "traceback": "declared in: jcache.toml, [[notebook]] 1",
        "hint": "let the notebook write each artefact anew, or correct `artefacts`",
        "lines": [],
    }
    assert project.read("old.txt") == "from long ago"
    assert not project.exists("_build/executed/a.ipynb")


def test_the_same_bytes_written_again_count_and_the_executable_bit_is_kept(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["same.txt", "tool.sh"]')
    project.write("same.txt", "same")
    project.notebook(
        "a.ipynb",
        write_text("same.txt", "same"),
        write_text("tool.sh", "#!/bin/sh\n"),
        "os.chmod('tool.sh', 0o755)",
    )
    assert project.build() == ["a"]
    tool = project.root / "tool.sh"

    tool.unlink()
    assert project.build() == []
    assert tool.stat().st_mode & stat.S_IXUSR
    tool.chmod(0o644)
    assert project.verdicts() == {"a.ipynb": "refresh"}
    assert project.build() == []
    assert tool.stat().st_mode & stat.S_IXUSR
    os.utime(project.root / "same.txt")
    assert project.verdicts() == {"a.ipynb": "fresh"}


def test_a_folder_that_the_run_made_goes_too_so_that_mkdir_works_again(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/deep/*.txt"]')
    make = "os.makedirs('out/deep')  # refuses to make a folder that exists"
    project.notebook("a.ipynb", make, write_text("out/deep/x.txt", "one"))
    assert project.build() == ["a"]

    project.notebook("a.ipynb", make, write_text("out/deep/x.txt", "two"))
    assert project.build() == ["a"]
    assert project.read("out/deep/x.txt") == "two"

    project.build("-B")
    assert project.nbbuild("clean").status == 0
    assert not project.exists("out")


def test_what_a_failed_run_left_goes_before_the_next(project, monkeypatch):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/*.txt"]')
    project.notebook(
        "a.ipynb",
        "os.makedirs('out', exist_ok=True)",
        "if 'BREAK' in os.environ:\n    open('out/half.txt', 'w').write('half')\n    1 / 0",
        "_ = open('out/whole.txt', 'w').write('whole')",
    )
    monkeypatch.setenv("BREAK", "yes")
    assert project.build(status=1) == ["a"]
    assert below(project, "out") == ["out/half.txt"]

    monkeypatch.delenv("BREAK")
    assert project.build() == ["a"]
    assert below(project, "out") == ["out/whole.txt"]
    # No store has these bytes, so they are not thrown away.
    assert replaced(project) == {"out/half.txt": "half"}


def test_a_folder_of_one_plain_name_goes_with_what_the_run_made_in_it(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out"]')
    make = "os.makedirs('out/x/deep')  # refuses to make a folder that exists"
    project.notebook("a.ipynb", make, write_text("out/x/deep/f.txt", "one"))
    assert project.build() == ["a"]
    assert project.build("-B") == ["a"]
    assert below(project, "out") == ["out/x/deep/f.txt"]


def test_a_user_is_told_whose_the_files_are_that_were_put_aside(project, monkeypatch):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
    project.notebook(
        "a.ipynb",
        "if 'BREAK' in os.environ:\n    open('o.txt', 'w').write('half')\n    1 / 0",
        write_text("o.txt", "whole"),
    )
    monkeypatch.setenv("BREAK", "yes")
    assert project.build(status=1) == ["a"]
    monkeypatch.delenv("BREAK")
    where = r"in \.nbbuild/replaced/[\d-]+/o\.txt\.replaced\n"
    said = project.nbbuild().err
    assert re.search(rf"note: a\.ipynb: kept what an unfinished run left of 'o\.txt' {where}", said)
    project.write("o.txt", "edited")
    said = project.nbbuild().err
    assert re.search(rf"note: a\.ipynb: kept your copy of 'o\.txt' {where}", said)
    assert project.read("o.txt") == "whole"


# -- what is no longer built -------------------------------------------------------------------


def test_what_was_built_is_no_source_after_the_output_folder_has_changed(project):
    def output(folder):
        project.config(f'[project]\nnotebooks = ["**/*.ipynb"]\noutput = "{folder}"')

    output("built")
    project.notebook("ch/a.ipynb")
    project.notebook("b.ipynb")
    assert project.build() == ["b", "ch/a"]
    project.write("built/b.ipynb", project.read("built/b.ipynb") + "\n")

    output("out2")
    assert project.verdicts() == {"b.ipynb": "refresh", "ch/a.ipynb": "refresh"}
    assert project.build("ch/a.ipynb") == []
    assert sorted(project.files()) == [
        "b.ipynb",
        "built/b.ipynb",
        "ch/a.ipynb",
        "jcache.toml",
        "out2/ch/a.ipynb",
    ]
    # A notebook that fails leaves none behind, either; what was altered is kept.
    project.notebook("b.ipynb", "1 / 0")
    assert project.build(status=1) == ["b"]
    assert below(project, "built") == []
    assert list(replaced(project)) == ["built/b.ipynb"]

    # Named in full, a built notebook is a source like any other.
    project.config(
        '[project]\nnotebooks = ["out2/ch/a.ipynb"]\noutput = "out3"\n'
        '[[notebook]]\npath = "out2/ch/a.ipynb"'
    )
    assert project.build() == ["ch/a"]
    assert sorted(project.files()) == [
        "b.ipynb",
        "ch/a.ipynb",
        "jcache.toml",
        "out2/ch/a.ipynb",
        "out3/out2/ch/a.ipynb",
    ]


def test_a_glob_that_meets_only_built_notebooks_says_so(project):
    project.config('[project]\nnotebooks = ["src/*.ipynb"]\noutput = "built"')
    project.notebook("src/a.ipynb")
    assert project.build() == ["src/a"]
    project.config('[project]\nnotebooks = ["built/**/*.ipynb"]')
    done = project.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err == (
        "error: nbbuild itself wrote every notebook that matches 'built/**/*.ipynb'\n"
        "  declared in: jcache.toml, [project] notebooks\n"
        "  matches: built/src/a.ipynb\n"
        "\n"
        "hint: to execute a built notebook again, name it in full\n"
    )


COUNTRIES = """
[[notebook]]
path = "model.ipynb"
artefacts = ["data/{{country}}.txt"]
matrix = {{ country = {countries} }}
[[notebook]]
path = "read.ipynb"
assets = ["data/*.txt"]
"""


def test_a_reader_no_longer_sees_what_a_dropped_task_made(project):
    def countries(*names):
        listed = ", ".join(f'"{name}"' for name in names)
        project.config(COUNTRIES.format(countries=f"[{listed}]"))

    project.notebook(
        "model.ipynb",
        parameter("country = ''"),
        "os.makedirs('data', exist_ok=True)",
        "_ = open(f'data/{country}.txt', 'w').write(country)",
    )
    project.notebook("read.ipynb", "print(sorted(os.listdir('data')))")
    countries("UK", "FR", "DE")
    assert project.build() == ["model", "model", "model", "read"]
    assert project.shown("read.ipynb") == "['DE.txt', 'FR.txt', 'UK.txt']\n"
    project.write("data/DE.txt", "edited")

    countries("UK")
    before = project.files()
    assert project.verdicts() == {"model-country-UK": "fresh", "read.ipynb": "run"}
    assert project.reasons("read.ipynb") == [
        "asset 'data/DE.txt' is gone",
        "asset 'data/FR.txt' is gone",
    ]
    assert project.nbbuild("-n").status == 0
    assert project.nbbuild("-q").status == 1
    # Nothing is touched while the project is in error.
    project.config(COUNTRIES.format(countries='["UK"]') + 'artefacts = ["../x.txt"]')
    assert project.nbbuild().status == 2
    countries("UK")
    assert project.files() == before

    done = project.nbbuild()
    assert (done.status, done.ran) == (0, ["read"])
    assert re.search(
        r"note: model-country-DE: kept your copy of 'data/DE\.txt' "
        r"in \.nbbuild/replaced/[\d-]+/data/DE\.txt\.replaced\n",
        done.err,
    )
    assert project.shown("read.ipynb") == "['UK.txt']\n"
    assert below(project, "data") == ["data/UK.txt"]
    assert below(project, "_build") == [
        "_build/executed/model-country-UK.ipynb",
        "_build/executed/read.ipynb",
    ]
    assert replaced(project) == {"data/DE.txt": "edited"}
    assert project.build() == []

    # What was put away is in the cache.
    countries("UK", "FR", "DE")
    assert project.build() == []
    assert project.read("data/DE.txt") == "DE"


SHARDS = """
[[notebook]]
path = "{name}.ipynb"
artefacts = ["f-*.txt"]
[[notebook]]
path = "read.ipynb"
assets = ["f-*.txt"]
"""


def test_a_renamed_notebook_takes_over_what_it_made_under_its_old_name(project):
    shards = "for n in range({number}):\n    _ = open(f'f-{{n}}.txt', 'w').write(str(n))"
    project.config(SHARDS.format(name="a"))
    project.notebook("a.ipynb", shards.format(number=2), log=False)
    project.notebook("read.ipynb", "import glob\nprint(sorted(glob.glob('f-*.txt')))")
    assert project.build() == ["read"]

    # Only the name is new: nothing runs.
    (project.root / "a.ipynb").rename(project.root / "b.ipynb")
    project.config(SHARDS.format(name="b"))
    assert project.build() == []
    assert sorted(project.files()) == [
        "_build/executed/b.ipynb",
        "_build/executed/read.ipynb",
        "b.ipynb",
        "f-0.txt",
        "f-1.txt",
        "jcache.toml",
        "read.ipynb",
    ]

    # A new name and other code: what the old one made beyond it goes.
    (project.root / "b.ipynb").unlink()
    project.notebook("c.ipynb", shards.format(number=1))
    project.config(SHARDS.format(name="c"))
    assert project.build() == ["c", "read"]
    assert project.shown("read.ipynb") == "['f-0.txt']\n"
    assert not project.exists("f-1.txt")
    assert not project.exists(".nbbuild/replaced")


def test_a_link_that_leaves_the_project_is_told_before_anything_runs(project, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("_build", "figs"):
        (project.root / name).symlink_to(outside)
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["figs/deep/*.png"]')
    project.notebook("a.ipynb")
    done = project.nbbuild()
    assert (done.status, done.ran, done.out) == (2, [], "")
    hint = "hint: point [project] output and `artefacts` to folders in the project\n"
    assert done.err == (
        "error: nothing can be written to '_build'\n"
        "  reason: it is a symbolic link that leaves the project\n"
        f"\n{hint}\n"
        "error: nothing can be written to 'figs'\n"
        "  reason: it is a symbolic link that leaves the project\n"
        f"\n{hint}"
    )
    assert list(outside.iterdir()) == []
    assert not project.exists(".nbbuild")


# -- clean -------------------------------------------------------------------------------------


def test_clean_takes_what_was_built_also_of_notebooks_that_are_no_longer_listed(project):
    project.config(
        '[[notebook]]\npath = "keep.ipynb"\nartefacts = ["keep.txt"]\n'
        '[[notebook]]\npath = "drop.ipynb"\nartefacts = ["deep/drop.txt", "edited.txt"]'
    )
    project.notebook("keep.ipynb", write_text("keep.txt", "kept"))
    project.notebook(
        "drop.ipynb",
        "os.makedirs('deep', exist_ok=True)",
        write_text("deep/drop.txt", "dropped"),
        write_text("edited.txt", "as made"),
    )
    sources = project.files()
    assert project.build() == ["drop", "keep"]
    project.write("edited.txt", "by hand")

    project.config(
        '[project]\nnotebooks = ["*.ipynb"]\nexclude = ["drop.ipynb"]\n'
        '[[notebook]]\npath = "keep.ipynb"\nartefacts = ["keep.txt"]'
    )
    assert project.build() == []
    before = project.files()
    done = project.nbbuild("clean", "--dry-run")
    assert (done.status, done.out) == (
        0,
        "would be removed  _build/executed/drop.ipynb\n"
        "would be removed  _build/executed/keep.ipynb\n"
        "would be removed  deep/drop.txt\n"
        "kept: altered since nbbuild wrote it  edited.txt\n"
        "would be removed  keep.txt\n",
    )
    assert project.files() == before

    done = project.nbbuild("clean", "--json")
    assert {one["path"]: one["what"] for one in done.data} == {
        "_build/executed/drop.ipynb": "removed",
        "_build/executed/keep.ipynb": "removed",
        "deep/drop.txt": "removed",
        "edited.txt": "kept: altered since nbbuild wrote it",
        "keep.txt": "removed",
    }
    left = sources | {"edited.txt": b"by hand", "jcache.toml": before["jcache.toml"]}
    assert project.files() == left
    assert not project.exists("_build")
    assert project.nbbuild("clean").err == "nothing to remove\n"

    # The cache stays.
    assert project.build() == []
    assert project.read("keep.txt") == "kept"


# -- sandbox -----------------------------------------------------------------------------------


def test_a_sandbox_holds_the_declared_inputs_and_gives_the_artefacts(project):
    project.config(
        '[project]\nnotebooks = ["deep/*.ipynb"]\npython_path = ["src"]\n'
        "[execution]\nsandbox = true\njobs = 2\n"
        '[[notebook]]\npath = "deep/good.ipynb"\nmodules = ["tool"]\n'
        'assets = ["data/*.txt", "../outside.txt"]\nartefacts = ["out/made.txt"]'
    )
    project.write("src/tool.py", "import helper\nsaid = helper.said\n")
    project.write("src/helper.py", "said = 'module'\n")
    project.write("data/in.txt", "asset")
    project.write("../outside.txt", "outside")
    read_all = "open('../data/in.txt').read(), open('../../outside.txt').read()"
    project.notebook(
        "deep/good.ipynb",
        "import tool",
        f"print(tool.said, *({read_all}))",
        "os.makedirs('../out')\n_ = open('../out/made.txt', 'w').write('made')",
        "_ = open('scratch.txt', 'w').write('thrown away')",
    )
    project.notebook("deep/bad.ipynb", "open('../data/in.txt')")
    done = project.nbbuild("--json")
    assert (done.status, sorted(done.ran)) == (1, ["deep/bad", "deep/good"])
    assert kinds(done) == {"deep/bad.ipynb": "failed", "deep/good.ipynb": "executed"}
    (failure,) = [one["failure"] for one in done.data["outcomes"] if one["failure"]]
    assert failure["message"] == (
        "FileNotFoundError: [Errno 2] No such file or directory: '../data/in.txt'"
    )
    assert project.shown("deep/good.ipynb") == "module asset outside\n"
    assert project.read("out/made.txt") == "made"
    assert not project.exists("deep/scratch.txt")

    (project.root / "out/made.txt").unlink()
    assert project.build("deep/good.ipynb") == []
    assert project.read("out/made.txt") == "made"
