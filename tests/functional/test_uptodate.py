"""The quick answer: it says "nothing to do" just when the ordinary way would, and loads nothing."""

import builtins
import contextlib
import io
import os
import shutil
import subprocess
import sys

import pytest

from changes import put
from nbbuild.building import last_good
from nbbuild.disk import digests
from nbbuild.quick import uptodate

NOTHING = "nothing to do: {} up to date\n"

HEAVY = ["doit", "networkx", "nbformat", "jupytext", "nbclient", "rich", "click", "msgspec"]


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Count what was just written as old enough: ctimes cannot be set back, and tests do not wait.

    The rule itself has a test of its own below.
    """
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**12))
    monkeypatch.setattr(last_good, "SETTLED_NS", -(10**12))


def quick(*words):
    """Ask the quick way; return what it answers and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        return uptodate.answer(words), said.getvalue()


@pytest.fixture(scope="module")
def template(tmp_path_factory, project_class):
    """A project that looks at the disk in every way that there is, built once."""
    top = tmp_path_factory.mktemp("template")
    (top / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(top / "home"))
        patch.setenv("MODEL_SEED", "7")
        patch.delenv("NBBUILD_CACHE", raising=False)
        (top / "project").mkdir()
        patch.chdir(top / "project")
        project = project_class(top / "project", {})
        project.config("""
            [project]
            notebooks = ["chapters/**/*"]
            python_path = ["lib"]

            [environment]
            env = ["MODEL_SEED"]
            files = ["lock.txt"]

            [[notebook]]
            path = "chapters/one.ipynb"
            modules = ["declared"]
            assets = ["data/raw/*.csv"]
            artefacts = ["out/one.txt"]
            """)
        project.write("lock.txt", "1")
        project.write("data/raw/a.csv", "1")
        project.write("data/more/b.csv", "1")
        project.write("data/plain.txt", "1")
        project.write("lib/declared.py", "import other\n")
        project.write("lib/other.py", "X = 1\n")
        project.write("lib/found.py", "Y = 1\n")
        project.write("chapters/notes.md", "# No notebook\n")
        project.notebook(
            "chapters/one.ipynb",
            "import found, pathlib, glob, os",
            "text = pathlib.Path('../data/plain.txt').read_text()",
            "seen = os.path.exists('../data/absent.txt'), os.listdir('../data/more')",
            "more = glob.glob('../data/*/*.csv')",
            "pathlib.Path('../out').mkdir(exist_ok=True)",
            "_ = pathlib.Path('../out/one.txt').write_text('made')",
            log=False,
        )
        assert project.nbbuild().status == 0
    return top


@pytest.fixture
def project(project, template, monkeypatch):
    """A copy of the template."""
    monkeypatch.setenv("HOME", str(template / "home"))
    monkeypatch.setenv("MODEL_SEED", "7")
    shutil.copytree(template / "project", project.root, dirs_exist_ok=True, symlinks=True)
    return project


def agree(project):
    """Check that the ordinary way finds nothing to do, and that the quick way says the same."""
    ordinary = project.nbbuild()
    assert (ordinary.status, ordinary.err) == (0, NOTHING.format("1 notebook is"))
    assert quick() == (0, ordinary.err)


def test_it_answers_after_a_build_that_found_nothing_to_do(project):
    assert quick() == (None, "")
    agree(project)
    assert quick("-s") == (0, "")
    assert quick("-q") == (0, "")
    assert quick("-j4", "-k") == (0, NOTHING.format("1 notebook is"))
    assert quick("-C", str(project.root), "-j", "2")[0] == 0


def test_it_answers_for_the_targets_that_were_built(project):
    agree(project)
    assert quick("chapters/one.ipynb") == (None, "")
    assert project.nbbuild("chapters/one.ipynb").status == 0
    assert quick("chapters/one.ipynb")[0] == 0
    assert quick("build", "chapters/one.ipynb")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["-n"],
        ["-B"],
        ["-t"],
        ["-v"],
        ["--json"],
        ["-kx"],
        ["-j0"],
        ["-jx"],
        ["-j"],
        ["--executor", "serial"],
        ["-f", "other.toml"],
        ["-C", "elsewhere"],
        ["-h"],
        ["--"],
    ],
    ids=" ".join,
)
def test_everything_else_is_left_to_the_ordinary_way(project, words):
    agree(project)
    assert quick(*words) == (None, "")


