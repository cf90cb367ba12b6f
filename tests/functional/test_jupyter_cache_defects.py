"""What is known to go wrong in jupyter-cache does not here: one story each, and theirs beside it.

Where it costs little, the real jupyter-cache is asked too, so that the story stays a true one.
"""

import shutil
import signal
import subprocess
import sys

import click
import nbformat
import pytest
from click.testing import CliRunner
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, NbValidityError
from jupyter_cache.executors import load_executor
from jupyter_cache_command import jcache
from notebook_sources import code, ipynb

import nbbuild
import nbbuild.cli
from nbbuild import OutcomeKind
from nbbuild.events import Planned
from nbbuild.store import DiskStore


@pytest.fixture
def theirs(tmp_path):
    """A cache of jupyter-cache."""
    return get_cache(tmp_path / "jupyter_cache")


def run_theirs(cache, *words):
    """Run jupyter-cache's command on `cache`."""
    group, *rest = words
    return CliRunner().invoke(jcache, [group, "-p", str(cache.path), *rest])


def executed(project, path="a.ipynb"):
    """Return a built notebook as jupyter-cache takes it."""
    return nbformat.read(project.root / "_build/executed" / path, as_version=nbformat.NO_CONVERT)


def keep(cache, notebook, uri):
    return cache.cache_notebook_bundle(
        CacheBundleIn(notebook, str(uri)), check_validity=False, overwrite=True
    )


def test_1_a_changed_asset_makes_its_notebook_run(project, theirs):
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["in.txt"]')
    project.write("in.txt", "one")
    project.notebook("a.ipynb", "print(open('in.txt').read())")
    assert project.build() == ["a"]
    path = str(project.root / "a.ipynb")
    theirs.add_nb_to_project(path, assets=[str(project.root / "in.txt")])
    keep(theirs, executed(project), path)

    project.write("in.txt", "two")
    assert theirs.list_unexecuted() == []
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "two\n"


def test_2_equal_notebooks_in_two_folders_have_results_of_their_own(project, theirs):
    project.config("")
    read = "print(open('d.txt').read())"
    for folder in "xy":
        project.write(f"{folder}/d.txt", folder.upper())
        project.write(f"{folder}/nb.ipynb", ipynb([read]))
    assert project.nbbuild().status == 0
    assert [project.shown(f"{folder}/nb.ipynb") for folder in "xy"] == ["X\n", "Y\n"]

    for folder in "xy":
        keep(theirs, executed(project, f"{folder}/nb.ipynb"), f"{folder}/nb.ipynb")
    _, merged = theirs.merge_match_into_file(project.root / "x/nb.ipynb")
    assert merged.cells[0].outputs[0].text == "Y\n"


def test_3_running_in_parallel_obeys_force_and_jobs(project):
    project.config("")
    for name in "abc":
        project.notebook(f"{name}.ipynb", f"print({name!r})")
    assert project.build("-j2") == ["a", "b", "c"]
    assert project.build("-j2", "-B") == ["a", "b", "c"]

    events = []
    with nbbuild.load(project.root) as loaded:
        nbbuild.build(loaded, jobs=1, observer=events.append)
    assert events[0] == Planned(3, 0, 1, events[0].durations)


WRITERS, EACH = 4, 32
WRITER = """
import sys
from pathlib import Path
from nbbuild.model import ActionKey, Record, Trace
from nbbuild.store import DiskStore

path, writer, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = DiskStore(path)
for number in range(count):
    cells = store.put(f"cells of {writer} {number}".encode())
    for key in (f"{writer:032x}{number:032x}", f"{'f' * 32}{number:032x}"):  # all write the latter
        id, names = f"{key[:12]}-{writer}-{number}", {"task": "a.ipynb", "source": "a.ipynb"}
        store.publish(Record(id=id, key=ActionKey(key, ()), trace=Trace(), cells=cells, **names))
"""


