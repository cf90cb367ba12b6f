"""`nbbuild watch`: what a saved file builds, what it does not, and what stays in between."""

import shutil
import signal
import subprocess
import urllib.error
import urllib.request

import psutil
import pytest
from processes import family
from watched import PATIENCE, watching

PARENT = "import os, psutil; print(psutil.Process(os.getppid()).create_time())"


def read(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read().decode()


def test_a_saved_notebook_is_built_and_an_interrupt_ends_it_with_130(project):
    project.config("")
    project.notebook("a.ipynb", "print('one')")
    project.notebook("b.ipynb")
    with watching(project, "-j1") as watch:
        assert watch.first_build() == [
            "executing a.ipynb: 2 cells",
            "executed a.ipynb in T",
            "executing b.ipynb: 1 cell",
            "executed b.ipynb in T",
            "2 executed in T",
            "watching 2 notebooks; Ctrl-C ends",
        ]
        assert project.ran() == ["a", "b"]
        project.notebook("a.ipynb", "print('two')")
        assert watch.build() == [
            "changed: a.ipynb",
            "executing a.ipynb: 2 cells",
            "executed a.ipynb in T",
            "1 executed, 1 fresh in T",
        ]
        assert project.shown("a.ipynb") == "two\n"
        processes = family(project)
        assert watch.end() == (130, ["interrupted"])
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    assert project.ran() == ["a", "b", "a"]
    assert project.build() == []


def test_modules_data_and_the_configuration_count_and_editors_files_do_not(project):
    project.config("")
    project.write("tools.py", "def answer(): return 42")
    project.write("data.csv", "1")
    project.notebook(
        "a.ipynb", "from tools import answer; print(answer(), open('data.csv').read())"
    )
    with watching(project, "-j1") as watch:
        watch.first_build()
        project.write("tools.py", "def answer(): return 43")
        assert watch.build()[0] == "changed: tools.py"
        assert project.shown("a.ipynb") == "43 1\n"
        project.write("data.csv", "2")
        assert watch.build()[0] == "changed: data.csv"
        assert project.shown("a.ipynb") == "43 2\n"
        # None of these is an event worth a build, or a line.
        project.write(".a.ipynb.swp", "x")
        project.write("a.ipynb~", "x")
        project.write(".git/index", "x")
        project.write("notes.txt", "x")
        project.notebook("b.ipynb", "print('new')")
        lines = watch.build()
        assert "b.ipynb" in lines[0]
        assert lines[-1] == "1 executed, 1 fresh in T"
        project.config("[execution]\nallow_errors = true")
        assert watch.build()[0] == "changed: jcache.toml"
    assert project.ran() == ["a", "a", "a", "b", "a", "b"]


def test_a_broken_configuration_or_notebook_is_said_and_watched_until_it_is_mended(project):
    project.config("")
    project.notebook("a.ipynb", "print(1)")
    with watching(project) as watch:
        watch.first_build()
        project.write("jcache.toml", "[project\n")
        lines = watch.until("watching; ")
        assert lines[0] == "changed: jcache.toml"
        assert lines[1].startswith("error: ")
        assert lines[-1] == "watching; the build begins again when a file changes"
        project.config("")
        assert watch.build()[-1] == "nothing to do: 1 notebook is up to date"
        project.write("a.ipynb", "{broken")
        lines = watch.build()
        assert lines[1].startswith("failed a.ipynb")
        project.notebook("a.ipynb", "print(2)")
        assert watch.build()[-1] == "1 executed in T"
        assert project.shown("a.ipynb") == "2\n"
    assert project.ran() == ["a", "a"]


def test_it_begins_where_the_configuration_is_broken_but_not_where_there_is_none(project):
    done = project.nbbuild("watch")
    assert (done.status, done.err.splitlines()[0][:29]) == (2, "error: there is no 'jcache.to")
    project.write("jcache.toml", "[project\n")
    project.notebook("a.ipynb")
    with watching(project) as watch:
        assert watch.until("watching; ")[0].startswith("error: ")
        project.config("")
        assert watch.build()[-1] == "1 executed in T"
    done = project.nbbuild("watch", "b.ipynb")
    assert (done.status, done.err) == (
        2,
        "error: there is no notebook, task, artefact or group 'b.ipynb'\n"
        f"  project: {project.root}/jcache.toml\n\nhint: `nbbuild list` shows what there is\n",
    )


def test_a_build_whose_input_changes_is_stopped_and_begun_again(project, gate):
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["data.csv"]\n')
    project.write("data.csv", "1")
    project.notebook("a.ipynb", "print(open('data.csv').read())", gate.code)
    with watching(project) as watch:
        watch.until("executing a.ipynb: 3 cells")
        gate.wait()
        project.write("data.csv", "2")
        assert watch.until("stopped: ") == ["stopped: a file that it needs has changed"]
        assert watch.until("executing ") == ["changed: data.csv", "executing a.ipynb: 3 cells"]
        gate.wait()
        gate.close()
        assert watch.first_build() == [
            "executed a.ipynb in T",
            "1 executed in T",
            "watching 1 notebook; Ctrl-C ends",
        ]
        assert project.shown("a.ipynb") == "2\n"
    assert project.ran() == ["a", "a"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_the_middle_of_a_build_ends_its_kernels(project, gate, number):
    project.config("")
    project.notebook("a.ipynb", gate.code)
    with watching(project) as watch:
        gate.wait()
        processes = family(project)
        status, lines = watch.end(number)
        assert (status, lines[-2:]) == (130, ["interrupted: 1 cancelled in T", "interrupted"])
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


@pytest.mark.own_way("only the launcher outlives what started it")
def test_no_kernel_outlives_a_watch_that_is_killed(project):
    project.config("")
    project.notebook("a.ipynb")
    with watching(project) as watch:
        watch.first_build()
        project.notebook("a.ipynb", "2")
        watch.build()
        processes = family(project)
        assert watch.end(signal.SIGKILL)[0] == -signal.SIGKILL
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
        assert family(project) == []


def test_what_notebooks_write_begins_no_build(project):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n\n'
        '[[notebook]]\npath = "c.ipynb"\ncache = false\n'
    )
    project.notebook("a.ipynb", "open('a.txt', 'w').write('a'); open('left.txt', 'w').write('b')")
    project.notebook("c.ipynb", "open('log.txt', 'a').write('c')")
    project.notebook("d.ipynb", "open('d.txt', 'w').write('d'); 1 / 0")
    with watching(project, "-j1") as watch:
        watch.first_build()
        (project.root / "a.txt").unlink()  # somebody else's doing
        lines = watch.build()
        assert (lines[0], lines[-1]) == ("changed: a.txt", "1 executed, 1 restored, 1 failed in T")
        assert project.read("a.txt") == "a"
        project.notebook("a.ipynb", "open('a.txt', 'w').write('A')")
        assert watch.build() == [
            "changed: a.ipynb",
            "executing a.ipynb: 2 cells",
            "executed a.ipynb in T",
            "executing c.ipynb: 2 cells",
            "executed c.ipynb in T, not cached",
            'note: c.ipynb: wrote undeclared files; to keep them: artefacts = ["log.txt"]',
            "failed:",
            "    d.ipynb, as before, in cell 2 (In [2]): ZeroDivisionError: division by zero",
            "2 executed, 1 failed in T",
        ]
        assert watch.end() == (130, ["interrupted"])
    assert project.ran() == ["a", "c", "d", "c", "d", "a", "c"]


def test_a_failure_is_tried_again_unless_only_another_notebook_was_saved(project):
    project.config('[[notebook]]\npath = "c.ipynb"\ndepends_on = ["b.ipynb"]\n')
    project.notebook("a.ipynb", "1")
    project.notebook("b.ipynb", "print(open('late.txt').read())")
    project.notebook("c.ipynb")
    with watching(project, "-j1") as watch:
        assert watch.first_build()[-2] == "1 executed, 1 failed, 1 blocked in T"
        project.notebook("a.ipynb", "2")
        assert watch.build()[-1] == "1 executed, 1 failed, 1 blocked in T"
        assert project.ran() == ["a", "b", "a"]
        project.write("late.txt", "here")
        assert watch.build()[-1] == "2 executed, 1 fresh in T"
        assert project.ran() == ["a", "b", "a", "b", "c"]


def test_an_input_outside_the_project_counts_once_a_run_has_used_it(project):
    project.config("")
    project.write("../shared/x.csv", "1")
    project.notebook("a.ipynb", "print(open('../shared/x.csv').read())")
    with watching(project) as watch:
        watch.first_build()
        project.write("../shared/y.csv", "of no interest")
        project.write("../shared/x.csv", "2")
        lines = watch.build()
        assert "../shared/x.csv" in lines[0]
        assert lines[-1] == "1 executed in T"
        assert project.shown("a.ipynb") == "2\n"


@pytest.mark.own_way("the portable way forks no kernel")
def test_the_next_kernel_has_in_memory_what_the_last_notebook_imports(project):
    project.config("")
    project.notebook("a.ipynb", "import yaml")
    had = "note: a.ipynb: its kernel had yaml in memory already, T of imports"
    with watching(project, "-v") as watch:
        assert had not in watch.first_build()
        project.notebook("a.ipynb", "import yaml; print(yaml.__name__)")
        assert had in watch.build()
        assert project.shown("a.ipynb") == "yaml\n"


def test_another_branch_is_another_set_of_files_and_one_change(project):
    if shutil.which("git") is None:
        pytest.skip("there is no git on this machine")

    def git(*words):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, *words], cwd=project.root, check=True, capture_output=True)

    project.config("")
    for name in "abc":
        project.notebook(f"{name}.ipynb", "print('main')")
    git("init", "-b", "main")
    git("add", "jcache.toml", "a.ipynb", "b.ipynb", "c.ipynb")
    git("commit", "-m", "main")
    git("checkout", "-b", "other")
    for name in "ab":
        project.notebook(f"{name}.ipynb", "print('other')")
    git("commit", "-am", "other")
    with watching(project) as watch:
        watch.first_build()
        git("checkout", "main")
        assert watch.build()[0] == "changed: a.ipynb, b.ipynb"
        assert project.shown("a.ipynb") == "main\n"
        git("checkout", "other")
        lines = watch.build()
        assert (lines[0], lines[-1][:19]) == ("changed: a.ipynb, b.ipynb", "2 refreshed, 1 fres")
        assert project.shown("a.ipynb") == "other\n"
    assert sorted(project.ran()) == ["a", "a", "b", "b", "c"]


