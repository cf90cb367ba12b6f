"""One bad thing stops one task: the others are built, and every verb goes on working."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from notebook_sources import ipynb

VERBS = (
    ("status",),
    ("list",),
    ("explain", "a.ipynb"),
    ("show", "b.ipynb"),
    ("cache", "list"),
    ("cache", "verify"),
    ("cache", "gc"),
)


def kinds(project):
    """Return what became of each notebook of a build, and the failures."""
    done = project.nbbuild("--json", "-j1")
    outcomes = done.data["outcomes"]
    failures = {one["task"]: one["failure"] for one in outcomes if one["failure"]}
    return done, {one["task"]: one["kind"] for one in outcomes}, failures


def goes_on(project, *more):
    """Check that other verbs work: in processes, whose streams take any name."""
    for words in (*VERBS[:2], *more):
        process = project.process(*words, errors="surrogateescape")
        err = process.communicate()[1]
        assert process.returncode == 0, err


# -- text that is none -------------------------------------------------------------------------


def test_half_a_surrogate_pair_in_a_cell_fails_its_notebook(project):
    project.config("")
    project.notebook("good.ipynb", "print(1)")
    project.write("bad.ipynb", ipynb(["print(1)", "print('QQ')"]).replace("QQ", "\\ud800"))
    done, outcomes, failures = kinds(project)
    assert done.status == 2
    assert outcomes == {"bad.ipynb": "failed", "good.ipynb": "executed"}
    failure = failures["bad.ipynb"]
    assert failure["kind"] == "unreadable"
    assert failure["message"] == "'bad.ipynb' holds something that is not text"
    assert failure["traceback"] == ("in: cell 2\nreason: it has only one half of a surrogate pair")
    goes_on(project)


def test_half_a_surrogate_pair_in_the_name_of_a_kernel_fails_its_notebook(project):
    project.config("")
    project.notebook("good.ipynb", "print(1)")
    project.write("bad.ipynb", ipynb(["1"], kernel="QQ").replace("QQ", "\\ud800"))
    _, outcomes, failures = kinds(project)
    assert outcomes == {"bad.ipynb": "failed", "good.ipynb": "executed"}
    assert failures["bad.ipynb"]["traceback"].startswith("in: its metadata\n")
    goes_on(project)


def test_names_that_are_not_utf_8_are_names(project):
    """Of a notebook, of a file that is read, listed, written and declared, and of an import."""
    odd = "caf\udce9"
    project.write(f"data/{odd}.csv", "one")
    project.config(
        '[[notebook]]\npath = "caf*.ipynb"\nassets = ["data"]\nartefacts = ["out/*.csv"]'
    )
    project.notebook(
        f"{odd}.ipynb",
        "import os\n"
        "(name,) = os.listdir('data')\n"
        "text = open(f'data/{name}').read()\n"
        "os.mkdir('out')\n"
        "_ = open(f'out/{name}', 'w').write(text)\n"
        "try: __import__('none\\udce9')\n"
        "except ImportError: print(text)",
        log=False,
    )
    assert project.build() == []
    assert project.shown(f"{odd}.ipynb") == "one\n"
    assert project.verdicts() == {f"{odd}.ipynb": "fresh"}
    shutil.rmtree(project.root / "_build")
    shutil.rmtree(project.root / "out")
    assert project.build() == []
    assert project.shown(f"{odd}.ipynb") == "one\n"
    assert project.read(f"out/{odd}.csv") == "one"
    project.write(f"data/{odd}.csv", "two")
    assert project.verdicts() == {f"{odd}.ipynb": "run"}
    goes_on(project, ("explain", f"{odd}.ipynb"), ("cache", "list"))


def test_an_output_that_is_nested_too_deeply_fails_its_notebook(project):
    project.config("")
    project.notebook(
        "deep.ipynb",
        "from IPython.display import publish_display_data\n"
        "data = []\n"
        "for _ in range(900): data = [data]\n"
        "publish_display_data({'application/json': data})",
    )
    project.notebook("good.ipynb", "print(1)")
    done, outcomes, failures = kinds(project)
    assert done.status == 1
    assert outcomes == {"deep.ipynb": "failed", "good.ipynb": "executed"}
    assert failures["deep.ipynb"]["kind"] == "output"
    assert failures["deep.ipynb"]["message"] == (
        "cell 2 shows data that is nested more than 200 levels deep"
    )


def test_what_nobody_foresaw_fails_one_notebook(project, monkeypatch):
    from nbbuild.building.builder import Builder

    def broken(self, task):
        if task.name == "bad.ipynb":
            raise ZeroDivisionError("by design")
        return whole(self, task)

    whole = Builder._locked
    monkeypatch.setattr(Builder, "_locked", broken)
    project.config("")
    project.notebook("bad.ipynb", "1")
    project.notebook("good.ipynb", "1")
    done, outcomes, failures = kinds(project)
    assert done.status == 3
    assert outcomes == {"bad.ipynb": "failed", "good.ipynb": "executed"}
    failure = failures["bad.ipynb"]
    assert failure["kind"] == "internal"
    assert failure["message"] == "nbbuild itself failed: ZeroDivisionError: by design"
    assert failure["hint"] == (
        "this is a bug, please report it with what `nbbuild show bad.ipynb` says"
    )
    assert "in broken" in project.nbbuild("show", "bad.ipynb").out


NO_MEMORY = [
    MemoryError(),
    RuntimeError("can't start new thread"),
    ImportError("a.so: failed to map segment from shared object"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=repr)
def test_too_little_memory_is_no_defect_of_nbbuild(project, monkeypatch, error):
    from nbbuild.building.builder import Builder

    def broken(self, task):
        raise error

    monkeypatch.setattr(Builder, "_locked", broken)
    project.config("")
    project.notebook("a.ipynb", "1")
    done, _, failures = kinds(project)
    assert done.status == 3
    failure = failures["a.ipynb"]
    assert failure["message"] == "there is not enough memory for nbbuild itself"
    assert failure["traceback"].startswith(f"reason: {type(error).__name__}")
    assert failure["hint"] == (
        "free some, raise the limits (`ulimit -v`, `ulimit -u`), or run fewer jobs (`-j`)"
    )


# -- what takes the place of a file ------------------------------------------------------------


@pytest.fixture(scope="module")
def built(project_class, tmp_path_factory):
    """A project with a result and a failure, and all of nbbuild's files; to be copied."""
    root = tmp_path_factory.mktemp("built") / "project"
    root.mkdir()
    environ = {"RUN_LOG": str(root.parent / "project.log")}
    one = project_class(root, environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUN_LOG", environ["RUN_LOG"])
        patch.chdir(root)
        one.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
        one.notebook("a.ipynb", "_ = open('o.txt', 'w').write('1')")
        one.notebook("b.ipynb", "1 / 0")
        one.build(status=1)
        one.nbbuild("invalidate", "a.ipynb")
        one.build("a.ipynb")
        one.build("a.ipynb")
    return root


def a_pipe(path):
    os.mkfifo(path)


def a_folder(path):
    (path / "inside").mkdir(parents=True)


def a_circle(path):
    path.symlink_to(path.name)


def a_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [a_pipe, a_folder, a_circle, a_device])
def test_nothing_that_takes_the_place_of_nbbuilds_files_is_waited_for(project, built, put):
    shutil.rmtree(project.root)
    shutil.copytree(built, project.root)
    os.chdir(project.root)
    files = [path for path in project.root.glob(".nbbuild/**/*") if path.is_file()]
    assert {path.name for path in files} >= {"VERSION", "state.sqlite", "retired", "usage"}
    for path in files:
        path.unlink()
        put(path)
    for words in VERBS:
        done = project.nbbuild(*words)
        # Nothing is known of a failure any more, so there is nothing to show.
        assert done.status == 0 or words[0] == "show", (words, done.err)
        assert "itself failed" not in done.err
    assert project.build("a.ipynb") == ["a"]
    assert project.build("a.ipynb") == []
    assert project.read("o.txt") == "1"


