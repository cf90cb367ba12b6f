"""What makes a notebook run again, and what does not: change one thing, build, see what ran."""

import json
import os
import py_compile
import shutil
import sys

import msgspec

from changes import assert_each_asks, keeping_time
from nbbuild.interpreter.environment import Environments


def code(source, **more):
    return {
        "cell_type": "code",
        "metadata": {},
        "source": source,
        "execution_count": None,
        "outputs": [],
        **more,
    }


def prose(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def tagged(source, *tags):
    return code(source, metadata={"tags": list(tags)})


# -- the notebook itself -----------------------------------------------------------------------


def test_prose_is_refreshed_without_a_kernel(project):
    project.config("")
    project.notebook("a.ipynb", prose("# Old words"), "print('answer', 6 * 7)")
    assert project.build() == ["a"]

    project.notebook("a.ipynb", prose("# New words"), "print('answer', 6 * 7)", prose("The end."))
    assert project.verdicts() == {"a.ipynb": "refresh"}
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (0, [])
    assert done.data["counts"] == {"refreshed": 1}
    cells = project.built("a.ipynb")["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert texts == ["# New words", "The end."]
    assert project.shown("a.ipynb") == "answer 42\n"
    assert project.build() == []


def test_what_is_no_code_does_not_count(project):
    project.config("")
    project.notebook("a.ipynb", "1 + 1", "2 + 2")
    assert project.build() == ["a"]

    saved = {
        "output_type": "execute_result",
        "execution_count": 7,
        "data": {"text/plain": "old"},
        "metadata": {},
    }
    decorated = code(
        "1 + 1",
        metadata={"tags": ["hide-input", "remove-cell"], "collapsed": True},
        outputs=[saved],
        execution_count=7,
        id="another-id",
    )
    raw = {"cell_type": "raw", "metadata": {}, "source": "raw text"}
    spec = {"name": "python3", "display_name": "Something else", "language": "python"}
    more = {"kernelspec": spec, "language_info": {"name": "python", "version": "3.0"}}
    project.notebook("a.ipynb", decorated, raw, code("  \n"), "2 + 2", metadata=more)
    assert project.verdicts() == {"a.ipynb": "refresh"}
    assert project.build() == []
    assert project.shown("a.ipynb") == "24"
    assert project.built("a.ipynb")["metadata"]["kernelspec"]["display_name"] == "Something else"

    os.utime(project.root / "a.ipynb", (1, 1))
    assert project.verdicts() == {"a.ipynb": "fresh"}


def test_edited_code_runs_and_going_back_costs_nothing(project):
    project.config("")
    project.notebook("a.ipynb", "x = 'first'", "print(x)")
    assert project.build() == ["a"]
    first = project.read("_build/executed/a.ipynb")

    project.notebook("a.ipynb", "x = 'second'", "print(x)")
    assert project.reasons("a.ipynb") == ["cell 2 (In [2]) changed"]
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "second\n"

    project.notebook("a.ipynb", "x = 'first'", "print(x)")
    assert project.build() == []
    assert project.read("_build/executed/a.ipynb") == first


def test_order_white_space_and_the_tags_that_change_a_run_are_code(project):
    project.config("")
    project.notebook("a.ipynb", "x = 1", "y = 2")
    assert project.build() == ["a"]
    for cells in (["y = 2", "x = 1"], ["x = 1 ", "y = 2"], ["x = 1"], ["x = 1", "y = 2", "z = 3"]):
        project.notebook("a.ipynb", *cells)
        assert (cells, project.verdicts()) == (cells, {"a.ipynb": "run"})
    for tag in ("raises-exception", "skip-execution", "parameters"):
        project.notebook("a.ipynb", tagged("x = 1", tag, "hide-output"), "y = 2")
        cell = "cell 2" if tag == "skip-execution" else "cell 2 (In [2])"
        assert (tag, project.reasons("a.ipynb")) == (tag, [f"{cell} changed"])
    # Execution metadata of the notebook counts as the setting in effect, its timeout does not.
    project.notebook("a.ipynb", "x = 1", "y = 2", metadata={"execution": {"allow_errors": True}})
    assert project.reasons("a.ipynb") == ["settings: allow_errors changed: false → true"]
    project.notebook("a.ipynb", "x = 1", "y = 2", metadata={"execution": {"timeout": 5}})
    assert project.verdicts() == {"a.ipynb": "refresh"}
    project.notebook("a.ipynb", "x = 1", "y = 2")
    assert project.verdicts() == {"a.ipynb": "fresh"}


def test_a_loaded_file_is_code_of_a_myst_notebook(project):
    project.config('[project]\nnotebooks = ["*.md"]')
    head = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n\n"
    project.write("page.md", f"{head}Text.\n\n```{{code-cell}} ipython3\n:load: part.py\n```\n")
    project.write("part.py", "print('loaded once')\n")
    assert project.nbbuild().status == 0
    assert project.shown("page.ipynb") == "loaded once\n"
    assert project.verdicts() == {"page.md": "fresh"}

    project.write("part.py", "print('loaded twice')\n")
    assert project.reasons("page.md") == ["cell 2 (In [1]) changed"]


# -- assets ------------------------------------------------------------------------------------


def test_assets_count_by_content_and_by_being_there(project):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nassets = '
        '["one.csv", "many/*.txt", "folder", "../beside.csv", "link.csv"]'
    )
    project.write("one.csv", "one")
    project.write("many/1.txt", "1")
    project.write("many/2.txt", "2")
    project.write("folder/deep/x.bin", b"\x00\x01")
    project.write("../beside.csv", "beside")
    project.write("real.csv", "real")
    project.write("many/other.dat", "no asset")
    (project.root / "link.csv").symlink_to("real.csv")
    project.notebook("a.ipynb", "print(open('one.csv').read(), open('link.csv').read())")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "one real\n"

    for path in ("one.csv", "many/1.txt", "folder/deep/x.bin", "../beside.csv", "real.csv"):
        os.utime(project.root / path)
    project.write("many/other.dat", "still no asset")
    assert_each_asks(
        project,
        {
            "one.csv": ("another", "asset 'one.csv' changed"),
            "many/2.txt": (None, "asset 'many/2.txt' is gone"),
            "many/3.txt": ("3", "asset 'many/3.txt' is new"),
            "folder/deep/x.bin": (b"\x00\x02", "asset 'folder/deep/x.bin' changed"),
            "folder/y.bin": (b"", "asset 'folder/y.bin' is new"),
            "../beside.csv": ("moved", "asset '../beside.csv' changed"),
            "real.csv": ("unreal", "asset 'link.csv' changed"),
        },
    )
    # A link that points elsewhere counts by what it leads to.
    project.write("copy.csv", "real")
    (project.root / "link.csv").unlink()
    (project.root / "link.csv").symlink_to("copy.csv")
    assert project.verdicts() == {"a.ipynb": "fresh"}

    project.write("copy.csv", "changed")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "one changed\n"


def test_edits_of_the_same_size_in_the_same_second_are_seen(project):
    """Python trusts bytecode by whole seconds and size; nbbuild must not, and show the new."""
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["x.txt"]\nmodules = ["tool"]')
    asset = project.write("x.txt", "asset 1")
    module = project.write("tool.py", "said = 'module 1'\n")
    project.notebook("a.ipynb", "import tool", "print(open('x.txt').read(), tool.said)")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "asset 1 module 1\n"

    keeping_time(asset, "asset 2")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "asset 2 module 1\n"

    keeping_time(module, "said = 'module 2'\n")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "asset 2 module 2\n"


def test_bytecode_that_somebody_left_is_not_believed(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nmodules = ["tool"]')
    module = project.write("tool.py", "said = 'old'\n")
    py_compile.compile(str(module))
    assert list(project.root.glob("__pycache__/tool.*.pyc"))
    keeping_time(module, "said = 'new'\n")
    project.notebook("a.ipynb", "import tool", "print(tool.said)")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "new\n"


# -- modules -----------------------------------------------------------------------------------


def test_a_declared_module_counts_with_all_that_it_imports_here(project):
    project.config(
        '[project]\nnotebooks = ["notes/*.ipynb"]\npython_path = ["src"]\n'
        '[[notebook]]\npath = "notes/a.ipynb"\nmodules = ["shapes.round", "scripts/tool.py"]'
    )
    project.write("src/shapes/__init__.py", "from .base import AREA\n")
    project.write("src/shapes/base.py", "AREA = 1\n")
    project.write("src/shapes/round.py", "from . import base\nimport helpers\nPI = 3\n")
    project.write("src/shapes/square.py", "SIDE = 2\n")
    project.write("src/shapes/table.csv", "a,b\n")
    project.write("src/helpers.py", "def lazily():\n    import lazy\n    return lazy.VALUE\n")
    project.write("src/lazy.py", "VALUE = 5\n")
    project.write("src/alone.py", "nobody imports this\n")
    project.write("scripts/tool.py", "import near\n")
    project.write("scripts/near.py", "import json\n")
    project.notebook(
        "notes/a.ipynb",
        "import shapes.round, helpers",
        "print(shapes.round.PI, shapes.AREA, helpers.lazily())",
    )
    assert project.build() == ["notes/a"]
    assert project.shown("notes/a.ipynb") == "3 1 5\n"

    project.write("src/shapes/square.py", "SIDE = 3\n")
    project.write("src/shapes/table.csv", "c,d\n")
    project.write("src/alone.py", "nor this\n")
    edited = (
        "src/shapes/__init__.py",
        "src/shapes/base.py",
        "src/shapes/round.py",
        "src/helpers.py",
        "src/lazy.py",
        "scripts/tool.py",
        "scripts/near.py",
    )
    assert_each_asks(
        project,
        {path: (project.read(path) + "#\n", f"module '{path}' changed") for path in edited},
        task="notes/a.ipynb",
    )


def test_the_working_folder_comes_before_python_path(project):
    project.config(
        '[project]\nnotebooks = ["notes/*.ipynb"]\npython_path = ["src"]\n'
        '[[notebook]]\npath = "notes/a.ipynb"\nmodules = ["lazy"]'
    )
    project.write("src/lazy.py", "where = 'python_path'\n")
    project.write("notes/lazy.py", "where = 'working folder'\n")
    project.notebook("notes/a.ipynb", "import lazy", "print(lazy.where)")
    assert project.build() == ["notes/a"]
    assert project.shown("notes/a.ipynb") == "working folder\n"


# -- the environment ---------------------------------------------------------------------------


def test_a_declared_variable_counts_by_its_value_and_is_never_stored(project, monkeypatch):
    project.config('[environment]\nenv = ["SEED"]\n[[notebook]]\npath = "a.ipynb"\nenv = ["TOKEN"]')
    project.notebook("a.ipynb", "print('seed', os.environ.get('SEED'))")
    monkeypatch.delenv("SEED", raising=False)
    monkeypatch.setenv("TOKEN", "s3cret-value")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "seed None\n"

    for name, value in (("SEED", ""), ("SEED", "1"), ("TOKEN", ""), ("TOKEN", None)):
        with monkeypatch.context() as other:
            if value is None:
                other.delenv(name)
            else:
                other.setenv(name, value)
            expected = [f"environment variable '{name}' changed"]
            assert (name, value, project.reasons("a.ipynb")) == (name, value, expected)
        assert project.verdicts() == {"a.ipynb": "fresh"}

    monkeypatch.setenv("UNDECLARED", "anything")
    assert project.verdicts() == {"a.ipynb": "fresh"}
    kept = [path for path in project.root.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"s3cret-value" in path.read_bytes()]


def test_files_and_commands_of_the_environment_count_for_every_notebook(project):
    project.config(
        '[environment]\nfiles = ["lock.txt", "pins/*.txt"]\ncommands = ["cat version"]\n'
        '[[notebook]]\npath = "a.ipynb"'
    )
    project.write("lock.txt", "numpy==1\n")
    project.write("pins/x.txt", "x\n")
    project.write("version", "R 4.1\n")
    project.notebook("a.ipynb")
    assert project.build() == ["a"]
    assert_each_asks(
        project,
        {
            "lock.txt": ("numpy==2\n", "[environment] file 'lock.txt' changed"),
            "pins/y.txt": ("y\n", "[environment] file 'pins/y.txt' is new"),
            "version": ("R 4.2\n", "the output of 'cat version' changed"),
        },
    )


def test_a_declared_package_counts_by_its_version(project, monkeypatch, tmp_path):
    def install(version):
        for old in tmp_path.glob("site/*.dist-info"):
            shutil.rmtree(old)
        for name in ("Demo_Pkg", "other"):
            info = tmp_path / f"site/{name}-{version}.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )

    install("1.0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    project.config('[[notebook]]\npath = "a.ipynb"\npackages = ["demo-pkg"]')
    project.notebook("a.ipynb")
    assert project.build() == ["a"]

    # Both are upgraded, and only the declared one counts.
    install("1.1")
    assert project.reasons("a.ipynb") == ["package 'demo-pkg' changed: 1.0 → 1.1"]
    install("1.0")
    assert project.verdicts() == {"a.ipynb": "fresh"}


# -- settings ----------------------------------------------------------------------------------


def test_parameters_count_with_their_types(project):
    def set_to(value):
        project.config(f'[[notebook]]\npath = "a.ipynb"\nparameters = {{ x = {value} }}')

    project.notebook("a.ipynb", tagged("x = None", "parameters"), "print(repr(x))")
    set_to("1")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "1\n"

    set_to("1.0")
    assert project.reasons("a.ipynb") == ["parameter 'x' changed: 1 → 1.0"]
    for other in ('"1"', "true", "[1]", "{ y = 1 }"):
        set_to(other)
        assert (other, project.verdicts()) == (other, {"a.ipynb": "run"})
    set_to('"1"')
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "'1'\n"
    set_to("1")
    assert project.build() == []
    assert project.shown("a.ipynb") == "1\n"


def test_the_kernel_counts_by_what_it_runs_not_by_its_name(project, monkeypatch, tmp_path):
    def install(**more):
        spec = tmp_path / "share/kernels/mine/kernel.json"
        spec.parent.mkdir(parents=True, exist_ok=True)
        argv = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        content = {"argv": argv, "display_name": "Mine", "language": "python", **more}
        spec.write_text(json.dumps(content))

    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    install(env={"FLAVOUR": "sweet"}, metadata={"debugger": True})
    alias = '[execution]\nkernel_aliases = { "conda-env-x" = "mine" }'
    project.config(alias)
    project.notebook("a.ipynb", "print(os.environ['FLAVOUR'])", kernel="conda-env-x")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "sweet\n"

    # Named in the configuration, or by the notebook: it is the same kernel that runs.
    project.config('[execution]\nkernel = "mine"')
    assert project.verdicts() == {"a.ipynb": "fresh"}
    project.notebook("a.ipynb", "print(os.environ['FLAVOUR'])", kernel="mine")
    project.config("")
    assert project.verdicts() == {"a.ipynb": "refresh"}
    install(env={"FLAVOUR": "sweet"}, display_name="Renamed")
    assert project.verdicts() == {"a.ipynb": "refresh"}

    install(env={"FLAVOUR": "bitter"})
    assert project.reasons("a.ipynb") == ["kernel: env changed"]
    project.config('[execution]\nkernel = "python3"')
    assert project.verdicts() == {"a.ipynb": "run"}


def test_the_patch_level_of_python_counts_only_when_it_is_asked_for(project, monkeypatch):
    ask = Environments.probe

    def become(version):
        def other(environments, kernel):
            return msgspec.structs.replace(ask(environments, kernel), python=version)

        monkeypatch.setattr(Environments, "probe", other)

    become("3.11.7")
    project.config("")
    project.notebook("a.ipynb")
    assert project.build() == ["a"]
    done = project.nbbuild("status")
    assert (done.out, done.err) == ("", "1 fresh\n")
    flags = sys.abiflags
    made = f"  it was made with CPython 3.11.7{flags}"
    assert project.nbbuild("explain", "-v", "a.ipynb").out.splitlines()[-1] == made

    become("3.11.9")
    note = (
        f"its result was made with CPython 3.11.7{flags}; its kernel is CPython 3.11.9{flags} now"
    )
    done = project.nbbuild("status")
    assert (done.out, done.err) == ("", f"note: a.ipynb: {note}\n1 fresh\n")
    (judgement,) = project.nbbuild("status", "--json").data
    assert (judgement["verdict"], judgement["marks"]) == ("fresh", [note])
    lines = project.nbbuild("explain", "-v", "a.ipynb").out.splitlines()
    assert lines[:2] == ["a.ipynb is up to date", f"  note: {note}"]
    assert lines[-1] == made
    (explanation,) = project.nbbuild("explain", "-v", "--json", "a.ipynb").data
    assert explanation["python"] == f"CPython 3.11.7{flags}"
    assert project.build() == []

    project.config('[environment]\npython = "patch"')
    assert project.verdicts() == {"a.ipynb": "run"}
    assert project.build() == ["a"]
    become("3.11.10")
    change = f"CPython 3.11.9{flags} → CPython 3.11.10{flags}"
    assert project.reasons("a.ipynb") == [f"kernel: python changed: {change}"]
    project.config("")
    become("3.12.0")
    assert project.verdicts() == {"a.ipynb": "run"}


def test_settings_count_only_if_they_change_the_result(project):
    project.config('[[notebook]]\npath = "a.ipynb"')
    project.notebook("z.ipynb")
    project.notebook("a.ipynb", "print('hello')")
    assert project.build() == ["a", "z"]

    for setting in (
        "timeout = 99",
        "notebook_timeout = 999",
        "retries = 3",
        'groups = ["slow"]',
        'depends_on = ["z.ipynb"]',
        'max_age = "1d"',
        'warm = "auto"',
    ):
        project.config(f'[[notebook]]\npath = "a.ipynb"\n{setting}')
        assert (setting, project.verdicts("a.ipynb")["a.ipynb"]) == (setting, "fresh")
    project.config('[execution]\njobs = 1\nexecutor = "serial"\nkeep_going = false')
    assert project.verdicts() == {"a.ipynb": "fresh", "z.ipynb": "fresh"}

    for setting, reason in {
        "allow_errors = true": "settings: allow_errors changed: false → true",
        "sandbox = true": "settings: sandbox changed: false → true",
        'artefacts = ["new.txt"]': "artefact pattern 'new.txt' is new",
        "parameters = { x = 1 }": "parameter 'x' is new",
    }.items():
        project.config(f'[[notebook]]\npath = "a.ipynb"\n{setting}')
        assert (setting, project.reasons("a.ipynb")) == (setting, [reason])
    # The working folder of a notebook beside jcache.toml is the same either way.
    project.config('[[notebook]]\npath = "a.ipynb"\ncwd = "project"')
    assert project.verdicts("a.ipynb") == {"a.ipynb": "fresh"}


def test_identical_code_in_two_folders_is_two_results(project):
    project.config("")
    for folder in ("north", "south"):
        project.notebook(f"{folder}/a.ipynb", "import pathlib", "print(pathlib.Path.cwd().name)")
        project.write(f"{folder}/a.ipynb", project.read(f"{folder}/a.ipynb").replace(folder, "one"))
    assert project.build() == ["one/a", "one/a"]
    assert (project.shown("north/a.ipynb"), project.shown("south/a.ipynb")) == (
        "north\n",
        "south\n",
    )

    # From the root they are one and the same: the second is made from the result of the first.
    project.config('[execution]\ncwd = "project"\njobs = 1')
    assert project.build() == ["one/a"]
    assert project.shown("south/a.ipynb") == "project\n"


def test_a_renamed_notebook_need_not_run(project):
    project.config("")
    project.notebook("folder/a.ipynb", prose("# Words"), "print('kept')")
    assert project.build() == ["folder/a"]
    (project.root / "folder/a.ipynb").rename(project.root / "folder/b.ipynb")
    assert project.build() == []
    assert project.shown("folder/b.ipynb") == "kept\n"

    (project.root / "folder/b.ipynb").rename(project.root / "b.ipynb")
    assert project.verdicts() == {"b.ipynb": "run"}


# -- what depends on what ----------------------------------------------------------------------


CHAIN = """
[[notebook]]
path = "make.ipynb"
artefacts = ["mid.txt"]
[[notebook]]
path = "use.ipynb"
assets = ["mid.txt"]
artefacts = ["end.txt"]
"""


def write_chain(project, *, made="'raw'", use="print(text)"):
    project.notebook("make.ipynb", f"with open('mid.txt', 'w') as f: _ = f.write({made})")
    project.notebook(
        "use.ipynb",
        "text = open('mid.txt').read()",
        "with open('end.txt', 'w') as f: _ = f.write(text.upper())",
        use,
    )


def test_a_producer_that_makes_the_same_bytes_stops_there(project):
    # A third notebook only comes after: what goes before it may change without its running.
    project.config(CHAIN + '[[notebook]]\npath = "after.ipynb"\ndepends_on = ["make.ipynb"]')
    write_chain(project)
    project.notebook("after.ipynb")
    done = project.nbbuild()
    assert done.status == 0
    assert sorted(done.ran) == ["after", "make", "use"]
    assert done.ran[0] == "make"

    write_chain(project, made="'r' + 'aw'")
    assert project.verdicts() == {"make.ipynb": "run", "use.ipynb": "wait", "after.ipynb": "wait"}
    assert project.build() == ["make"]

    write_chain(project, made="'new'")
    assert project.build() == ["make", "use"]
    assert project.read("end.txt") == "NEW"

    # An old branch: nothing runs, down to the end of the chain.
    write_chain(project, made="'raw'")
    assert project.build() == []
    assert (project.read("mid.txt"), project.read("end.txt")) == ("raw", "RAW")
    assert project.shown("use.ipynb") == "raw\n"


def test_a_target_builds_just_what_it_needs(project):
    project.config(CHAIN + '[[notebook]]\npath = "extra/*.ipynb"\ngroups = ["slow"]')
    write_chain(project)
    for name in ("extra/x", "extra/y", "alone"):
        project.notebook(f"{name}.ipynb")
    everything = {
        "make.ipynb",
        "use.ipynb",
        "extra/x.ipynb",
        "extra/y.ipynb",
        "alone.ipynb",
    }
    for words, tasks in {
        (): everything,
        ("make.ipynb",): {"make.ipynb"},
        ("use.ipynb",): {"make.ipynb", "use.ipynb"},
        ("mid.txt",): {"make.ipynb"},
        ("end.txt",): {"make.ipynb", "use.ipynb"},
        ("./mid.txt",): {"make.ipynb"},
        ("_build/executed/alone.ipynb",): {"alone.ipynb"},
        ("slow",): {"extra/x.ipynb", "extra/y.ipynb"},
        ("extra",): {"extra/x.ipynb", "extra/y.ipynb"},
        ("extra/*",): {"extra/x.ipynb", "extra/y.ipynb"},
        ("*.ipynb",): {"make.ipynb", "use.ipynb", "alone.ipynb"},
        ("**/?.ipynb",): {"extra/x.ipynb", "extra/y.ipynb"},
        ("alone.ipynb", "slow"): {"alone.ipynb", "extra/x.ipynb", "extra/y.ipynb"},
    }.items():
        done = project.nbbuild("-n", "--json", *words)
        assert (words, {one["task"] for one in done.data}) == (words, tasks)
        assert (done.status, done.ran) == (0, [])
    assert not project.exists(".nbbuild")

    assert project.nbbuild("mid.txt").ran == ["make"]
    assert project.nbbuild("end.txt").ran == ["use"]
    assert project.build("slow") == ["extra/x", "extra/y"]
    assert project.nbbuild("-q", "use.ipynb", "slow").status == 0
    assert project.nbbuild("-q").status == 1
    assert not project.exists("_build/executed/alone.ipynb")


# -- run regardless ----------------------------------------------------------------------------


def test_what_is_not_cached_always_runs_and_stops_at_the_same_bytes(project):
    project.config(CHAIN + '[[notebook]]\npath = "make.ipynb"\ncache = false')
    write_chain(project)
    assert project.build() == ["make", "use"]
    assert project.reasons("make.ipynb") == ["`cache = false`: it always runs"]
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (0, ["make"])
    assert [(one["task"], one["cached"]) for one in done.data["outcomes"]] == [
        ("make.ipynb", False),
        ("use.ipynb", True),
    ]
    assert project.nbbuild("-q").status == 1
    assert project.read("mid.txt") == "raw"


def test_a_result_grows_too_old(project):
    def allow(age):
        project.config(f'[[notebook]]\npath = "a.ipynb"\nmax_age = "{age}"')

    allow("1d")
    project.notebook("a.ipynb")
    assert project.build() == ["a"]
    assert project.build() == []
    allow("0.001s")
    assert project.reasons("a.ipynb") == ["its last run is older than max_age (0 s)"]
    assert project.build() == ["a"]
    allow("1d")
    assert project.build() == []


def test_a_notebook_can_be_made_to_run_once_and_a_target_with_all_that_it_needs(project):
    project.config(CHAIN)
    write_chain(project)
    assert project.build() == ["make", "use"]
    done = project.nbbuild("invalidate", "make.ipynb")
    assert (done.status, done.err) == (0, "1 notebook will run in the next build\n")
    assert project.verdicts() == {"make.ipynb": "run", "use.ipynb": "wait"}
    # Its artefact comes out the same, so what reads it does not run.
    assert project.build() == ["make"]
    assert project.build() == []

    done = project.nbbuild("-B", "-v", "use.ipynb")
    assert (done.status, done.ran) == (0, ["make", "use"])
    assert "because forced to run" in done.err
    assert project.build() == []


def test_a_forced_run_that_fails_does_not_fall_back_on_the_old_result(project, monkeypatch):
    def config(age):
        project.config(f'[[notebook]]\npath = "aged.ipynb"\nmax_age = "{age}"')

    config("1d")
    for name in ("aged", "always", "marked"):
        project.notebook(f"{name}.ipynb", "if 'BREAK' in os.environ: raise RuntimeError('broken')")
    assert project.build() == ["aged", "always", "marked"]

    # An undeclared variable is in no key: to nbbuild nothing has changed but its orders.
    monkeypatch.setenv("BREAK", "yes")
    assert project.build() == []
    assert project.nbbuild("invalidate", "marked.ipynb").status == 0
    config("0.001s")
    assert project.build("aged.ipynb", "marked.ipynb", status=1) == ["aged", "marked"]
    assert project.build("-B", "always.ipynb", status=1) == ["always"]

    monkeypatch.delenv("BREAK")
    config("1d")
    names = ("aged.ipynb", "always.ipynb", "marked.ipynb")
    assert project.verdicts() == dict.fromkeys(names, "run")


def test_accepting_takes_what_is_there_as_up_to_date(project):
    project.config(CHAIN)
    write_chain(project)
    assert project.build() == ["make", "use"]
    write_chain(project, use="print(text)  # a comment")
    done = project.nbbuild("-t")
    assert (done.status, done.ran) == (0, [])
    assert "note: use.ipynb: accepted as it is\n" in done.err
    assert project.build() == []
    last = project.built("use.ipynb")["cells"][-1]
    assert "".join(last["source"]) == "print(text)  # a comment"
    assert project.shown("use.ipynb") == "raw\n"

    # There is nothing to accept of what has never been built.
    project.notebook("new.ipynb")
    done = project.nbbuild("-t", "new.ipynb")
    assert (done.status, done.ran) == (1, [])
    assert "there is nothing to accept for 'new.ipynb': it has not been built yet" in done.err


def test_dry_run_and_question_change_nothing(project):
    project.config(CHAIN)
    write_chain(project)
    before = project.files()
    for words, status in {("-n",): 0, ("-q",): 1, ("status",): 0}.items():
        done = project.nbbuild(*words)
        assert (words, done.status, done.ran) == (words, status, [])
    assert project.files() == before
    assert not project.exists(".nbbuild")