@pytest.mark.own_way("the portable way forks no kernel")
def test_kernels_come_from_the_same_processes_build_after_build(project):
    project.config("")
    project.notebook("a.ipynb", PARENT)
    with watching(project) as watch:
        watch.first_build()
        first = project.shown("a.ipynb")
        for number in range(3):
            project.notebook("a.ipynb", f"{PARENT}  # {number}")
            watch.build()
            assert project.shown("a.ipynb") == first


@pytest.mark.own_way("the portable way forks no kernel")
def test_a_kernel_that_waits_is_not_used_in_a_folder_that_was_made_anew(project):
    project.config("")
    there = f"import os; print(os.path.samefile('.', {str(project.root / 'nb')!r}))"
    project.notebook("nb/a.ipynb", there)
    with watching(project) as watch:
        watch.first_build()
        text = project.read("nb/a.ipynb")
        (project.root / "nb").rename(project.root / "old")
        project.write("nb/a.ipynb", text.replace("print(", "print(1, "))
        watch.until("executed nb/a.ipynb")
        assert project.shown("nb/a.ipynb") == "1 True\n"


def test_the_page_is_served_while_it_watches(project):
    project.config("")
    project.notebook("a.ipynb", "print('one', 1)")
    project.notebook("b.ipynb")
    with watching(project, "--serve", "a.ipynb") as watch:  # no port: it takes any
        (line,) = watch.until("page: ")
        page = line.removeprefix("page: ")
        assert watch.first_build()[-1] == "watching 1 notebook; Ctrl-C ends"
        assert "one 1" in read(f"{page}notebook/a.ipynb")
        assert "all well" in read(f"{page}report")
        project.notebook("a.ipynb", "print('two', 2)")
        watch.build()
        assert "two 2" in read(f"{page}notebook/a.ipynb")
        assert watch.end() == (130, ["interrupted"])
    with pytest.raises(urllib.error.URLError):
        read(page)
    done = project.nbbuild("watch", "--serve", "70000")
    assert (done.status, done.err) == (
        2,
        "error: there is no port 70000\n\nhint: a port is at most 65535\n",
    )


def test_without_watchfiles_it_says_what_to_install(project, monkeypatch):
    find = "nbbuild.cli.watch.importlib.util.find_spec"
    project.config("")
    project.notebook("a.ipynb")
    monkeypatch.setattr(find, lambda name: None)
    done = project.nbbuild("watch")
    assert (done.status, done.err) == (
        2,
        "error: `nbbuild watch` needs watchfiles\n\n"
        "hint: install it: pip install 'nbbuild[watch]'\n",
    )
