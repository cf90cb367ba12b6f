"""Sandboxes: what is declared is in its place, and whatever else the project has is an error."""

import pytest

SANDBOX = "[execution]\nsandbox = true\n"
HINT = "a sandbox holds only what is declared; in jcache.toml, for this notebook: "


def failure(done):
    (failed,) = [one["failure"] for one in done.data["outcomes"] if one["failure"]]
    return failed["kind"], failed["message"], failed["hint"]


def test_every_kind_of_declared_input_is_in_its_place(project):
    project.config(
        '[project]\nnotebooks = ["deep/*.ipynb", "deep/*.md"]\npython_path = ["src", "none"]\n'
        "[execution]\nsandbox = true\njobs = 1\n"
        '[environment]\nfiles = ["settings.ini"]\n'
        '[[notebook]]\npath = "deep/a-maker.ipynb"\nartefacts = ["data/made.txt"]\n'
        '[[notebook]]\npath = "deep/reader.md"\nmodules = ["tool", "deep/beside.py"]\n'
        'depends_on = ["deep/a-maker.ipynb"]\n'
        'assets = ["data/*.txt", "../outside.txt", "_build/executed/deep/a-maker.ipynb"]\n'
    )
    project.write("src/tool.py", "import helper\nsaid = helper.said\n")
    project.write("src/helper.py", "said = 'module'\n")
    project.write("deep/beside.py", "said = 'beside'\n")
    project.write("deep/loaded.py", "import tool, beside\nprint(tool.said, beside.said)\n")
    project.write("settings.ini", "file")
    project.write("data/in.txt", "asset")
    project.write("../outside.txt", "outside")
    project.notebook(
        "deep/a-maker.ipynb",
        "print('built')\nos.makedirs('../data')\n_ = open('../data/made.txt', 'w').write('made')",
    )
    project.text(
        "deep/reader.md",
        "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n"
        "kernelspec:\n  name: python3\n---\n\n```{code-cell}\n{log}\n```\n\n"
        "```{code-cell}\n:load: loaded.py\n```\n\n```{code-cell}\n"
        "import glob, sys\n"
        "print(*(open(path).read() for path in sorted(glob.glob('../data/*.txt'))))\n"
        "print(open('../settings.ini').read(), open('../../outside.txt').read())\n"
        "print('built' in open('../_build/executed/deep/a-maker.ipynb').read())\n"
        "here = sys.path.index('')\n"
        "print([os.path.relpath(path) for path in sys.path[here + 1 : here + 3]])\n"
        "print(all(os.path.isdir(path) for path in sys.path[here + 1 : here + 3]))\n"
        "print(sorted(os.listdir('../data')), sorted(os.listdir('../src')))\n```\n",
    )
    done = project.nbbuild("--json")
    assert done.status == 0, done.err
    assert done.ran == ["deep/a-maker", "deep/reader"]
    assert project.shown("deep/reader.ipynb").splitlines() == [
        "module beside",
        "asset made",
        "file outside",
        "True",
        "['../src', '../none']",
        "True",
        "['in.txt', 'made.txt'] ['helper.py', 'tool.py']",
    ]


# Each is a notebook of its own: what it does, what the failure says, and the lines to add.
UNDECLARED = {
    "read": (
        "print(open('data/b.csv').read())",
        "error: FileNotFoundError: [Errno 2] No such file or directory: 'data/b.csv'",
        'assets = ["data/b.csv"]',
    ),
    "probe": (
        "print(os.path.exists('data/b.csv'))",
        "undeclared: In [2] looks for 'data/b.csv', which is in the project but not in its sandbox",
        'assets = ["data/b.csv"]',
    ),
    "shell": (
        f"!echo made {'z' * 300} > data.txt; cat 'data/b.csv' data.txt",
        "undeclared: In [2] reads 'data/b.csv', which is in the project but not in its sandbox",
        'assets = ["data/b.csv"]',
    ),
    "glob": (
        "import glob\nprint(glob.glob('data/b*.csv'))",
        "undeclared: In [2] looks for 'data/b.csv', which is in the project but not in its sandbox",
        'assets = ["data/b.csv"]',
    ),
    "listing": (
        "print(os.listdir('data'))",
        "undeclared: In [2] lists 'data', of which its sandbox holds only a part",
        'assets = ["data"]',
    ),
    "folder": (
        "print(os.path.isdir('empty'), os.path.isdir('more'))",
        "undeclared: In [2] looks for 'more', which is in the project but not in its sandbox",
        'assets = ["more"]',
    ),
    "absolute": (
        "print(open('{root}/data/b.csv').read(), open('{root}/data/a.csv').read())",
        "undeclared: In [2] reads 'data/b.csv', which is in the project but not in its sandbox",
        'assets = ["data/b.csv"]',
    ),
    "parent": (
        "try: open('../around.txt')\nexcept OSError: print('none')",
        "undeclared: In [2] reads '../around.txt', which is in the project but not in its sandbox",
        'assets = ["../around.txt"]',
    ),
    "import": (
        "import tool",
        "error: ModuleNotFoundError: No module named 'tool'",
        'modules = ["tool"]',
    ),
    "optional": (
        "try: import plugins.extra\nexcept ImportError: print('without')",
        "undeclared: In [2] imports 'plugins/__init__.py', "
        "which is in the project but not in its sandbox",
        'modules = ["plugins"]',
    ),
    "hidden": (
        "import tomlkit",
        "undeclared: In [2] imports 'tomlkit.py', which is in the project but not in its sandbox",
        'modules = ["tomlkit"]',
    ),
    "elsewhere": (
        "import sys\nsys.path.insert(0, 'lib')\nimport far, tool",
        "error: ModuleNotFoundError: No module named 'far'",
        'modules = ["lib/far.py"]',
    ),
    "around": (
        "import sys\nsys.path.insert(0, '{root}/lib')\nimport far",
        "undeclared: In [2] imports 'lib/far.py', which is in the project but not in its sandbox",
        'modules = ["lib/far.py"]',
    ),
    "both": (
        "print(os.path.exists('data/[c].csv'), os.path.exists('more/d.csv'))\nimport tool",
        "error: ModuleNotFoundError: No module named 'tool'",
        'assets = ["data/[[]c].csv", "more/d.csv"] and modules = ["tool"]',
    ),
}


