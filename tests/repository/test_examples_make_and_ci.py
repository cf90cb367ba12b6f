"""The Makefile of the examples works with real make, and the CI recipes name options that exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = (EXAMPLES.parent / "docs/how-to/ci.md").read_text(encoding="utf-8")
GUIDE = (EXAMPLES.parent / "docs/guide.md").read_text(encoding="utf-8")
MADE = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", "build", "figures", "nbbuild.mk")


def run(words: list[str] | str, folder: Path, *, status: int = 0) -> subprocess.CompletedProcess:
    """Run a program, or a line of a shell, with `nbbuild` on the PATH."""
    tools = str(Path(sys.executable).parent)
    done = subprocess.run(
        words,
        shell=isinstance(words, str),
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


# -- make --------------------------------------------------------------------------------------


@pytest.fixture
def mountain(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    return Path(shutil.copytree(EXAMPLES / "makefile", tmp_path / "makefile", ignore=MADE))


SUMMARY = "north: 2.6 °C\nsouth: 7.9 °C\n"


@pytest.mark.slow
def test_make_builds_what_the_notebooks_read_the_notebooks_and_what_reads_them(mountain):
    summary = mountain / "_build/summary.txt"
    run(["make", "-j2"], mountain)
    assert summary.read_text(encoding="utf-8") == SUMMARY
    made = summary.stat().st_mtime_ns

    again = run(["make"], mountain)
    assert again.stderr.splitlines() == ["nothing to do: 1 notebook is up to date"] * 2
    assert summary.stat().st_mtime_ns == made  # what did not change leads to nothing

    readings = mountain / "data/readings.txt"
    readings.write_text(readings.read_text().replace("17.9", "18.3"))
    run(["make", "-s"], mountain)
    assert summary.read_text(encoding="utf-8") == SUMMARY.replace("7.9", "8.0")

    notebook = mountain / "notebooks/side.py"
    notebook.write_text(notebook.read_text(encoding="utf-8") + "\n# %%\nmean\n", encoding="utf-8")
    planned = run(["make", "-n"], mountain)
    assert [line[:8] for line in planned.stderr.splitlines()] == ["1 to run"] * 2

    run(["make", "clean"], mountain)
    assert not (mountain / "_build/north.txt").exists()


@pytest.mark.parametrize("cleaned", [False, True], ids=["fresh clone", "cleaned"])
def test_without_the_table_make_can_only_build_or_say_that_something_is_to_do(mountain, cleaned):
    if cleaned:
        run(["make", "-s"], mountain)
        run(["make", "clean"], mountain)
    assert run(["make", "-n"], mountain, status=2).stderr.splitlines()[0] == (
        "error: '_build/readings.csv', needed by 'side-side-north', does not exist"
    )
    assert run(["make", "-q"], mountain, status=1).stderr == ""
    run(["make", "-t"], mountain, status=2)


def test_make_builds_by_the_rules_that_nbbuild_writes(mountain):
    run(["make", "_build/readings.csv"], mountain)
    run("nbbuild export makefile && make -f nbbuild.mk -j2", mountain)
    assert (mountain / "_build/north.txt").read_text(encoding="utf-8") == "north: 2.6 °C\n"
    again = run(["make", "-f", "nbbuild.mk"], mountain)
    assert again.stdout == "make: Nothing to be done for 'nbbuild-notebooks'.\n"


# -- CI ----------------------------------------------------------------------------------------


def recipe(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / "ci" / name).read_text(encoding="utf-8"))


def ours(lines: list[str]) -> list[str]:
    """Return the lines that run nbbuild."""
    return [line for line in lines if line.startswith("nbbuild")]


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "quickstart", tmp_path / "project", ignore=MADE))


def blocks(heading: str) -> list[Any]:
    """Return the YAML that the page on CI shows below a heading, down to the next one."""
    below = PAGE.split(f"{heading}\n")[1].split("\n#")[0]
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", below, re.DOTALL)]


def test_the_page_shows_the_steps_of_the_recipes():
    for name, heading in (
        ("github-action.yml", "## GitHub Actions"),
        ("github-actions.yml", "### Without the action"),
    ):
        (shown,) = blocks(heading)
        assert shown["steps"] == recipe(name)["jobs"]["notebooks"]["steps"]
    (shown,) = blocks("## GitLab")
    assert shown == recipe("gitlab-include.yml")
    (guide,) = re.findall(r"```yaml\n(steps:.*?)```", GUIDE, re.DOTALL)
    steps = recipe("github-action.yml")["jobs"]["notebooks"]["steps"]
    assert yaml.safe_load(guide)["steps"] == [*steps[:-1], {"uses": steps[-1]["uses"]}]


def documented(heading: str) -> dict[str, str]:
    """Return name → default in the table below a heading."""
    below = PAGE.split(f"{heading}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", below, re.MULTILINE)
    return {name: default.strip(" `") for name, default in rows}


def test_the_inputs_of_the_action_and_the_template_are_documented_and_used_as_they_are():
    inputs = yaml.safe_load((EXAMPLES.parent / "action.yml").read_text(encoding="utf-8"))["inputs"]
    assert documented("## GitHub Actions") == {name: one["default"] for name, one in inputs.items()}
    template = yaml.safe_load((EXAMPLES.parent / "ci/gitlab.yml").read_text(encoding="utf-8"))
    variables = template[".nbbuild"]["variables"]
    assert documented("## GitLab") == variables
    shards = blocks("### Several machines")[0]["jobs"].values()
    ours = [recipe("github-action.yml")["jobs"]["notebooks"], *shards]
    for job in ours:
        assert set(job["steps"][-1]["with"]) <= set(inputs)
    job = recipe("gitlab-include.yml")["notebooks"]
    assert job["extends"] in template
    assert set(job["variables"]) <= set(variables)


@pytest.mark.slow
def test_ci_builds_keeps_the_store_and_writes_a_report_also_after_a_failure(quickstart):
    github = recipe("github-actions.yml")["jobs"]["notebooks"]["steps"]
    gitlab = recipe("gitlab-ci.yml")["notebooks"]
    build, report = ours([step["run"] for step in github if "run" in step])
    assert ours(gitlab["script"]) == [build.removesuffix(" --log-format github")] != [build]
    assert ours(gitlab["after_script"]) == [report]

    after = github[[step.get("run") for step in github].index(build) + 1 :]
    assert [step["if"] for step in after] == ["always()"] * 3
    restored, saved = (
        step["with"] for step in github if step.get("uses", "").startswith("actions/cache/")
    )
    assert (restored["path"], restored["key"]) == (saved["path"], saved["key"])
    assert gitlab["cache"]["when"] == gitlab["artifacts"]["when"] == "always"
    uploaded = after[-1]["with"]["path"].split()

    check = quickstart / "notebooks/check.py"
    right = check.read_text(encoding="utf-8")
    check.write_text(right + "\n# %%\n1 / 0\n", encoding="utf-8")
    run(build, quickstart, status=1)
    run(report, quickstart)
    for path in (
        saved["path"],
        *gitlab["cache"]["paths"],
        *uploaded,
        *gitlab["artifacts"]["paths"],
    ):
        assert (quickstart / path).exists()
    junit = JUnitXml.fromfile(str(quickstart / gitlab["artifacts"]["reports"]["junit"]))
    assert (junit.tests, junit.failures) == (3, 1)

    # A fresh clone, with only the store that was kept: what ran well does not run again.
    store = quickstart.parent / "store"
    shutil.move(quickstart / saved["path"], store)
    shutil.rmtree(quickstart)
    shutil.copytree(EXAMPLES / "quickstart", quickstart, ignore=MADE)
    shutil.move(store, quickstart / saved["path"])
    said = run(build, quickstart).stderr
    assert "executed notebooks/check.py" in said
    assert "executed notebooks/prepare.ipynb" not in said

    hook = recipe("pre-commit-config.yaml")["repos"][0]["hooks"][0]
    assert (hook["pass_filenames"], hook["always_run"]) == (False, True)
    run(hook["entry"], quickstart)
    check.write_text(right + "\n# %%\n2\n", encoding="utf-8")
    assert "notebooks/check.py" in run(hook["entry"], quickstart, status=1).stdout
