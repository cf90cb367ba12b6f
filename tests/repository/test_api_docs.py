"""docs/reference/api.md: every example runs, every public name is in it, and a client is typed."""

import contextlib
import inspect
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from notebook_sources import ipynb

import nbbuild

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/api.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

WRITES = "import os\nos.makedirs('figures')\n_ = open('figures/summary.txt', 'w').write('seven')"
CONFIG = """[project]
notebooks = ["report.ipynb"]

[[notebook]]
path = "report.ipynb"
artefacts = ["figures/summary.txt"]
"""


@pytest.fixture
def docs(project):
    """The project that the page speaks of, in the folder `docs`."""
    project.write("docs/jcache.toml", CONFIG)
    project.write("docs/report.ipynb", ipynb([WRITES, "6 + 1"]))
    return project.root / "docs"


def test_every_example_runs(docs, capsys):
    assert len(BLOCKS) == 12
    for block in BLOCKS:
        ends = pytest.raises(SystemExit, match=r"^0$") if "SystemExit" in block else None
        with ends or contextlib.nullcontext():
            exec(compile(block, "docs/reference/api.md", "exec"), {"__name__": "__main__"})
    said = capsys.readouterr().out
    for line in (
        "report.ipynb executed",
        "report.ipynb report.ipynb _build/executed/report.ipynb",
        "1 of 1 notebooks may have to run",
        "report.ipynb: In [2] of 2",
        "there is no notebook, task, artefact or group 'reprot.ipynb'",
        "did you mean 'report.ipynb'?",
        "b'seven'",
    ):
        assert line in said, line


def test_the_page_names_exactly_what_is_public():
    table = PAGE.partition("## All names")[2]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {name for cell in first for name in re.findall(r"`(\w+)", cell)} | {"open_session"}
    assert named == set(nbbuild.__all__) - {"__version__"}


@pytest.mark.slow
def test_a_client_passes_a_strict_type_checker(tmp_path):
    """The examples that use nbbuild do, but for Sphinx's, which leaves its arguments untyped."""
    pytest.importorskip("mypy")
    for number, block in enumerate(BLOCKS):
        if "import nbbuild" in block and "def setup(app)" not in block:
            (tmp_path / f"example_{number}.py").write_text(block)
    (tmp_path / "wrong.py").write_text(
        "import nbbuild\nnbbuild.build(jobs='2')\nnbbuild.bild()\n"
        "reveal_type(nbbuild.plan('docs'))\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", "."],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout.splitlines() == [
        'wrong.py:2: error: Argument "jobs" to "build" has incompatible type "str"; '
        'expected "int | None"  [arg-type]',
        'wrong.py:3: error: Module has no attribute "bild"; maybe "build"?  [attr-defined]',
        'wrong.py:4: note: Revealed type is "nbbuild.judging.verdicts.Plan"',
        f"Found 2 errors in 1 file (checked {len(BLOCKS) - 1} source files)",
    ]


def test_the_wheel_says_that_it_is_typed(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert "nbbuild/py.typed" in zipfile.ZipFile(wheel).namelist()


@pytest.mark.slow
def test_the_sphinx_extension_builds_the_notebooks_before_the_pages(docs):
    (extension,) = [block for block in BLOCKS if "def setup(app)" in block]
    (docs / "conf.py").write_text(extension)
    (docs / "index.rst").write_text("Title\n=====\n\n.. literalinclude:: figures/summary.txt\n")

    def sphinx():
        return subprocess.run(
            [sys.executable, "-m", "sphinx", "-b", "html", ".", "_build/html"],
            cwd=docs,
            capture_output=True,
            text=True,
            check=False,
        )

    first = sphinx()
    assert first.returncode == 0, first.stderr
    assert "notebook report.ipynb: executed" in first.stdout
    assert "seven" in (docs / "_build/html/index.html").read_text()

    (docs / "report.ipynb").write_text(ipynb([WRITES.replace("seven", "eight")]))
    assert "notebook report.ipynb: executed" in sphinx().stdout
    assert "eight" in (docs / "_build/html/index.html").read_text()

    (docs / "report.ipynb").write_text(ipynb(["1 / 0"]))
    broken = sphinx()
    assert broken.returncode != 0
    assert "report.ipynb: ZeroDivisionError: division by zero" in broken.stderr


@pytest.mark.parametrize("name", ["load", "plan", "build", "build_async"])
def test_the_table_has_the_parameters_of_each_function(name):
    row = re.search(rf"^\| `{name}\((.*?)\)`", PAGE, re.MULTILINE)
    shown = [one for one in row[1].split(", ") if one != "*"]
    assert shown == list(inspect.signature(getattr(nbbuild, name)).parameters)
