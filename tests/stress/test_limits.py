"""Real kernels with little of something: memory, files, a long temporary folder, no home."""

import os
import resource
import subprocess
import sys

import pytest
from notebook_sources import ipynb


def few_files(environ, place):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def some_memory(environ, place):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def no_home(environ, place):
    environ.pop("HOME", None)


def long_folder(environ, place):
    folder = place / ("t" * (119 - len(str(place))))
    folder.mkdir()
    assert len(str(folder)) == 120
    environ["TMPDIR"] = str(folder)


def all_of_it(environ, place):
    for limit in (no_home, long_folder):
        limit(environ, place)
    return few_files(environ, place)


EACH = [few_files, some_memory, no_home, long_folder]


@pytest.mark.parametrize(
    "limit", [all_of_it, *(pytest.param(one, marks=pytest.mark.stress) for one in EACH)]
)
def test_a_build_with_real_kernels_and_little_of_something(tmp_path, limit):
    root = tmp_path / "project"
    root.mkdir()
    (root / "jcache.toml").write_text('[project]\nnotebooks = ["*.ipynb"]\n')
    for name in "ab":
        (root / f"{name}.ipynb").write_text(ipynb([f"print('{name} was here')"]))
    environ = dict(os.environ)
    limits = limit(environ, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "nbbuild", "-j2"],
        cwd=root,
        env=environ,
        preexec_fn=limits,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("2 executed in ")
    for name in "ab":
        assert f"{name} was here" in (root / f"_build/executed/{name}.ipynb").read_text()


@pytest.mark.parametrize(
    "megabytes", [60, *(pytest.param(one, marks=pytest.mark.stress) for one in (100, 150, 300))]
)
def test_too_little_memory_is_an_error_and_no_result(tmp_path, megabytes):
    (tmp_path / "jcache.toml").write_text('[project]\nnotebooks = ["a.ipynb"]\n')
    (tmp_path / "a.ipynb").write_text(ipynb(["x = bytearray(400 << 20)"]))
    size = megabytes << 20
    done = subprocess.run(
        [sys.executable, "-m", "nbbuild"],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.strip()
    assert "this is a bug" not in done.stderr
    assert not (tmp_path / "_build/executed/a.ipynb").exists()
    assert [*(tmp_path / ".nbbuild").glob("store/v2/records/*/*/*.json")] == []
