"""A build that make has called: its options, its job slots, and none of them lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial

import psutil
import pytest
from played_make import TOKENS, Jobserver
from processes import family

PATIENCE = 60  # seconds until a test that waits has failed
NBBUILD = f"{sys.executable} -m nbbuild"

# Adds itself to those that run, and the number then to a list.
COUNT = """
import fcntl, json, os
def count(step):
    with open(os.environ["COUNTER"], "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        seen = json.load(file)
        seen.append((seen[-1] if seen else 0) + step)
        file.seek(0)
        json.dump(seen, file)
count(1)
"""


@pytest.fixture
def counter(tmp_path, monkeypatch):
    """The numbers of notebooks that ran at once, in the order of their beginnings and ends."""
    place = tmp_path / "counter.json"
    place.write_text("[]")
    monkeypatch.setenv("COUNTER", str(place))
    return lambda: json.loads(place.read_text())


@pytest.fixture
def make(project):
    """Run make in the project; return how it ended, what it said, and which notebooks ran."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")

    def run(*words):
        project.log.write_text("")
        done = subprocess.run(
            ["make", *words],
            cwd=project.root,
            env={**os.environ, **project.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr, project.ran()

    return run


# -- job slots ---------------------------------------------------------------------------------


def test_three_calls_under_j4_never_run_more_than_four_notebooks(project, make, counter, gate):
    rules = "".join(f"\n{name}:\n\t+{NBBUILD} -C {name}\n" for name in ("one", "two", "three"))
    project.write("Makefile", f".PHONY: all one two three\nall: one two three\n{rules}")
    for name in ("one", "two", "three"):
        project.write(f"{name}/jcache.toml", '[project]\nnotebooks = ["*.ipynb"]\n')
        for number in range(3):
            project.notebook(f"{name}/n{number}.ipynb", COUNT, gate.code, "count(-1)")
    building = subprocess.Popen(
        ["make", "-j4"],
        cwd=project.root,
        env={**os.environ, **project.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(4):  # three that need no token, and one that has the fourth slot's
        gate.wait()
    assert counter() == [1, 2, 3, 4]
    gate.close()
    _, err = building.communicate(timeout=PATIENCE)

    assert building.returncode == 0, err
    assert "INTERNAL" not in err  # what make says of tokens that did not come back
    assert len(project.ran()) == 9
    assert (max(counter()), counter()[-1]) == (4, 0)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("pipe", signal.SIGINT),
        ("pipe", signal.SIGKILL),
        ("fifo", signal.SIGTERM),
        ("fifo", signal.SIGKILL),
    ],
)
def test_all_tokens_go_back_however_a_build_ends(project, gate, tmp_path, kind, number):
    project.config("")
    for name in "abcd":
        project.notebook(f"{name}.ipynb", gate.code)
    jobserver = Jobserver(tmp_path / "jobs" if kind == "fifo" else None)
    project.log.write_text("")
    project.environ["MAKEFLAGS"] = jobserver.flags
    # Whoever runs the tests in the background has them ignore Ctrl-C, and programs inherit that.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    build = project.process(pass_fds=jobserver.inherited, preexec_fn=heard)
    for _ in "abcd":
        gate.wait()
    assert jobserver.there() == len(TOKENS) - 3
    assert jobserver.waits()
    processes = family(project)
    build.send_signal(number)
    build.communicate(timeout=PATIENCE)
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []

    assert jobserver.back() == TOKENS
    jobserver.close()


def test_what_has_ended_gives_its_token_back_while_others_run(project, gate):
    project.config("")
    for name in "ab":
        project.notebook(f"{name}.ipynb")
    project.notebook("held.ipynb", gate.code)
    jobserver = Jobserver()
    project.environ["MAKEFLAGS"] = jobserver.flags
    build = project.process(pass_fds=jobserver.inherited)
    gate.wait()
    # When two of the three have ended, the last one runs in the slot that needs no token.
    assert bytes(sorted(jobserver.take(len(TOKENS), PATIENCE))) == TOKENS
    assert build.poll() is None
    gate.close()
    build.communicate(timeout=PATIENCE)
    assert (build.returncode, jobserver.back()) == (0, b"")
    jobserver.close()


def test_with_j_of_its_own_nbbuild_takes_none(project, gate):
    project.config("")
    for name in "ab":
        project.notebook(f"{name}.ipynb", gate.code)
    jobserver = Jobserver()
    project.environ["MAKEFLAGS"] = jobserver.flags
    build = project.process("-j2", pass_fds=jobserver.inherited)
    for _ in "ab":
        gate.wait()
    assert jobserver.there() == len(TOKENS)
    gate.close()
    build.communicate(timeout=PATIENCE)
    assert build.returncode == 0
    jobserver.close()


def test_a_recipe_without_plus_runs_one_notebook_at_a_time_and_hears_why(project, make, counter):
    project.write("Makefile", f"all:\n\t{NBBUILD}\n")
    project.config("")
    for name in "abc":
        project.notebook(f"{name}.ipynb", COUNT, "count(-1)")
    status, _, err, ran = make("-j3")

    assert (status, sorted(ran)) == (0, ["a", "b", "c"])
    assert err.splitlines()[0] == (
        "note: make's jobserver cannot be reached, so one notebook runs at a time; "
        "put '+' before the recipe, as in `+nbbuild`"
    )
    assert max(counter()) == 1


def test_verify_takes_its_slots_from_make_as_a_build_does(project, monkeypatch):
    project.config("")
    project.notebook("a.ipynb", "print(1)")
    assert project.build() == ["a"]
    monkeypatch.setenv("MAKEFLAGS", " -j3 --jobserver-auth=-2,-2")
    done = project.nbbuild("verify")
    assert done.status == 0
    assert done.err.splitlines()[1] == (
        "note: make's jobserver cannot be reached, so one notebook runs at a time; "
        "put '+' before the recipe, as in `+nbbuild`"
    )


def test_plain_make_changes_nothing_and_kernels_do_not_know_of_it(project, make):
    project.write("Makefile", f"all:\n\t+{NBBUILD}\n")
    project.config("")
    names = '[name for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL") if name in os.environ]'
    project.notebook("a.ipynb", f"import os\nprint({names})")
    status, _, err, ran = make("-k")
    assert (status, ran) == (0, ["a"]), err
    assert project.shown("a.ipynb") == "[]\n"


# -- options -----------------------------------------------------------------------------------


@pytest.fixture
def two(project):
    """A notebook that fails, one that does not, and a Makefile that has both built."""
    project.write("Makefile", f"all:\n\t+@{NBBUILD} build $(OPTIONS)\n")
    project.config("[execution]\nkeep_going = false\njobs = 1\n")
    project.notebook("a.ipynb", "open('failing')")
    project.notebook("b.ipynb", "print('b')")
    return project


def test_make_n_says_what_would_run_and_runs_nothing(two, make):
    status, out, err, ran = make("-n")
    assert (status, ran) == (0, []), err
    assert out.splitlines()[1:] == [  # make's own line comes first
        "run  a.ipynb  it has not been run yet",
        "run  b.ipynb  it has not been run yet",
    ]
    assert err == "2 to run\n"


def test_make_k_goes_on_after_a_failure_and_x_of_nbbuild_wins(two, make):
    assert make()[3] == ["a"]
    assert make("OPTIONS=-x", "-k")[3] == ["a"]
    assert make("-k")[3] == ["a", "b"]


def test_make_s_leaves_only_failures_and_v_of_nbbuild_wins(two, make):
    two.write("failing", "")
    assert make("-s")[:3] == (0, "", "")
    assert make("-s")[:3] == (0, "", "")  # nothing to do
    assert make("-s", "OPTIONS=-v")[2].splitlines()[-1] == (
        "nothing to do: 2 notebooks are up to date"
    )


def test_make_q_asks_and_make_b_runs_all(two, make):
    two.write("failing", "")
    status, _, _, ran = make("-q")
    assert (status, ran) == (1, [])
    assert make()[3] == ["a", "b"]
    assert make("-q")[:2] == (0, "")
    assert make()[3] == []
    assert make("-B")[3] == ["a", "b"]
    assert make("-B", "OPTIONS=-q")[3] == []
    status, _, _, ran = make("-q", "OPTIONS=-B")
    assert (status, ran) == (1, [])


def test_make_t_accepts_what_is_there(two, make):
    two.write("failing", "")
    status, _, err, ran = make("-t")
    assert (status, ran) == (2, [])
    assert "there is nothing to accept for 'a.ipynb': it has not been built yet" in err
    make()
    two.notebook("b.ipynb", "print('another')")
    status, _, err, ran = make("-t")
    assert (status, ran) == (0, []), err
    assert two.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "fresh"}


def test_make_n_q_and_t_write_no_depfile_and_only_t_touches_what_is_built(two, make):
    two.write("failing", "")
    options = "OPTIONS=--depfile all.d"
    assert make(options)[0] == 0
    (two.root / "all.d").unlink()
    built = [two.root / f"_build/executed/{name}.ipynb" for name in "ab"]
    for place in built:
        os.utime(place, (0, 0))
    for option in ("-n", "-q", "-t"):
        status, _, err, ran = make(option, options)
        assert (status, ran) == (0, []), err
        assert not two.exists("all.d")
        assert [place.stat().st_mtime == 0 for place in built] == [option != "-t"] * 2


def test_make_can_be_ignored(two, make, monkeypatch):
    two.write("failing", "")
    monkeypatch.setenv("NBBUILD_IGNORE_MAKE", "1")
    assert make("-n")[3] == ["a", "b"]
