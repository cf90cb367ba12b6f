"""A notebook cannot tell whether it is watched, and what it used is told by cell."""

from __future__ import annotations

import marshal
import re
from pathlib import Path

import pytest

from nbbuild.watching.injection import install_code, prepare, report_code
from nbbuild.watching.reading import read_report

SNIPPETS = [
    "print(sorted(dir()))",
    "print(sorted(globals()))",
    "import sys; print(sorted(sys.modules))",
    "print(sys.path, sys.meta_path, sys.path_hooks)",
    "import os; print(sorted(os.environ), type(os.environ), os.environ.get('PYTHONPATH'))",
    "In, Out, _i, _ii, _",
    "import linecache; print(len(linecache.cache), len(get_ipython().compile._filename_map))",
    "print(get_ipython().execution_count, len(get_ipython().history_manager.input_hist_parsed))",
    "1 + 1",
    "_",
    "open('none.txt')",
    "os.stat('none.txt')",
    "os.path.getsize('none.txt')",
    "import pathlib; pathlib.Path('none.txt').stat()",
    "pathlib.Path('none.txt').read_text()",
    "os.stat()",
    "os.stat('a.txt', nothing=1)",
    "os.stat('nul\\0')",
    "os.environ['NOWHERE']",
    "os.environ[1]",
    "os.environ.pop('NOWHERE')",
    "os.listdir('nowhere')",
    "os.readlink('a.txt')",
    "import nowhere_at_all",
    "import importlib; importlib.import_module('nowhere_at_all.sub')",
    "import broken",
    "import wrong_syntax",
    "importlib.import_module('broken')",
    "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    try:\n"
    "        os.stat('none.txt')\n    except OSError:\n        print(traceback.format_exc())",
    "print(os.stat, os.open, os.stat.__name__, os.lstat.__doc__, os.access.__text_signature__)",
    "import inspect; print(inspect.signature(os.stat), inspect.isbuiltin(os.stat))",
    "print(os.stat in os.supports_dir_fd, os.stat in os.supports_follow_symlinks)",
    "import pickle; print(pickle.loads(pickle.dumps(os.stat)) is os.stat, os.stat == os.stat)",
    "import copy; copy.copy(os.environ) == os.environ, copy.deepcopy(os.stat) is os.stat",
    "import helper; print(helper.__cached__, inspect.getsource(helper))",
    "import warnings; warnings.warn('mind')",
    "import subprocess; subprocess.run(['nothing-like-it'])",
    "print(subprocess.run(['cat', 'a.txt'], capture_output=True))",
    "print(subprocess.run([sys.executable, '-c', 'import os, sys; print(sorted(os.environ), "
    "sys.path, sorted(sys.modules))'], capture_output=True, text=True))",
    "!cat a.txt",
    "%pwd",
    "print([t.name for t in __import__('threading').enumerate()])",
    "print(vars())",
]


def masked(published):
    """What differs between any two kernels."""
    messages, count = published
    merged = []
    for kind, content in messages:  # how a stream is cut into messages is chance
        if kind == "stream" and merged and merged[-1][1].get("name") == content["name"]:
            merged[-1][1]["text"] += content["text"]
        else:
            merged.append((kind, dict(content)))
    text = repr((merged, count))
    text = re.sub(r"ipykernel_\d+", "ipykernel_N", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0xN", text)
    return re.sub(r"PARENT_PID=\d+|Thread-\d+", "", text)


@pytest.fixture
def modules(folder):
    (folder / "helper.py").write_text("def help():\n    return 1\n")
    (folder / "broken.py").write_text("import os\nos.stat('none.txt')\n")
    (folder / "wrong_syntax.py").write_text("def f(:\n")


def test_a_watched_notebook_shows_what_an_unwatched_one_shows(kernel, observe_cells, modules):
    plain = kernel()
    expected = [plain.run(snippet) for snippet in SNIPPETS]
    published, _ = observe_cells(*SNIPPETS)
    for snippet, one, other in zip(SNIPPETS, expected, published, strict=True):
        assert masked(other) == masked(one), snippet
    assert [count for _, count in published] == list(range(1, len(SNIPPETS) + 1))


def test_what_was_used_is_told_by_cell(observe_cells, folder):
    (folder / "helper.py").write_text("text = open('a.txt').read()\n")
    (folder / "script.py").write_text("open('data/y.csv').read()\n")
    _, seen = observe_cells(
        "import os",
        "import helper\n1/0",
        "%run script.py",
        "!cat b.txt",
        "get_ipython().run_line_magic('run', 'none.py')",
    )
    cells = {path: use.cell for path, use in seen.files.items() if use.read}
    assert cells == {
        "helper.py": 2,
        "a.txt": 2,
        "script.py": 3,
        "data/y.csv": 3,
        "b.txt": 4,
        "none.py": 5,
    }
    helper = next(one for one in seen.observed.imports if one.name == "helper")
    assert (helper.importer, helper.cell, helper.kind) == ("__main__", 2, "source")
    assert helper.origin == str(folder / "helper.py")


def test_a_kernel_that_exits_leaves_its_account(kernel, folder, tracing):
    running = kernel()
    running.silently(install_code(tracing))
    running.run("import atexit; atexit.register(lambda: open('late.txt', 'w').write('1'))")
    running.run("open('a.txt'); exit()")
    running.ended()
    observed = read_report(Path(tracing.report))
    assert observed is not None
    told = {use.path: use for use in observed.files}
    assert told[f"{folder}/a.txt"].cell == 2
    assert told[f"{folder}/late.txt"].made
    assert observed.partial == ()


def test_an_account_can_be_asked_for_after_a_failure_and_again(observe_cells):
    published, seen = observe_cells("open('a.txt')", "1/0")
    assert published[-1][0][-1][0] == "error"
    assert seen.read == {"a.txt"}


def test_the_code_to_install_is_kept_between_runs(kernel, tmp_path, folder):
    cache = tmp_path / "cache"
    for run in ("first", "second"):
        tracing = prepare(tmp_path / run, cache=cache)
        running = kernel()
        assert running.silently(install_code(tracing)) == []
        running.run("open('a.txt')")
        running.silently(report_code(tracing, tmp_path / f"{run}.json"))
        observed = read_report(tmp_path / f"{run}.json")
        assert observed is not None
        assert f"{folder}/a.txt" in {use.path for use in observed.files}
    kept = [path.name.partition("-")[0] for path in sorted(cache.glob("*/*"))]
    assert kept == ["found", "tracer"]


def test_what_is_installed_is_read_again_once_its_folder_changed(kernel, tmp_path):
    cache = tmp_path / "cache"

    def told(run: str) -> dict[str, str]:
        tracing = prepare(tmp_path / run, cache=cache)
        running = kernel()
        running.silently(install_code(tracing))
        running.silently(report_code(tracing, tmp_path / f"{run}.json"))
        observed = read_report(tmp_path / f"{run}.json")
        assert observed is not None
        return {one.name: one.version for one in observed.distributions}

    first = told("first")
    (kept,) = cache.glob("*/found-*")
    places = marshal.loads(kept.read_bytes())
    for _, found in places.values():
        for one in found:
            one[1] = "kept"
    kept.write_bytes(marshal.dumps(places))
    assert told("second") == dict.fromkeys(first, "kept")
    for state, _ in places.values():
        state[0] += 1  # the folder's time of modification
    kept.write_bytes(marshal.dumps(places))
    assert told("third") == first
    kept.write_bytes(b"not what a kernel keeps")
    assert told("fourth") == first