def test_4_nothing_that_several_processes_keep_at_once_is_lost(tmp_path):
    """jupyter-cache kept 145 of 192, and two that make the database at once fail."""
    path = tmp_path / "store"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number), str(EACH)])
        for number in range(WRITERS)
    ]
    assert [writer.wait() for writer in writers] == [0] * WRITERS
    records = nbbuild.Store(path).records()
    assert len(records) == WRITERS * EACH * 2
    assert {DiskStore(path).get(record.cells) for record in records} == {
        f"cells of {writer} {number}".encode()
        for writer in range(WRITERS)
        for number in range(EACH)
    }


def test_5_a_result_whose_bytes_are_gone_is_made_again(project, theirs):
    project.config("")
    project.notebook("a.ipynb", "print('shown')")
    assert project.build() == ["a"]
    record = keep(theirs, executed(project), "a.ipynb")

    for path in (theirs.path / "executed").rglob("base.ipynb"):
        path.unlink()
    assert theirs.match_cache_notebook(executed(project)).pk == record.pk
    for fails in (lambda: theirs.get_cache_bundle(1), lambda: theirs.remove_cache(1)):
        with pytest.raises(KeyError):
            fails()

    shutil.rmtree(project.root / ".nbbuild/store/v2/blobs")
    (project.root / "_build/executed/a.ipynb").unlink()
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "shown\n"


MAKES = "_ = open('made.txt', 'w').write('made')"


def test_6_artefacts_are_kept_and_put_back(project, theirs):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["made.txt"]')
    project.notebook("a.ipynb", MAKES)
    theirs.add_nb_to_project(str(project.root / "a.ipynb"))
    load_executor("local-serial", theirs).run_and_cache()
    assert list(theirs.get_cache_bundle(1).artifacts) == []

    (project.root / "made.txt").unlink()
    assert project.build() == ["a"]
    (project.root / "made.txt").unlink()
    assert project.build() == []
    assert project.read("made.txt") == "made"


def test_7_a_forced_run_that_fails_is_no_success(project, monkeypatch):
    project.config("")
    project.notebook("a.ipynb", "assert 'BREAK' not in os.environ")
    assert project.build() == ["a"]
    monkeypatch.setenv("BREAK", "1")
    assert project.build("-B", status=1) == ["a"]
    assert not project.exists("_build/executed/a.ipynb")
    assert project.verdicts() == {"a.ipynb": "run"}
    assert project.build(status=1) == ["a"]
    monkeypatch.delenv("BREAK")
    assert project.build() == ["a"]


