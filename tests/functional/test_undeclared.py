"""What a notebook did without saying so: order that nothing keeps, files, hosts, other programs."""

import json

import nbbuild

WRITE = "with open({!r}, 'w') as f: _ = f.write({!r})"


def failures(done):
    return {
        one["task"]: one["failure"] for one in done.data["outcomes"] if one["failure"] is not None
    }


def trace(project, name):
    """Return the trace of a task's last record."""
    with nbbuild.open_session(project.root) as session:
        record = session.runs.last(session.graph.tasks[name])[1]
    assert record is not None
    return record.trace


# -- order -------------------------------------------------------------------------------------


def test_reading_what_another_wrote_undeclared_fails_until_both_lines_are_there(project):
    project.config("")
    project.notebook("a.ipynb", WRITE.format("mid.txt", "one"))
    project.notebook("b.ipynb", "print(open('mid.txt').read())")
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran) == (1, ["a", "b"])
    (failure,) = failures(done).values()
    assert (failure["kind"], failure["message"], failure["hint"]) == (
        "order",
        "'b.ipynb' reads 'mid.txt', which 'a.ipynb' writes, and no order between them is declared",
        "declare the order: artefacts = [\"mid.txt\"] for 'a.ipynb' "
        "and assets = [\"mid.txt\"] for 'b.ipynb'",
    )
    assert not project.exists("_build/executed/b.ipynb")
    assert project.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run"}
    # Again, though the writer does not run this time.
    assert project.build("-j1", status=1) == ["b"]

    lines = '[[notebook]]\npath = "a.ipynb"\nartefacts = ["mid.txt"]\n'
    project.config(f'{lines}[[notebook]]\npath = "b.ipynb"\nassets = ["mid.txt"]')
    assert project.build("-j1") == ["a", "b"]
    assert project.shown("b.ipynb") == "one\n"
    assert project.build() == []


def test_a_reader_that_came_first_is_put_aside_when_the_writer_fails(project):
    project.config("")
    project.notebook("a.ipynb", "print(os.path.exists('mid.txt'))")
    project.notebook("b.ipynb", WRITE.format("mid.txt", "one"))
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran) == (1, ["a", "b"])
    (failure,) = failures(done).values()
    assert failure["message"] == (
        "'a.ipynb' looks for 'mid.txt', which 'b.ipynb' writes, "
        "and no order between them is declared"
    )
    assert list(failures(done)) == ["b.ipynb"]
    assert project.verdicts() == {"a.ipynb": "run", "b.ipynb": "run"}


def test_listing_the_folder_that_another_writes_into_is_a_use(project):
    project.config('[[notebook]]\npath = "b.ipynb"\nartefacts = ["out/*.txt"]')
    project.write("out/first.dat", "")
    project.notebook("a.ipynb", "import glob\nprint(glob.glob('out/*.txt'))")
    project.notebook("b.ipynb", WRITE.format("out/new.txt", "one"))
    project.notebook("c.ipynb", "print(os.listdir('out'))")
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran) == (1, ["a", "b", "c"])
    assert {name: one["message"].partition(", and")[0] for name, one in failures(done).items()} == {
        "b.ipynb": "'a.ipynb' looks for 'out/new.txt', which 'b.ipynb' writes",
        "c.ipynb": "'c.ipynb' lists the folder of 'out/new.txt', which 'b.ipynb' writes",
    }
    # The writer declares what it writes, so only the readers' lines are missing: all at once.
    assert [one["hint"] for one in failures(done).values()] == [
        "declare the order: assets = [\"out/new.txt\"] for 'a.ipynb'",
        "declare the order: assets = [\"out/new.txt\"] for 'c.ipynb'",
    ]
    project.config(
        '[[notebook]]\npath = "b.ipynb"\nartefacts = ["out/*.txt"]\n'
        '[[notebook]]\npath = "[ac].ipynb"\nassets = ["out/new.txt"]'
    )
    assert project.build("-j1") == ["a", "b", "c"]
    assert project.build() == []


def test_a_built_notebook_is_what_its_task_writes(project):
    project.config("")
    project.notebook("a.ipynb", "print('text')")
    project.notebook("b.ipynb", "print(len(open('_build/executed/a.ipynb').read()) > 9)")
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran) == (1, ["a", "b"])
    assert failures(done)["b.ipynb"]["hint"] == (
        "declare the order: assets = [\"_build/executed/a.ipynb\"] for 'b.ipynb'"
    )
    project.config('[[notebook]]\npath = "b.ipynb"\nassets = ["_build/executed/a.ipynb"]')
    assert project.build("-j1") == ["b"]


def test_what_another_declares_is_not_to_be_written(project):
    project.config('[[notebook]]\npath = "b.ipynb"\nartefacts = ["mine.txt"]')
    project.notebook("a.ipynb", WRITE.format("mine.txt", "of a, which does not say so"))
    project.notebook("b.ipynb", WRITE.format("mine.txt", "of b"))
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran) == (1, ["a", "b"])
    (failure,) = failures(done).values()
    assert list(failures(done)) == ["b.ipynb"]  # it came later
    assert (failure["message"], failure["hint"]) == (
        "'b.ipynb' makes 'mine.txt', which 'a.ipynb' writes, and no order between them is declared",
        "let only one of them write 'mine.txt'",
    )
    assert project.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run"}


def test_a_new_reader_of_what_a_result_in_the_cache_had_written_fails(project):
    project.config("")
    project.notebook("b.ipynb", WRITE.format("mid.txt", "one"))
    assert project.build() == ["b"]
    (project.root / "_build/executed/b.ipynb").unlink()
    project.notebook("a.ipynb", "print(open('mid.txt').read())")
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran) == (1, ["a"])
    assert list(failures(done)) == ["a.ipynb"]


# -- what is noted -----------------------------------------------------------------------------


def test_a_product_that_is_not_declared_is_told_once(project):
    project.config("")
    project.notebook("a.ipynb", WRITE.format("report.txt", "one"), "print(1)")
    said = 'wrote undeclared files; to keep them: artefacts = ["report.txt"]'
    done = project.nbbuild("--json")
    assert [one["notes"] for one in done.data["outcomes"]] == [[said]]
    assert done.data["outcomes"][0]["cached"]

    project.notebook("a.ipynb", WRITE.format("report.txt", "one"), "print(2)")
    done = project.nbbuild("--json")
    assert [one["notes"] for one in done.data["outcomes"]] == [[]]
    done = project.nbbuild("explain", "--suggest")
    assert done.out == (
        '[[notebook]]\npath = "a.ipynb"\n'
        '# it writes these, which are neither kept nor restored yet\nartefacts = ["report.txt"]\n'
        '# it reads these variables, whose values do not count yet\nenv = ["RUN_LOG"]\n'
    )


def test_hosts_and_what_other_programs_do_are_kept_with_the_trace_and_no_failure(project, gate):
    project.config('[execution]\ntrace = "python"')
    started = "import subprocess; _ = subprocess.run(['true', '--password=secret'])"
    project.notebook("a.ipynb", gate.code, started, "print(os.environ.get('SIZE'))")
    build = project.process("--json")
    gate.wait()
    gate.close()
    out, err = build.communicate(timeout=60)
    assert build.returncode == 0, err
    (outcome,) = json.loads(out)["outcomes"]
    assert (outcome["kind"], outcome["cached"]) == ("executed", True)
    seen = trace(project, "a.ipynb")
    assert seen.hosts == ("127.0.0.1",)
    assert "SIZE" in seen.variables
    assert seen.partial == ("the program true may have read other files",)
    assert project.verdicts() == {"a.ipynb": "fresh"}
