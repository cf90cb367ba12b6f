"""What ci/gitlab.yml does on GitLab: its script is played, with a folder for what GitLab keeps."""

from __future__ import annotations

import shutil
import string
import subprocess
from itertools import count
from pathlib import Path

import pytest
import yaml
from junitparser import JUnitXml

pytestmark = pytest.mark.slow

TEMPLATE = Path(__file__).parents[2] / "ci/gitlab.yml"


@pytest.fixture
def kept(tmp_path):
    """The caches that GitLab keeps, by key: a folder each."""
    return tmp_path / "caches"


@pytest.fixture
def gitlab(kept, checkout, environ, tmp_path):
    """Run a job that extends the template on a fresh checkout; return its status and its folder."""
    job = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))[".nbbuild"]
    numbers = count(1)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pip").write_text('#!/bin/sh\necho "$@" > installed.txt\n')
    (tools / "pip").chmod(0o755)

    def play(lines, root, variables):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=root,
            env={**environ, **variables, "PATH": f"{tools}:{environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def run(branch="main", **set_by_the_job):
        root = checkout(f"job{next(numbers)}")
        variables = {
            **job["variables"],
            "NBBUILD_FOLDER": "book",
            **set_by_the_job,
            "CI": "true",
            "CI_COMMIT_REF_SLUG": branch,
            "CI_DEFAULT_BRANCH": "main",
            "CI_PROJECT_DIR": str(root),
        }
        cache = job["cache"]
        keys = [
            string.Template(key).substitute(variables)
            for key in (cache["key"], *cache["fallback_keys"])
        ]
        for key in keys:
            if (kept / key).exists():
                shutil.copytree(kept / key, root, dirs_exist_ok=True)
                break
        status, log = play([*job["before_script"], *job["script"]], root, variables)
        log += play(job["after_script"], root, variables)[1]
        assert cache["when"] == "always"
        for path in cache["paths"]:
            place = kept / keys[0] / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path, place)
        return status, log, root

    return run


def test_a_failure_keeps_what_ran_well_and_a_branch_begins_with_the_main_one(book, gitlab, kept):
    right = book.read("book/second.ipynb")
    book.notebook("book/second.ipynb", "1 / 0")
    status, log, root = gitlab(NBBUILD_INSTALL="nbbuild pandas")
    assert (status, sorted(book.ran())) == (1, ["book/alone", "book/first", "book/second"])
    assert (root / "installed.txt").read_text() == "install nbbuild pandas\n"
    artifacts = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))[".nbbuild"]["artifacts"]
    assert artifacts["when"] == "always"
    assert all((root / path).exists() for path in artifacts["paths"])
    assert JUnitXml.fromfile(str(root / artifacts["reports"]["junit"])).failures == 1

    book.write("book/second.ipynb", right)
    status, log, root = gitlab(branch="mended")
    assert (status, book.ran()) == (0, ["book/second"])
    assert sorted(path.name for path in kept.iterdir()) == ["nbbuild-main", "nbbuild-mended"]

    status, log, root = gitlab(branch="mended", NBBUILD_MAX_SIZE="10", NBBUILD_ARGS="-j 1")
    assert (status, book.ran()) == (0, [])
    assert (kept / "nbbuild-mended/nbbuild-cache.tar.gz").stat().st_size < 100

    (kept / "nbbuild-mended/nbbuild-cache.tar.gz").write_bytes(b"no archive")
    status, log, root = gitlab(branch="mended", NBBUILD_ARGS="alone.ipynb")
    assert (status, book.ran()) == (0, ["book/alone"])
    assert "the restored cache was not used\n" in log
