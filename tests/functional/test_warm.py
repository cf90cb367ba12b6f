"""Kernels that are forked, seen from a whole build: the same results, traces and promises."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import nbbuild

pytestmark = pytest.mark.own_way("kernels are forked")

# Says in the log how the kernel came to be, and which packages it had then.
HOW = """\
import os as _os, sys as _sys
_how = "warm" if "zygote.py" in open("/proc/self/cmdline").read() else "stock"
_has = [name for name in ("matplotlib", "numpy", "pandas") if name in _sys.modules]
with open(_os.getenv("RUN_LOG"), "a") as _log:
    _ = _log.write("{name}:" + "+".join([_how, *_has]) + "\\n")
"""


def notebook(project, name, *cells):
    project.notebook(f"{name}.ipynb", HOW.format(name=name), *cells, log=False)


def last(project, name):
    """Return the record of a task's last run."""
    with nbbuild.open_session(project.root) as session:
        return session.runs.last(session.graph.tasks[name])[1]


def items(project, name):
    return {(one.kind, one.name, one.value) for one in last(project, name).trace.items}


def test_kernels_are_forked_and_verify_takes_none(project):
    project.config("")
    for name in ("a", "b"):
        notebook(project, name, f"print('{name}')")

    assert project.build("-j2") == ["a:warm", "b:warm"]
    assert sorted(project.nbbuild("verify").ran) == ["a:stock", "b:stock"]
    assert project.build("-B", "a.ipynb") == ["a:warm"]  # also one alone
    project.config("[execution]\nwarm = false")
    assert project.build("-B") == ["a:stock", "b:stock"]


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("quickstart", ["notebooks/prepare.ipynb", "notebooks/report.md"]),
        ("book", []),
    ],
)
@pytest.mark.slow
def test_the_examples_give_the_same(tmp_path, name, loaded):
    example = Path(__file__).parents[2] / "examples" / name
    made = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", "build", "figures")
    private = {".nbbuild", ".jupyter_cache", "jcache.toml"}
    root = tmp_path / name  # the same each time: a path may be shown
    config = (example / "jcache.toml").read_text()

    def begin() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(example, root, ignore=made)

    def built(warm: str) -> tuple[dict[str, bytes], dict[str, tuple[str, ...]]]:
        """Run all; return what lies there then, and what was loaded beforehand for which task."""
        table = config.replace("[execution]", f"[execution]\nwarm = {warm}")
        (root / "jcache.toml").write_text(table)
        with nbbuild.open_session(root) as session:
            report = nbbuild.build(session, jobs=2, force=True)
            records = [session.runs.last(task)[1] for task in session.graph.tasks.values()]
        ends = {(outcome.kind.value, outcome.failure) for outcome in report.outcomes}
        assert ends == {("executed", None)}
        files = {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and private.isdisjoint(path.parts)
        }
        return files, {one.task: one.preloads for one in records if one.preloads}

    begin()
    stock, _ = built("false")
    begin()
    assert built('"auto"') == (stock, dict.fromkeys(loaded, ("pandas",)))  # by their code
    assert built('"kernel"') == (stock, {})
    assert built('"auto"') == (stock, dict.fromkeys(loaded, ("pandas",)))  # by their last runs


@pytest.mark.slow
def test_what_notebooks_import_is_loaded_beforehand_and_the_trace_is_the_same(project):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    project.config("[execution]\nwarm = false")
    for name in ("a", "b"):
        notebook(project, name, "import pandas as pd\nimport matplotlib.pyplot as plt")
    notebook(project, "c", "import pandas as pd", "pd.__name__")
    notebook(project, "d", "import os\nos.environ['PANDAS_X'] = '1'\nimport pandas as pd")
    project.build("-j2")
    cold = {name: items(project, f"{name}.ipynb") for name in "abc"}
    assert last(project, "a.ipynb").preloads == ()
    warm = [
        "a:warm+matplotlib+numpy+pandas",
        "b:warm+matplotlib+numpy+pandas",
        "c:warm+numpy+pandas",
        "d:warm",
    ]

    project.config("")
    shutil.rmtree(project.root / ".nbbuild")
    assert project.build("-B", "-j2") == warm  # by what their code says
    assert {name: items(project, f"{name}.ipynb") for name in "abc"} == cold
    for name in "abcd":
        source = project.read(f"{name}.ipynb")
        project.write(f"{name}.ipynb", source.replace("_has]", "_has, ]"))
    assert project.build("-j2") == warm  # by what they imported
    # Those that need more of the others come later; and pandas is there for c, too.
    assert last(project, "a.ipynb").preloads == ("pandas", "matplotlib.pyplot")
    for name in "abc":
        assert items(project, f"{name}.ipynb") == cold[name]
    # What was loaded beforehand looks for a file in the folder of each notebook.
    assert ("absent", "matplotlibrc", "") in cold["a"]
    project.write("matplotlibrc", "figure.dpi: 50\n")
    assert project.verdicts() == {
        "a.ipynb": "run",
        "b.ipynb": "run",
        "c.ipynb": "fresh",
        "d.ipynb": "fresh",
    }
    done = project.nbbuild("-v", "-j2")
    assert sorted(done.ran) == ["a:stock", "b:stock"]
    assert (
        "note: a.ipynb: its kernel was started in the ordinary way: "
        "'matplotlibrc' is wanted by what is loaded\n"
    ) in done.err