def test_a_process_of_its_own_loads_nothing(project):
    agree(project)
    script = (
        "import sys; sys.argv = ['nbbuild']\n"
        "from nbbuild.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["0", "[]"]
    assert done.stderr == NOTHING.format("1 notebook is")


def test_what_a_build_says_each_time_it_says_too(project):
    text = project.read("jcache.toml")
    project.write("jcache.toml", f"{text}\nparameters = {{ unused = 1 }}\n")
    assert project.nbbuild().status == 0
    ordinary = project.nbbuild()
    assert ordinary.err == (
        "note: chapters/one.ipynb: the parameter 'unused' has no effect: "
        "no cell of 'chapters/one.ipynb' uses it\n" + NOTHING.format("1 notebook is")
    )
    assert quick() == (0, ordinary.err)
    assert quick("-s") == (0, "")


CHANGES = {
    "a source": ("chapters/one.ipynb", "append", " "),
    "jcache.toml": ("jcache.toml", "append", "\n"),
    "a new notebook": ("chapters/deep/two.ipynb", "write", "{}"),
    "a new text that is no notebook": ("chapters/more.md", "write", "# words"),
    "a text that was no notebook": ("chapters/notes.md", "write", "---\nkernelspec: {}\n---"),
    "a declared asset": ("data/raw/a.csv", "write", "2"),
    "a new asset": ("data/raw/c.csv", "write", "2"),
    "an undeclared file": ("data/plain.txt", "write", "2"),
    "a file that was absent": ("data/absent.txt", "write", "2"),
    "a folder that was listed": ("data/more/new.txt", "write", "2"),
    "a folder that a glob looked into": ("data/new/d.csv", "write", "2"),
    "a declared module": ("lib/declared.py", "append", "# more"),
    "what it imports": ("lib/other.py", "append", "# more"),
    "an imported module": ("lib/found.py", "append", "# more"),
    "a module that comes before it": ("chapters/found.py", "write", ""),
    "a package that comes before it": ("lib/other/__init__.py", "write", ""),
    "a file of the environment": ("lock.txt", "write", "2"),
    "an artefact": ("out/one.txt", "write", "edited"),
    "an artefact that is gone": ("out/one.txt", "remove", ""),
    "a built notebook": ("_build/executed/chapters/one.ipynb", "append", " "),
    "a built notebook that is gone": ("_build/executed/chapters/one.ipynb", "remove", ""),
    "a configuration of Jupytext": ("chapters/jupytext.toml", "write", ""),
    "one further up": (".jupytext", "write", ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_difference_hands_over(project, change):
    agree(project)
    path, deed, text = CHANGES[change]
    old = (project.root / path).read_text() if deed == "append" else ""
    content = None if deed == "remove" else old + text
    undo = put(project.root / path, content)
    assert quick() == (None, "")
    undo()


@pytest.mark.parametrize(
    "path", [".jupytext.yml", ".config/jupytext.toml", ".local/share/jupyter/kernels/x/kernel.json"]
)
def test_a_configuration_or_a_kernel_at_home_hands_over(project, template, path):
    agree(project)
    undo = put(template / "home" / path, "")
    assert quick() == (None, "")
    undo()


def test_a_cache_that_is_gone_hands_over(project):
    agree(project)
    (project.root / ".nbbuild/store").rename(project.root / ".nbbuild/elsewhere")
    assert quick() == (None, "")


def test_variables_that_count_hand_over_and_are_not_stored(project, monkeypatch):
    monkeypatch.setenv("MODEL_SEED", "a secret value")
    assert project.nbbuild().status == 0
    agree(project)
    stored = [path.read_text() for path in (project.root / uptodate.FOLDER).iterdir()]
    assert stored
    assert not any("a secret value" in text for text in stored)

    for name, value in {
        "MODEL_SEED": "8",
        "JUPYTER_PATH": "/nowhere",
        "NBBUILD_CACHE": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "PATH": f"/nowhere:{os.environ['PATH']}",
    }.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert (name, *quick()) == (name, None, "")
    monkeypatch.setenv("UNRELATED", "1")
    assert quick()[0] == 0


@pytest.mark.parametrize("verb", [["invalidate", "-a"], ["clean"], ["-B"]], ids=" ".join)
def test_verbs_that_change_the_state_hand_over(project, verb):
    agree(project)
    assert project.nbbuild(*verb).status == 0
    assert quick() == (None, "")


def test_a_folder_above_an_output_that_became_a_link_hands_over(project, tmp_path):
    agree(project)
    (project.root / "_build").rename(tmp_path / "elsewhere")
    (project.root / "_build").symlink_to(tmp_path / "elsewhere")
    assert quick() == (None, "")


def test_an_editor_that_comes_and_goes_costs_nothing(project):
    agree(project)
    swap = project.write("chapters/.one.swp", "")
    swap.unlink()
    assert quick()[0] == 0


def test_a_copy_of_the_project_does_not_look_at_the_original(project, tmp_path):
    agree(project)
    subprocess.run(["cp", "-a", project.root, tmp_path / "copy"], check=True)
    assert quick("-C", str(tmp_path / "copy")) == (None, "")
    assert quick()[0] == 0


def test_what_is_too_young_is_not_relied_on(project, monkeypatch):
    monkeypatch.setattr(digests, "SETTLED_NS", 2_000_000_000)
    monkeypatch.setattr(last_good, "SETTLED_NS", 2_000_000_000)
    project.write("data/plain.txt", "1")  # the same, but just now
    assert project.nbbuild().err == NOTHING.format("1 notebook is")
    assert quick() == (None, "")


def test_an_age_limit_ends_it(project, monkeypatch):
    project.config(project.read("jcache.toml") + 'max_age = "1h"\n')
    assert project.nbbuild().status == 0
    agree(project)
    now = uptodate.time.time()
    monkeypatch.setattr(uptodate.time, "time", lambda: now + 3601)
    assert quick() == (None, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[environment]", '[environment]\ncommands = ["echo 1"]'),
        ('path = "chapters/one.ipynb"', 'path = "chapters/one.ipynb"\ncache = false'),
    ],
    ids=["commands", "cache = false"],
)
def test_what_cannot_be_seen_on_the_disk_leaves_this_path(project, before, after):
    project.config(project.read("jcache.toml").replace(before, after))
    for _ in range(2):
        assert project.nbbuild().status == 0
    assert quick() == (None, "")


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"00000000\n{}"])
def test_a_damaged_answer_is_none(project, damage):
    agree(project)
    (path,) = (project.root / uptodate.FOLDER).iterdir()
    path.write_bytes(damage)
    assert quick() == (None, "")