# -- streams, threads, folders -----------------------------------------------------------------


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(project, closed):
    project.config("")
    project.notebook("a.ipynb", "print(1)", log=False)
    command = f"exec {sys.executable} -m nbbuild {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert project.shown("a.ipynb") == "1\n"
    # And so when there is nothing to do.
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def notes(done):
    return done.data["outcomes"][0]["notes"]


THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, name='server').start()"


def test_a_thread_in_the_background_does_not_keep_a_result_from_the_cache(project, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.warm.leaving.PATIENCE", 0.2)
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
    project.notebook(
        "a.ipynb",
        f"{THREAD}\nimport atexit, os\n_ = atexit.register(os.mkdir, 'hook')",
        "with open('o.txt', 'w') as file: _ = file.write('x')",
    )
    done = project.nbbuild("--json")
    assert done.status == 0, done.err
    assert notes(done) == [
        "the thread 'server' still ran 0.2 s after the last cell and went with the kernel; "
        "end it in the last cell, or start it with daemon=True"
    ]
    assert project.exists("hook")  # exit hooks have run
    assert project.build() == []


def test_files_that_are_open_beside_a_thread_are_said_and_not_kept(project, monkeypatch):
    monkeypatch.setattr("nbbuild.kernels.warm.leaving.PATIENCE", 0.2)
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
    project.notebook("a.ipynb", THREAD, "f = open('o.txt', 'w'); _ = f.write('x')")
    done = project.nbbuild("--json")
    assert notes(done)[0] == (
        "the thread 'server' still ran 0.2 s after the last cell and went with the kernel, "
        "which had files open for writing: 'o.txt'; "
        "end it in the last cell, or start it with daemon=True"
    )
    assert not done.data["outcomes"][0]["cached"]


def test_a_thread_that_ends_in_time_is_waited_for(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
    project.notebook(
        "a.ipynb",
        "import threading\n"
        "def write():\n"
        "    threading.Event().wait(0.1)\n"
        "    open('o.txt', 'w').write('late')\n"
        "threading.Thread(target=write).start()",
    )
    done = project.nbbuild("--json")
    assert (done.status, notes(done)) == (0, [])
    assert project.read("o.txt") == "late"


def test_a_working_folder_that_is_removed_does_not_keep_a_result_from_the_cache(project):
    project.config("")
    project.notebook(
        "a.ipynb",
        "import os\nos.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
        "import colorsys\nprint(os.path.exists('x'))",
    )
    done = project.nbbuild("--json")
    assert (done.status, notes(done)) == (0, [])
    assert project.build() == []


# -- records of others -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: body.replace(b'"a.ipynb"', b'"n\xed\xa0\x80"', 1),
        lambda body: b"\xff" + body,
        lambda body: body + b"[" * 100_000,
        lambda body: with_item(body, kind="listing", name="a\0b"),
        lambda body: with_item(body, kind="file", name="a\0b"),
        lambda body: with_item(body, kind="file", name="\ud800"),
        lambda body: with_item(body, kind="glob", name="", way="pathlib"),
        lambda body: with_item(body, kind="glob", name=".:a\0[", way="glob"),
        lambda body: with_item(body, kind="import", name="..a.\0b", way="/\0.\0<stdlib>"),
        lambda body: with_item(body, kind="of tomorrow", name="x"),
    ],
    ids=range(10),
)
def test_a_record_that_nbbuild_cannot_have_written_is_a_miss(project, built, forge):
    from nbbuild.disk.checksummed import seal, unseal

    shutil.rmtree(project.root)
    shutil.copytree(built, project.root)
    os.chdir(project.root)
    shutil.rmtree(project.root / ".nbbuild" / "uptodate", ignore_errors=True)
    for record in project.root.glob(".nbbuild/store/v2/records/*/*/*.json"):
        record.write_bytes(seal(forge(unseal(record.read_bytes()))))
    for words in VERBS:
        done = project.nbbuild(*words)
        found = words == ("cache", "verify") and done.out.startswith("removed  record")
        assert done.status == (3 if found else 0), (words, done.err)
        assert "itself failed" not in done.err
    assert project.verdicts("a.ipynb") == {"a.ipynb": "run"}


def with_item(body, **item):
    record = json.loads(body)
    record["trace"]["items"].append({"value": "x", "via": "", "way": "", **item})
    return json.dumps(record).encode()