def test_modules_by_name_count_as_imported_and_a_local_one_comes_first(project):
    pytest.importorskip("numpy")
    project.config('[execution]\nwarm = ["numpy", "no_such_module"]')
    for name in ("a", "b"):
        notebook(project, name, "print('hello')")

    done = project.nbbuild("-j2", "-v")

    assert sorted(done.ran) == ["a:warm+numpy", "b:warm+numpy"]
    assert (
        "note: a.ipynb: 'no_such_module' is not loaded beforehand: it cannot be imported: "
        "ModuleNotFoundError(\"No module named 'no_such_module'\")\n"
    ) in done.err
    assert "beforehand" not in project.nbbuild("-B", "-j2").err
    found = {item.name for item in last(project, "a.ipynb").trace.items}
    assert "numpy" in found
    assert last(project, "a.ipynb").preloads == ("numpy",)

    project.write("numpy.py", "print('the local one')")
    for name in ("a", "b"):
        notebook(project, name, "import numpy")
    done = project.nbbuild("-j2", "-v")
    assert sorted(done.ran) == ["a:stock", "b:stock"]
    assert project.shown("a.ipynb") == "the local one\n"
    where = f"'{project.root}/numpy.py' would be imported first"
    said = f"its kernel was started in the ordinary way: {where}\n"
    assert any(f"note: {name}.ipynb: {said}" in done.err for name in "ab")


def test_sandboxes_and_local_modules_do_not_keep_kernels_from_being_forked(project):
    project.config("""
        [project]
        notebooks = ["*.ipynb"]
        python_path = ["src"]

        [execution]
        sandbox = true

        [[notebook]]
        path = "*.ipynb"
        modules = ["helper"]
    """)
    project.write("src/helper.py", "NAME = 'helper of ' + __file__.rsplit('/', 3)[1]\n")
    after = "sys.path[sys.path.index('') + 1][-4:]"
    for name in ("a", "b"):
        notebook(project, name, "import helper, sys", f"helper.NAME, {after}")

    assert project.build("-j2") == ["a:warm", "b:warm"]
    assert project.shown("a.ipynb") == "('helper of project', '/src')"


def test_system_calls_of_forked_kernels_are_watched(project):
    project.config('[execution]\ntrace = "syscalls"')
    for name in ("a", "b"):
        notebook(project, name, "print('hello')")

    done = project.nbbuild("-j2", "-v")

    assert sorted(done.ran) == ["a:warm", "b:warm"]
    assert {last(project, f"{name}.ipynb").trace.level for name in "ab"} == {"syscalls"}


THREADS = """\
import os
print({name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")})
"""


def printed(project, name):
    built = project.built(f"{name}.ipynb")
    outputs = [output for cell in built["cells"] for output in cell.get("outputs", ())]
    return "".join("".join(output["text"]) for output in outputs).strip()


def test_notebooks_side_by_side_share_the_cores_and_one_alone_has_them_all(project, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("nbbuild.kernels.launch.machine.cores", lambda: 8)
    project.config("")
    for name in ("a", "b", "c"):
        notebook(project, name, THREADS)
    project.build("-j3")
    assert printed(project, "a") == "{'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}"
    project.build("-B", "-j8")
    assert printed(project, "a") == "{'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}"
    project.build("-B", "-j3", "a.ipynb")
    assert printed(project, "a") == "{'OMP_NUM_THREADS': None, 'MKL_NUM_THREADS': None}"
    project.build("-B", "-j1")
    assert printed(project, "b") == "{'OMP_NUM_THREADS': None, 'MKL_NUM_THREADS': None}"


def test_a_number_of_threads_that_the_user_set_stays(project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)  # MKL asks OMP_NUM_THREADS then
    project.config("")
    for name in ("a", "b"):
        notebook(project, name, THREADS)
    project.build("-j2")
    assert printed(project, "a") == "{'OMP_NUM_THREADS': '3', 'MKL_NUM_THREADS': None}"


LOOK_FOR_C = """\
import pathlib, time
began, end = pathlib.Path("c began"), time.monotonic() + 3
over = began.exists()  # c had its turn before
while not over and not began.exists() and time.monotonic() < end: time.sleep(0.01)
print("with c" if began.exists() and not over else "alone")
"""


@pytest.mark.own_way("max_memory counts what the launcher's children hold")
def test_while_kernels_hold_what_they_may_the_next_one_waits(project):
    project.config(
        """
        [execution]
        max_memory = "1MB"
        trace = false
        [[notebook]]
        path = "c.ipynb"
        depends_on = ["b.ipynb"]
        """
    )
    notebook(project, "a", LOOK_FOR_C)
    notebook(project, "b", "1")
    notebook(project, "c", "open('c began', 'w').close()")
    done = project.nbbuild("-j2")
    assert done.status == 0, done.err
    assert printed(project, "a") == "alone"
    # c waits, or b already, if a was there before it; or a, if b was.
    assert re.search(
        r"[abc].ipynb.* waits for memory: kernels hold [0-9.]+ MB, and max_memory is 1.0 MB",
        done.err,
    )