def test_nothing_that_judging_looks_at_is_forgotten(project, template, monkeypatch):
    """Watch the ordinary way look at the disk: each place must be in the answer that it leaves."""
    looked = set()

    def watch(patch, owner, name):
        real = getattr(owner, name)

        def watched(path=".", *args, **kwargs):
            if not isinstance(path, int):
                looked.add(os.path.abspath(os.fspath(path)))
            return real(path, *args, **kwargs)

        patch.setattr(owner, name, watched)

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scandir", "listdir", "open", "readlink", "access"):
            watch(patch, os, name)
        watch(patch, io, "open")
        watch(patch, builtins, "open")
        patch.setattr(last_good, "keep", lambda *args, **more: looked.add("end") or False)
        assert project.nbbuild().err == NOTHING.format("1 notebook is")
    agree(project)
    (path,) = (project.root / uptodate.FOLDER).iterdir()
    compared = covered(uptodate.read(path), project.root)
    ours = (project.root, template / "home")
    # What nbbuild keeps for itself: the state, which is only a memory; locks; the answers.
    own = [f"{project.root}/.nbbuild/{name}" for name in ("state", "locks", "uptodate", "store")]
    own += [f"{project.root}/.nbbuild/tree/"]  # each file is renamed to its place: the folder tells
    own += [f"{project.root}/.nbbuild/{name}" for name in ("failed", "replaced")]  # for users
    own += [f"{template}/home/.ipython"]  # IPython looks there when it is imported
    missing = {
        path
        for path in looked - {f"{project.root}/.nbbuild"}
        if path.startswith(tuple(f"{folder}/" for folder in ours))
        and not path.startswith(tuple(own))
        and path not in compared
        and not any(one.startswith(f"{path}/") for one in compared)  # to reach what lies in it
    }
    assert missing == set()


def covered(known, root):
    """Return the paths that an answer compares, absolute; names in a folder are among them."""
    found = set()
    for path, *_ in [*known["files"], *known["records"], *((one,) for one in known["absent"])]:
        found.add(os.path.normpath(root / path))
    for path, *_, names in known["folders"]:
        folder = os.path.normpath(root / path)
        found.update([folder, *(f"{folder}/{name}" for name, _ in names or ())])
    return found
