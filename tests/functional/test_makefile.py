"""`nbbuild export makefile`: make knows what built notebooks rest on, and calls nbbuild."""

import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

NBBUILD = f"{shlex.quote(sys.executable)} -m nbbuild"


@pytest.fixture
def make(project):
    """Run make with the exported rules; return which notebooks ran."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")

    def run(*words, status=0):
        project.log.write_text("")
        done = subprocess.run(
            ["make", "-f", "nbbuild.mk", f"NBBUILD={NBBUILD}", *words],
            cwd=project.root,
            env={**os.environ, **project.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        run.said = done.stdout
        return project.ran()

    return run


NOTHING = "make: Nothing to be done for 'nbbuild-notebooks'.\n"


@pytest.mark.slow
def test_make_builds_what_changed_and_then_has_nothing_to_do(project, make):
    project.config(
        '[[notebook]]\npath = "prepare.ipynb"\nassets = ["raw/*.csv"]\nartefacts = ["mid.txt"]\n\n'
        '[[notebook]]\npath = "report.ipynb"\nassets = ["mid.txt"]\nmodules = ["tools"]\n'
    )
    project.write("raw/a.csv", "1\n")
    project.write("tools.py", "WORD = 'sum'\n")
    project.write("seen.txt", "undeclared\n")
    copy = "open('mid.txt', 'w').write(open('raw/a.csv').read().split('#')[0])"
    project.notebook("prepare.ipynb", copy)
    project.notebook(
        "report.ipynb", "import tools\nprint(open('mid.txt').read(), open('seen.txt').read())"
    )
    done = project.nbbuild("export", "makefile")
    assert (done.status, done.err) == (0, "rules for 2 notebooks in nbbuild.mk\n")

    assert make("-j2") == ["prepare", "report"]
    assert (make(), make.said) == ([], NOTHING)

    # What only the run showed counts as well.
    project.write("seen.txt", "undeclared, and changed\n")
    assert make("-q", status=1) == []
    assert make() == ["report"]

    # make sees a new time, nbbuild the same content: nothing runs, and make asks only once.
    project.write("raw/a.csv", "1\n")
    assert (make(), make.said == "") == ([], False)
    assert (make(), make.said) == ([], "")

    project.write("raw/a.csv", "1\n# no matter")
    assert make() == ["prepare"]
    project.write("tools.py", "WORD = 'total'\n")
    assert make() == ["report"]

    # An artefact that is gone is put back; a file that only a run used may go.
    (project.root / "mid.txt").unlink()
    assert make("mid.txt") == []
    assert project.read("mid.txt") == "1\n"
    (project.root / "seen.txt").unlink()
    assert make(status=2) == ["report"]


@pytest.mark.parametrize("saved", ["a.ipynb", "declared.txt"])
def test_what_is_saved_while_a_notebook_runs_is_built_by_the_next_make(project, make, gate, saved):
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["declared.txt"]\n')
    project.write("declared.txt", "1\n")
    project.notebook("a.ipynb", gate.code)
    assert project.nbbuild("export", "makefile").status == 0
    with ThreadPoolExecutor() as pool:
        building = pool.submit(make, "-s")
        gate.wait()
        if saved == "a.ipynb":
            project.notebook("a.ipynb", "print('another')")
        else:
            project.write(saved, "2\n")
        gate.close()
        assert building.result() == ["a"]

    assert make("-q", status=1) == []
    assert make() == ["a"]
    assert (make(), make.said) == ([], NOTHING)


def test_built_notebooks_of_one_build_are_in_the_order_that_make_wants(project):
    project.config(
        '[[notebook]]\npath = "z.ipynb"\nartefacts = ["mid.txt"]\n\n'
        '[[notebook]]\npath = "b.ipynb"\nassets = ["mid.txt"]\n\n'
        '[[notebook]]\npath = "a.ipynb"\ndepends_on = ["b.ipynb"]\n'
    )
    project.notebook("z.ipynb", "open('mid.txt', 'w').write('1')")
    project.notebook("b.ipynb", "print(open('mid.txt').read())")
    project.notebook("a.ipynb")
    files = ("mid.txt", "_build/executed/b.ipynb", "_build/executed/a.ipynb")
    for targets in (("a.ipynb",), ("b.ipynb", "a.ipynb"), ()):
        assert project.nbbuild("--depfile", "all.d", *targets).status == 0
        times = [(project.root / path).stat().st_mtime_ns for path in files]
        assert times == sorted(times)
        (project.root / "mid.txt").unlink()


def test_the_rules_follow_jcache_toml(project, make):
    project.config("")
    project.notebook("it's 100% of $5: #1.ipynb")
    assert project.nbbuild("export", "makefile").status == 0
    make()
    assert project.log.read_text() == "it's 100% of $5: #1\n"
    project.notebook("b.ipynb")
    project.write("jcache.toml", project.read("jcache.toml") + "\n# another notebook\n")
    assert make() == ["b"]
    assert (make(), make.said) == ([], NOTHING)


NAMES = ("two words", "$5", "100%", "C#", "a:b", "it's", 'say "so"', "(x)y", "naïve & café", "a,b")

# Stands for nbbuild: notes its last argument, and makes the built notebook.
PLAYED = """
for name; do :; done
echo "$name" >> "$RUN_LOG"
mkdir -p _build/executed
: > "_build/executed/$name"
"""


def test_names_that_mean_something_to_make_or_a_shell_are_plain_names(project, make):
    entries = (f"[[notebook]]\npath = '''{n}.ipynb'''\nassets = ['''{n}.csv''']\n" for n in NAMES)
    project.config("\n".join(entries))
    project.write("played.sh", PLAYED)
    for name in NAMES:
        project.write(f"{name}.csv", "1\n")
        project.notebook(f"{name}.ipynb")
    assert project.nbbuild("export", "makefile").status == 0
    played = "NBBUILD=sh played.sh"

    make(played)
    assert sorted(project.log.read_text().splitlines()) == sorted(f"{n}.ipynb" for n in NAMES)
    assert (make(played), make.said) == ([], NOTHING)
    for name in NAMES:
        (project.root / f"{name}.csv").write_text("2\n")
        make(played)
        assert project.log.read_text() == f"{name}.ipynb\n"


@pytest.mark.parametrize(("name", "why"), [("a;b", "';'"), ("a=b", "'='"), ("a|b", "'|'")])
def test_a_name_that_make_cannot_write_is_refused(project, name, why):
    project.config("")
    project.notebook(f"{name}.ipynb")
    done = project.nbbuild("export", "makefile")
    assert done.status == 2
    assert done.err == (
        f"error: make has no way to write the name '_build/executed/{name}.ipynb'\n"
        f"  needed by: {name}.ipynb\n"
        f"  because of: {why}\n"
        "\n"
        "hint: rename the file, or leave it to nbbuild: `nbbuild` needs no makefile\n"
    )
    assert not project.exists("nbbuild.mk")


def test_a_depfile_names_what_the_last_run_used(project):
    project.config("")
    project.write("tools.py", "WORD = 'sum'\n")
    for name in ("b c.txt", "d;e.txt"):
        project.write(name, "1\n")
    reads = "import tools\n[open(name).read() for name in ('b c.txt', 'd;e.txt')]"
    project.notebook("a.ipynb", reads)
    done = project.nbbuild("--depfile", "deep/a.d")
    assert done.status == 0
    assert done.err.splitlines()[-1] == (
        "note: not in deep/a.d: make has no way to write the name 'd;e.txt'"
    )
    assert project.read("deep/a.d") == (
        "_build/executed/a.ipynb: \\\n  b\\ c.txt \\\n  tools.py\nb\\ c.txt:\ntools.py:\n"
    )


def test_the_rules_can_be_looked_at(project):
    project.config("")
    project.notebook("a.ipynb")
    done = project.nbbuild("export", "makefile", "-")
    assert done.status == 0
    lines = done.out.splitlines()
    start = lines.index("nbbuild-notebooks: \\")
    folder = ".nbbuild/make/a29674839de686be"
    assert lines[start:] == [
        "nbbuild-notebooks: \\",
        "  _build/executed/a.ipynb",
        "",
        "_build/executed/a.ipynb: \\",
        "  a.ipynb \\",
        "  jcache.toml",
        f"\t+$(NBBUILD) build --depfile {folder}/83e5ea68b1aa5406.d -- a.ipynb",
        "",
        f"-include $(wildcard {folder}/*.d)",
    ]


def test_each_configuration_in_a_folder_has_depfiles_of_its_own(project):
    read = "open('seen.txt').read()"
    for name in "ab":
        project.write(f"{name}.toml", f"[project]\nnotebooks = ['{name}.ipynb']\n")
        project.notebook(f"{name}.ipynb", read)
    project.write("seen.txt", "")

    def export(name):
        assert project.nbbuild("-f", f"{name}.toml").status == 0
        assert project.nbbuild("-f", f"{name}.toml", "export", "makefile", f"{name}.mk").status == 0
        found = (project.root / ".nbbuild/make").glob("*/*.d")
        return {path.relative_to(project.root).as_posix() for path in found}

    (first,) = export("a")
    (second,) = export("b") - {first}
    assert export("a") == {first, second}
    for other, own in ((first, "b.mk"), (second, "a.mk")):
        assert other.rpartition("/")[0] not in project.read(own)

    # A depfile of no notebook goes.
    project.notebook("c.ipynb", read)
    project.write("a.toml", project.read("a.toml").replace("a.ipynb", "c.ipynb"))
    assert first not in export("a")


def test_a_makefile_of_the_users_own_is_replaced_only_by_force(project):
    project.config("")
    project.notebook("a.ipynb")
    project.write("Makefile", "all:\n\techo mine\n")
    done = project.nbbuild("export", "makefile", "Makefile")
    assert (done.status, done.err) == (
        2,
        "error: 'Makefile' exists, and `nbbuild export makefile` did not write it\n"
        "\n"
        "hint: write to nbbuild.mk and include that; --force replaces the file\n",
    )
    assert project.read("Makefile") == "all:\n\techo mine\n"
    project.write("nbbuild.mk", "")
    assert project.nbbuild("export", "makefile").err.splitlines()[-1] == (
        "hint: write to another file and include that; --force replaces the file"
    )
    assert not project.exists(".nbbuild/make")

    assert project.nbbuild("export", "makefile", "Makefile", "--force").status == 0
    project.notebook("b.ipynb")
    assert project.nbbuild("export", "makefile", "Makefile").err == (
        "rules for 2 notebooks in Makefile\n"
    )


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("a.ipynb", "a source notebook"),
        ("../project/deep/../a.ipynb", "a source notebook"),
        ("_build/executed/a.ipynb", "a built notebook"),
        ("out/sums.csv", "an artefact of 'a.ipynb'"),
        ("jcache.toml", "the configuration"),
    ],
)
def test_no_file_of_the_project_becomes_a_depfile_or_a_makefile(project, place, what):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/*.csv"]\n')
    project.notebook("a.ipynb")
    project.write("deep/x", "")
    before = {path: project.read(path) for path in ("a.ipynb", "jcache.toml")}
    message = (
        f"error: '{place}' is {what}, and would be overwritten\n"
        "\n"
        "hint: name another file for make, such as 'notebooks.d'\n"
    )
    for words in (
        ("--depfile", place),
        ("-n", "--depfile", place),
        ("export", "makefile", "--force", place),
    ):
        done = project.nbbuild(*words)
        assert (done.status, done.err, done.ran) == (2, message, [])
    assert {path: project.read(path) for path in before} == before
