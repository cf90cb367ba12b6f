"""Builds that are killed, builds at the same time, and caches that are damaged, shared or gone."""

import ctypes
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest
from notebook_sources import LOG, ipynb
from processes import family

PATIENCE = 60  # seconds until a test that waits has failed


def start(project, *words):
    project.log.write_text("")
    # Whoever runs the tests in the background has them ignore Ctrl-C, and programs inherit that.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return project.process(*words, start_new_session=True, preexec_fn=heard)


def damage(path):
    path.chmod(0o644)
    path.write_bytes(b"damaged")


def store_files(project, kind):
    return [
        path for path in (project.root / f".nbbuild/store/v2/{kind}").rglob("*") if path.is_file()
    ]


# -- killed ------------------------------------------------------------------------------------


def test_what_had_finished_before_a_kill_does_not_run_again_and_no_kernel_is_left(project, gate):
    project.config("")
    names = [f"n{number}" for number in range(10)]
    for name in names:
        project.notebook(f"{name}.ipynb", gate.code if name == "n4" else f"print({name!r})")
    build = start(project, "-j1")
    gate.wait()
    assert project.ran() == names[:5]
    processes = family(project)
    assert len(processes) >= 2  # the build and the kernel
    os.killpg(build.pid, signal.SIGKILL)
    assert build.wait(PATIENCE) == -signal.SIGKILL
    gate.close()
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    assert family(project) == []

    assert project.build("-j2") == names[4:]
    assert project.build() == []
    assert [project.shown(f"{name}.ipynb") for name in names if name != "n4"] == [
        f"{name}\n" for name in names if name != "n4"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_kernels_and_keeps_what_had_finished(project, gate, number):
    project.config(
        '[[notebook]]\npath = "b.ipynb"\nartefacts = ["b.txt"]\n\n'
        '[[notebook]]\npath = "c.ipynb"\nassets = ["b.txt"]\n'
    )
    project.notebook("a.ipynb", "print('done')")
    project.notebook("b.ipynb", "open('b.txt', 'w').write('half')", gate.code)
    project.notebook("c.ipynb")
    build = start(project, "-j1", "--json")
    gate.wait()
    processes = family(project)
    build.send_signal(number)
    out, err = build.communicate(timeout=PATIENCE)
    assert build.returncode == 130, err
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    assert err.splitlines()[-1].startswith("interrupted: 1 executed, 2 cancelled in ")
    assert '"interrupted": true' in out
    assert project.ran() == ["a", "b"]
    assert project.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run", "c.ipynb": "wait"}
    assert project.shown("a.ipynb") == "done\n"


# -- at the same time --------------------------------------------------------------------------


def test_two_builds_at_once_execute_each_notebook_once(project, gate):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n\n'
        '[[notebook]]\npath = "b.ipynb"\nassets = ["a.txt"]\n'
    )
    project.notebook("a.ipynb", gate.code, "open('a.txt', 'w').write('a')")
    project.notebook("b.ipynb", "print(open('a.txt').read())")
    first = start(project)
    gate.wait()
    second = project.process()
    waits = f"note: a.ipynb: waits for process {first.pid}\n"
    assert waits in iter(second.stderr.readline, "")
    gate.close()
    for build in (first, second):
        _, err = build.communicate(timeout=PATIENCE)
        assert build.returncode == 0, err
    assert project.ran() == ["a", "b"]
    assert project.shown("b.ipynb") == "a\n"


def test_clean_waits_for_a_notebook_that_reads_what_would_go(project, gate):
    """It looks whether the artefact is there, so that without it the result would be another."""
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n\n'
        '[[notebook]]\npath = "b.ipynb"\nassets = ["a.txt"]\n'
    )
    project.notebook("a.ipynb", "open('a.txt', 'w').write('a')")
    project.notebook("b.ipynb", gate.code, "import os; print(os.path.exists('a.txt'))")
    build = start(project)
    gate.wait()
    cleaning = project.process("clean")
    waits = f"note: a.ipynb: waits for process {build.pid}\n"
    assert waits in iter(cleaning.stderr.readline, "")
    assert project.exists("a.txt")
    gate.close()
    _, err = build.communicate(timeout=PATIENCE)
    assert (build.returncode, project.ran()) == (0, ["a", "b"]), err
    out, err = cleaning.communicate(timeout=PATIENCE)
    assert cleaning.returncode == 0, err
    assert "removed  a.txt\n" in out
    assert project.build() == []
    assert project.shown("b.ipynb") == "True\n"


