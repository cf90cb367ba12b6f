"""A result that may be wrong is shown, told, and never kept; files of the user's are never lost."""

import os
import py_compile

from notebook_sources import code


def notes(done):
    return done.data["outcomes"][0]["notes"]


def test_artefacts_of_a_kernel_that_was_killed_while_leaving_are_not_kept(project, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.kernel.SHUTDOWN_PATIENCE", 0.5)
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
    project.notebook(
        "a.ipynb",
        "import atexit, time\nf = open('o.txt', 'w')\n_ = f.write('data')\n"
        "_ = atexit.register(time.sleep, 30)",
    )
    done = project.nbbuild("--json")

    assert done.status == 0
    assert not done.data["outcomes"][0]["cached"]
    assert notes(done)[-1] == (
        "the result is shown but not cached: files that it wrote may be incomplete; "
        "it will run again"
    )
    assert project.verdicts() == {"a.ipynb": "run"}


def test_a_sandbox_is_as_deep_as_its_inputs_climb(project):
    outside = project.write("../../deep/outside.csv", "precious")
    climb = os.path.relpath(outside, project.root)
    project.config(
        f'[execution]\nsandbox = true\n[[notebook]]\npath = "a.ipynb"\nassets = ["{climb}"]'
    )
    project.notebook("a.ipynb", f"print(open({climb!r}).read())", f"_ = open({climb!r}, 'w')")

    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "precious\n"
    assert outside.read_text() == "precious"


def test_a_sandboxed_run_takes_the_place_of_a_users_file_only_when_it_ends_well(project):
    project.config(
        '[execution]\nsandbox = true\n[[notebook]]\npath = "a.ipynb"\nartefacts = ["out.csv"]'
    )
    project.write("out.csv", "precious")
    project.notebook("a.ipynb", "_ = open('out.csv', 'w').write('new')", "raise SystemError")
    assert project.build(status=1) == ["a"]
    assert project.read("out.csv") == "precious"

    project.notebook("a.ipynb", "_ = open('out.csv', 'w').write('new')")
    done = project.nbbuild("--json")
    assert done.status == 0
    assert project.read("out.csv") == "new"
    kept = list((project.root / ".nbbuild/replaced").rglob("out.csv.replaced"))
    assert [path.read_text() for path in kept] == ["precious"]
    assert any("out.csv" in note for note in notes(done))


def test_the_place_of_injected_parameters_counts_and_the_cell_they_replace_does_not(project):
    def cells(tagged):
        return [
            code(source, tags=["injected-parameters"] if number == tagged else [])
            for number, source in enumerate(["x = 1", "x = 2", "print(x)"])
        ]

    project.config('[[notebook]]\npath = "a.ipynb"\nparameters = { x = 7 }')
    project.notebook("a.ipynb", *cells(0))
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "2\n"

    project.notebook("a.ipynb", *cells(1))
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "7\n"

    replaced = cells(1)
    replaced[1]["source"] = "x = 'of an earlier injection'"
    project.notebook("a.ipynb", *replaced)
    assert project.build() == []


def test_modules_are_compiled_from_source_watched_or_not(project):
    for trace in ("true", "false"):
        project.config(
            f'[execution]\ntrace = {trace}\n[[notebook]]\npath = "a.ipynb"\nmodules = ["m"]'
        )
        module = project.write("m.py", "V = 1\n")
        py_compile.compile(str(module))
        before = module.stat()
        module.write_text("V = 2\n")
        os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
        project.notebook("a.ipynb", "import m", f"print(m.V)  # trace = {trace}")
        assert project.build() == ["a"]
        assert project.shown("a.ipynb") == "2\n"