@pytest.mark.own_way("system calls are watched")
def test_what_is_undeclared_fails_and_names_the_lines_to_add(project):
    project.config(
        SANDBOX + '[[notebook]]\npath = "*"\nassets = ["data/a.csv"]\nartefacts = []\n'
        '[project]\nnotebooks = ["*.ipynb"]\npython_path = ["src"]\n'
    )
    for path in ("data/a.csv", "data/b.csv", "data/[c].csv", "more/d.csv", "../around.txt"):
        project.write(path, path)
    for path in ("src/tool.py", "plugins/__init__.py", "plugins/extra.py", "lib/far.py"):
        project.write(path, "")
    for path in ("tomlkit.py", "data.txt"):
        project.write(path, "")
    for name, (cell, _, _) in UNDECLARED.items():
        project.notebook(f"{name}.ipynb", cell.replace("{root}", str(project.root)))
    done = project.nbbuild("--json", "-j2")
    assert done.status == 1
    failures = {one["task"][:-6]: one["failure"] for one in done.data["outcomes"]}
    for name, (_, message, lines) in UNDECLARED.items():
        said = failures[name]
        assert said is not None, name
        assert f"{said['kind']}: {said['message']}" == message
        assert said["hint"] == HINT + lines, name
    assert not project.exists("_build")


def test_what_a_sandbox_may_do_without(project):
    """Own artefacts, what is written anew, version control and what is nowhere are not missed."""
    project.config(
        SANDBOX + '[[notebook]]\npath = "a.ipynb"\nartefacts = ["figures/*.txt", "own.txt"]'
    )
    project.write(".git/HEAD", "ref")
    project.write("again.txt", "of an earlier run, outside a sandbox")
    project.write("own.txt", "of the user")
    project.notebook(
        "a.ipynb",
        "print(os.path.exists('.git'), os.path.exists('nowhere'), os.path.exists('own.txt'))\n"
        "print(os.path.isdir('figures'))\n"
        "os.makedirs('figures', exist_ok=True)\n"
        "for path in ('figures/a.txt', 'own.txt'): _ = open(path, 'w').write('made')\n"
        "if not os.path.exists('again.txt'): _ = open('again.txt', 'w').write('made')\n"
        "try: import nothing_of_that_name\nexcept ImportError: pass",
    )
    for _ in range(2):
        done = project.nbbuild("--json", "-B")
        assert done.status == 0, done.err
        assert project.shown("a.ipynb") == "False False False\nFalse\n"
        (outcome,) = done.data["outcomes"]
        lost = 'wrote undeclared files in its sandbox; to keep them: artefacts = ["again.txt"]'
        assert lost in outcome["notes"]
    assert project.read("figures/a.txt") == "made"
    assert project.read("again.txt") == "of an earlier run, outside a sandbox"
    assert project.build() == []


def test_without_a_watch_the_failing_cell_tells_what_it_names(project):
    project.config(SANDBOX + "trace = false")
    project.write("data.csv", "1")
    project.notebook("a.ipynb", "x = 'elsewhere.csv'", f"{'z' * 300!r}; open('data.csv')")
    done = project.nbbuild("--json")
    assert done.status == 1
    assert failure(done) == (
        "error",
        "FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'",
        HINT + 'assets = ["data.csv"]',
    )


def test_a_failed_run_leaves_the_project_as_it_was_and_is_mended_by_the_lines(project):
    declared = '[[notebook]]\npath = "a.ipynb"\nartefacts = ["out.txt"]\n'
    project.config(SANDBOX + declared)
    project.write("data/x.txt", "x")
    project.write("out.txt", "precious")
    project.notebook(
        "a.ipynb",
        "_ = open('out.txt', 'w').write('new')\n"
        "try: print(open('data/x.txt').read())\nexcept OSError: print('nothing')",
    )
    done = project.nbbuild()
    assert done.status == 1
    assert project.read("out.txt") == "precious"
    head, *lines, _ = done.err.splitlines()[1:]
    assert head.startswith("failed a.ipynb after ")
    assert head.endswith(
        " s: In [2] reads 'data/x.txt', which is in the project but not in its sandbox"
    )
    assert lines == [
        "    as far as it went: .nbbuild/failed/a.ipynb.failed",
        "    to look at it: nbbuild show --open a.ipynb",
        f'    hint: {HINT}assets = ["data/x.txt"]',
    ]

    project.config(SANDBOX + declared + 'assets = ["data/x.txt"]')
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "x\n"
    assert project.read("out.txt") == "new"