def test_8_a_kernel_that_dies_or_does_not_exist_is_told_and_remembered(project, theirs):
    project.config("")
    project.notebook("dies.ipynb", "import signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert project.build(status=1) == ["dies"]
    shown = project.nbbuild("show", "dies.ipynb")
    assert signal.SIGKILL.name in shown.out

    project.write("strange.ipynb", ipynb(["1"], kernel="strange"))
    done = project.nbbuild("strange.ipynb")
    assert done.status == 2
    assert "there is no kernel 'strange'" in done.err

    theirs.add_nb_to_project(str(project.root / "strange.ipynb"))
    result = load_executor("local-serial", theirs).run_and_cache()
    assert len(result.errored) == 1
    assert theirs.get_project_record(1).traceback is None


def test_9_the_exit_status_tells_of_failures(project, theirs):
    project.config("")
    project.write("strange.ipynb", ipynb(["1"], kernel="strange"))
    theirs.add_nb_to_project(str(project.root / "strange.ipynb"))
    ended = run_theirs(theirs, "project", "execute")
    assert "errored:\n- " in ended.output
    assert ended.exit_code == 0

    assert project.nbbuild().status == 2
    project.write("strange.ipynb", ipynb(["raise SystemError"]))
    assert project.nbbuild().status == 1


def test_10_several_targets_are_all_built_and_none_means_what_is_out_of_date(project, theirs):
    project.config("")
    for name in "abc":
        project.notebook(f"{name}.ipynb")
        theirs.add_nb_to_project(str(project.root / f"{name}.ipynb"))
    filters = {"filter_pks": [1], "filter_uris": [str(project.root / "b.ipynb")]}
    assert load_executor("local-serial", theirs).get_records(**filters) == []

    assert project.build("a.ipynb", "b.ipynb") == ["a", "b"]
    assert project.build() == ["c"]
    assert project.build() == []


def test_11_a_deleted_notebook_stops_nothing_else(project, theirs):
    project.config("")
    for name in "ab":
        project.notebook(f"{name}.ipynb")
        theirs.add_nb_to_project(str(project.root / f"{name}.ipynb"))
    assert project.build() == ["a", "b"]

    (project.root / "a.ipynb").unlink()
    assert isinstance(run_theirs(theirs, "notebook", "list").exception, Exception)
    assert project.verdicts() == {"b.ipynb": "fresh"}
    assert [one["task"] for one in project.nbbuild("list", "--json").data] == ["b.ipynb"]
    assert project.build() == []

    # Named in full, it is missed: before anything runs, with the place to mend.
    project.config('[[notebook]]\npath = "a.ipynb"')
    done = project.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert "'a.ipynb' does not exist" in done.err
    assert "jcache.toml, [[notebook]] 1" in done.err


def test_12_what_is_declared_later_counts(project, theirs):
    for name in ("one.txt", "two.txt"):
        project.write(name, name)
    project.notebook("a.ipynb")
    path = str(project.root / "a.ipynb")
    for name in ("one.txt", "two.txt"):
        theirs.add_nb_to_project(path, assets=[str(project.root / name)])
    assert theirs.get_project_record(1).assets == [str(project.root / "one.txt")]

    for name in ("one.txt", "two.txt"):
        assert project.nbbuild("add", "a.ipynb", "--asset", name).status == 0
        assert project.build() == ["a"]
    for name in ("one.txt", "two.txt"):
        project.write(name, "changed")
        assert project.build() == ["a"]


SKIPPED = code("print('not now')", tags=["skip-execution"])


def test_13_skipped_cells_are_no_sign_of_a_broken_run(project, theirs):
    project.config("")
    project.notebook("a.ipynb", SKIPPED, "2 + 2")
    assert project.build() == ["a"]
    notebook = executed(project)
    with pytest.raises(NbValidityError):
        theirs.cache_notebook_bundle(CacheBundleIn(notebook, "a.ipynb"))

    # Executed elsewhere, it is taken in.
    shutil.rmtree(project.root / ".nbbuild")
    shutil.copy(project.root / "_build/executed/a.ipynb", project.root / "a.ipynb")
    assert project.nbbuild("cache", "add", "a.ipynb").status == 0
    assert project.build() == []


def doubled(command, path=()):
    """Return the options that mean two things in one command."""
    names = [
        name
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    ]
    found = [(*path, name) for name in set(names) if names.count(name) > 1]
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            found += doubled(inner, (*path, name))
    return sorted(found)


def test_14_no_option_means_two_things_and_shells_can_complete():
    assert doubled(jcache) == [("cache", "list", "-l")]
    for verb in nbbuild.cli.VERBS:
        assert doubled(nbbuild.cli.load(verb), (verb,)) == []
    done = subprocess.run(
        [sys.executable, "-m", "nbbuild"],
        env={"_NBBUILD_COMPLETE": "complete", "COMP_LINE": "nbbuild sta"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("word\tstatus\t")


def test_15_a_project_and_its_cache_can_move_and_an_older_state_is_no_error(project, theirs):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["made.txt"]')
    project.notebook("a.ipynb", MAKES)
    assert project.build() == ["a"]
    keep(theirs, executed(project), project.root / "a.ipynb")
    assert theirs.get_cache_record(1).uri == str(project.root / "a.ipynb")
    records = (project.root / ".nbbuild/store").rglob("*.json")
    assert [str(project.root) in path.read_text() for path in records] == [False]

    moved = project.root.parent / "moved"
    project.root.rename(moved)
    report = nbbuild.build(moved)
    assert [one.kind for one in report.outcomes] == [OutcomeKind.FRESH]
    # Another version's database is put aside, and what is known is found out again.
    (moved / ".nbbuild/state.sqlite").write_bytes(b"of another version")
    assert nbbuild.build(moved).exit_status == 0
    assert project.ran() == ["a"]
