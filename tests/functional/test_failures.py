"""What becomes of a build in which notebooks fail: what is kept, told, stopped and tried again."""

import json
import os
import stat

BREAKS = "if 'BREAK' in os.environ:\n    raise RuntimeError('it broke')"


def cell(source, *tags):
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source,
        "execution_count": None,
        "outputs": [],
    }


def kinds(done):
    """Return what became of each task."""
    return {one["task"]: one["kind"] for one in done.data["outcomes"]}


def failure(done, task):
    return next(one["failure"] for one in done.data["outcomes"] if one["task"] == task)


def texts(notebook):
    """Return the output text of each code cell, errors as their names."""
    return [
        "".join("".join(output.get("text", output.get("ename", ""))) for output in cell["outputs"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


# -- a cell that raises ------------------------------------------------------------------------


def test_a_failure_is_kept_shown_blocks_what_needs_it_and_is_tried_again(project, monkeypatch):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n'
        '[[notebook]]\npath = "b.ipynb"\nassets = ["a.txt"]\n'
        '[[notebook]]\npath = "c.ipynb"\ndepends_on = ["b.ipynb"]\n'
    )
    project.notebook(
        "a.ipynb", "print('as far as this')", BREAKS, "_ = open('a.txt', 'w').write('made')"
    )
    for name in ("b", "c", "d"):
        project.notebook(f"{name}.ipynb")
    monkeypatch.setenv("BREAK", "yes")
    done = project.nbbuild("--json")
    assert (done.status, sorted(done.ran)) == (1, ["a", "d"])
    assert kinds(done) == {
        "a.ipynb": "failed",
        "b.ipynb": "blocked",
        "c.ipynb": "blocked",
        "d.ipynb": "executed",
    }
    report = done.data
    assert (report["exit_status"], report["interrupted"]) == (1, False)
    assert report["counts"] == {"failed": 1, "blocked": 2, "executed": 1}
    told = failure(done, "a.ipynb")
    assert (told["kind"], told["cell"]) == ("error", 2)
    assert (told["position"], told["execution_count"]) == (3, 3)
    assert told["message"] == "RuntimeError: it broke"
    assert "----> 2     raise RuntimeError('it broke')" in told["traceback"]
    assert "\x1b" not in told["traceback"]
    assert "blocked b.ipynb: needs a.ipynb, which failed\n" in done.err
    assert "blocked c.ipynb: needs b.ipynb, which failed\n" in done.err

    # What came of it until then is kept, elsewhere than what was built.
    assert not project.exists("_build/executed/a.ipynb")
    partial = json.loads(project.read(".nbbuild/failed/a.ipynb.failed"))
    assert texts(partial) == ["", "as far as this\n", "RuntimeError", ""]
    shown = project.nbbuild("show", "a.ipynb")
    assert shown.status == 0
    assert "\n  built notebook: .nbbuild/failed/a.ipynb.failed\n" in shown.out
    assert "\n  failed: cell 3 (In [3]): RuntimeError: it broke\n" in shown.out
    assert "raise RuntimeError('it broke')" in shown.out

    assert project.reasons("a.ipynb") == ["it failed last time: RuntimeError: it broke"]
    assert project.build(status=1) == ["a"]
    monkeypatch.delenv("BREAK")
    assert project.build() == ["a", "b", "c"]
    assert not project.exists(".nbbuild/failed/a.ipynb.failed")
    assert project.build() == []


def test_a_failure_removes_the_built_notebook_of_before(project):
    project.config("")
    project.notebook("a.ipynb", "print('good')")
    assert project.build() == ["a"]
    good = project.read("_build/executed/a.ipynb")

    project.notebook("a.ipynb", "print('good')", "undefined_name")
    done = project.nbbuild()
    assert (done.status, done.ran) == (1, ["a"])
    assert "in cell 3 (In [3]): NameError: name 'undefined_name' is not defined\n" in done.err
    assert "    as far as it went: .nbbuild/failed/a.ipynb.failed\n" in done.err
    assert not project.exists("_build/executed/a.ipynb")

    # The result of before is still in the cache.
    project.notebook("a.ipynb", "print('good')")
    assert project.build() == []
    assert project.read("_build/executed/a.ipynb") == good
    assert not project.exists(".nbbuild/failed/a.ipynb.failed")


def test_failing_fast_starts_nothing_more(project):
    project.config('[execution]\nexecutor = "serial"\nkeep_going = false')
    project.notebook("a.ipynb", "1 / 0")
    project.notebook("b.ipynb")
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (1, ["a"])
    assert kinds(done) == {"a.ipynb": "failed", "b.ipynb": "cancelled"}

    # The command line has the last word, either way.
    done = project.nbbuild("-k")
    assert (done.status, done.ran) == (1, ["a", "b"])
    project.config('[execution]\nexecutor = "serial"')
    project.notebook("b.ipynb", "'changed'")
    assert project.nbbuild("-x").ran == ["a"]


# -- errors that are allowed -------------------------------------------------------------------


def test_errors_can_be_allowed_for_a_cell_a_notebook_and_by_the_configuration(project):
    project.config(
        '[[notebook]]\npath = "configured.ipynb"\nallow_errors = true\n'
        '[[notebook]]\npath = "refused.ipynb"\nallow_errors = false'
    )
    allowed = {"execution": {"allow_errors": True}}
    project.notebook(
        "tagged.ipynb", cell("1 / 0", "raises-exception"), cell("print('on')", "raises-exception")
    )
    project.notebook("configured.ipynb", "1 / 0", "print('on')")
    project.notebook("metadata.ipynb", "1 / 0", "print('on')", metadata=allowed)
    # What jcache.toml says of a notebook comes before what the notebook says of itself.
    project.notebook("refused.ipynb", "1 / 0", "print('on')", metadata=allowed)
    done = project.nbbuild("--json")
    assert done.status == 1
    assert kinds(done) == {
        "configured.ipynb": "executed",
        "metadata.ipynb": "executed",
        "refused.ipynb": "failed",
        "tagged.ipynb": "executed",
    }
    for name in ("tagged", "configured", "metadata"):
        assert texts(project.built(f"{name}.ipynb")) == ["", "ZeroDivisionError", "on\n"]
    assert project.build("tagged.ipynb", "configured.ipynb", "metadata.ipynb") == []


# -- retries and limits ------------------------------------------------------------------------


def test_a_notebook_that_failed_is_tried_again_in_the_same_build(project):
    # Not watched: that it reads the log, which changes, would count.
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nretries = 2\nartefacts = ["*.txt"]\ntrace = false'
    )
    attempts = "open(os.environ['RUN_LOG']).read().count('a')"
    project.notebook(
        "a.ipynb",
        f"number = {attempts}",
        "_ = open(f'{number}.txt', 'w').write('made')",
        "if number == 1:\n    raise OSError('the network is down')",
        "print('attempt', number)",
    )
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (0, ["a", "a"])
    assert kinds(done) == {"a.ipynb": "executed"}
    note = "attempt 1 of 3 failed: OSError: the network is down"
    assert note in done.data["outcomes"][0]["notes"]
    assert f"note: a.ipynb: {note}\n" in done.err
    assert project.shown("a.ipynb") == "attempt 2\n"
    # Each attempt begins with a clean tree.
    assert sorted(path.name for path in project.root.glob("*.txt")) == ["2.txt"]
    assert project.build() == []


def test_a_notebook_past_its_time_is_a_failure(project):
    project.config(
        '[[notebook]]\npath = "cell.ipynb"\ntimeout = 0.5\n'
        '[[notebook]]\npath = "whole.ipynb"\nnotebook_timeout = 2\n'
    )
    endless = "while True: pass"
    project.notebook("cell.ipynb", "print('begun')", endless, log=False)
    project.notebook("whole.ipynb", endless, log=False, metadata={"execution": {"timeout": 600}})
    done = project.nbbuild("--json", "-j2")
    assert done.status == 1
    told = {task: failure(done, task) for task in ("cell.ipynb", "whole.ipynb")}
    assert [one["kind"] for one in told.values()] == ["timeout", "timeout"]
    assert told["cell.ipynb"]["cell"] == 1
    assert told["cell.ipynb"]["message"] == "cell 2 (In [2]) ran longer than its limit of 0.5 s"
    limit = "the notebook ran longer than its limit of 2 s"
    assert told["whole.ipynb"]["message"].startswith(limit)
    partial = json.loads(project.read(".nbbuild/failed/cell.ipynb.failed"))
    assert texts(partial)[0] == "begun\n"


# -- kernels that die --------------------------------------------------------------------------


def test_a_kernel_that_is_killed_is_reported_and_stops_nothing_else(project):
    project.config('[[notebook]]\npath = "after.ipynb"\ndepends_on = ["killed.ipynb"]')
    project.notebook("killed.ipynb", "print('last words', flush=True)", "os.kill(os.getpid(), 9)")
    project.notebook("after.ipynb")
    project.notebook("other.ipynb")
    done = project.nbbuild("--json")
    assert (done.status, sorted(done.ran)) == (1, ["killed", "other"])
    assert kinds(done) == {
        "after.ipynb": "blocked",
        "killed.ipynb": "failed",
        "other.ipynb": "executed",
    }
    told = failure(done, "killed.ipynb")
    assert (told["kind"], told["cell"]) == ("died", 2)
    assert told["message"].startswith(
        "the kernel died in cell 3 (In [3]): killed by SIGKILL (signal 9)"
    )
    partial = json.loads(project.read(".nbbuild/failed/killed.ipynb.failed"))
    assert texts(partial) == ["", "last words\n", ""]


def test_a_kernel_that_does_not_start_is_reported(project, monkeypatch, tmp_path):
    spec = tmp_path / "share/kernels/broken/kernel.json"
    spec.parent.mkdir(parents=True)
    program = tmp_path / "broken-kernel"
    program.write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    argv = [os.fspath(program), "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Broken", "language": "basic"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    project.config("")
    project.notebook("a.ipynb", "PRINT 1", kernel="broken", log=False)
    done = project.nbbuild("--json")
    assert done.status == 1
    told = failure(done, "a.ipynb")
    assert told["kind"] == "start"
    assert told["message"] == "the kernel 'broken' does not start: it ended with exit status 3"
    assert "no licence" in told["traceback"]


# -- inputs that are not there -----------------------------------------------------------------


def test_an_input_that_vanishes_while_the_build_runs_fails_its_reader_only(project):
    project.config(
        '[[notebook]]\npath = "b.ipynb"\nassets = ["gone.txt"]\ndepends_on = ["a.ipynb"]'
    )
    project.write("gone.txt", "still here")
    project.notebook("a.ipynb", "os.remove('gone.txt')")
    project.notebook("b.ipynb")
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (1, ["a"])
    assert kinds(done) == {"a.ipynb": "executed", "b.ipynb": "failed"}
    told = failure(done, "b.ipynb")
    assert (told["kind"], told["message"]) == (
        "input",
        "asset 'gone.txt' of 'b.ipynb' does not exist",
    )


def test_a_result_whose_inputs_changed_meanwhile_is_shown_but_not_kept(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["x.txt"]')
    project.write("x.txt", "before")
    project.notebook(
        "a.ipynb", "print(open('x.txt').read())", "_ = open('x.txt', 'w').write('after!')"
    )
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (0, ["a"])
    (outcome,) = done.data["outcomes"]
    assert (outcome["kind"], outcome["cached"]) == ("executed", False)
    assert outcome["notes"] == [  # what it read is proposed as no artefact
        "the result is shown but not cached: asset 'x.txt' changed while it ran; it will run again",
    ]
    assert project.shown("a.ipynb") == "before\n"
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "after!\n"
    assert project.build() == []