def test_two_clones_share_a_cache_and_the_second_executes_nothing(project, monkeypatch):
    monkeypatch.setenv("NBBUILD_CACHE", str(project.root / "shared"))
    for clone in ("one", "two"):
        project.write(
            f"{clone}/jcache.toml",
            '[project]\nnotebooks = ["*.ipynb"]\n'
            '[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/a.txt"]\n',
        )
        source = [LOG.format(name="a"), "import os; os.mkdir('out')", "open('out/a.txt', 'w')"]
        project.write(f"{clone}/a.ipynb", ipynb(source))
    assert project.build("-C", "one") == ["a"]
    assert project.build("-C", "two") == []
    one, two = (
        {path: data for path, data in project.files().items() if path.startswith(clone)}
        for clone in ("one", "two")
    )
    assert {path.replace("one", "two", 1): data for path, data in one.items()} == two
    assert "two/out/a.txt" in two
    # The result that they share outlives the first of them.
    shutil.rmtree(project.root / "one")
    (project.root / "two/out/a.txt").unlink()
    assert project.build("-C", "two") == []
    assert project.exists("two/out/a.txt")


# -- damage and loss ---------------------------------------------------------------------------


def test_a_damaged_cache_is_a_miss_that_heals(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n')
    project.notebook("a.ipynb", "open('a.txt', 'w').write('made')")
    assert project.build() == ["a"]
    for path in store_files(project, "blobs"):
        damage(path)
    # Nothing is asked of the cache while everything is in its place.
    assert project.build() == []
    (project.root / "a.txt").unlink()
    assert project.build() == ["a"]
    assert project.read("a.txt") == "made"

    (project.root / "a.txt").unlink()
    assert project.build() == []
    assert project.read("a.txt") == "made"

    for path in store_files(project, "records"):
        damage(path)
    assert project.nbbuild("cache", "list", "--json").data == []
    assert project.reasons("a.ipynb") == ["the result of its last run is not in the cache"]
    assert project.build() == ["a"]
    assert project.verdicts() == {"a.ipynb": "fresh"}


def without_override():
    """Have file modes count for root, too, in the program that is about to be started."""
    if os.geteuid() == 0:
        drop, override = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
        assert ctypes.CDLL(None).prctl(drop, override, 0, 0, 0) == 0


def test_a_cache_that_can_only_be_read_gives_hits_and_a_run_is_told_to_be_uncached(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n')
    project.notebook("a.ipynb", "open('a.txt', 'w').write('1')")
    assert project.build() == ["a"]
    first = project.read("_build/executed/a.ipynb")
    shutil.rmtree(project.root / "_build")
    (project.root / "a.txt").unlink()
    store = project.root / ".nbbuild/store"
    folders = [store, *(path for path in store.rglob("*") if path.is_dir())]
    before = sorted(store.rglob("*"))

    def build():
        project.log.write_text("")
        process = project.process(preexec_fn=without_override)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        return project.ran(), err.splitlines()

    for folder in folders:
        folder.chmod(0o555)
    try:
        ran, said = build()
        assert ran == []
        assert said[0].startswith("1 restored in ")
        assert project.read("_build/executed/a.ipynb") == first

        project.notebook("a.ipynb", "open('a.txt', 'w').write('2')")
        ran, said = build()
        assert (ran, project.read("a.txt")) == (["a"], "2")
        assert said[1].endswith(", not cached")
        assert said[2] == (
            "note: a.ipynb: the result is shown but not cached: "
            f"'{store / 'v2'}' cannot be written; it will run again"
        )
        assert sorted(store.rglob("*")) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert project.verdicts() == {"a.ipynb": "run"}


def test_what_nbbuild_remembers_can_be_deleted_and_costs_no_execution(project, monkeypatch):
    monkeypatch.setenv("NBBUILD_CACHE", str(project.root.parent / "store"))
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n')
    project.notebook("a.ipynb", "open('a.txt', 'w').write('made')")
    assert project.build() == ["a"]
    built = project.files()

    for path in Path(project.root, ".nbbuild").glob("state.sqlite*"):
        path.unlink()
    assert project.verdicts() == {"a.ipynb": "fresh"}
    assert project.build() == []
    shutil.rmtree(project.root / ".nbbuild")
    assert project.build() == []
    assert project.files() == built
    assert not project.exists(".nbbuild/replaced")
    assert project.verdicts() == {"a.ipynb": "fresh"}

    # Not even all of it: a clone with the cache alone has everything.
    shutil.rmtree(project.root / ".nbbuild")
    shutil.rmtree(project.root / "_build")
    (project.root / "a.txt").unlink()
    assert project.build() == []
    assert project.files() == built
