"""The README's commands are the ones that CI runs, and what it shows is true."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from nbbuild import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = ROOT / ".ci" / "run"


def taken_by_ci(mark: str) -> subprocess.CompletedProcess[str]:
    """Ask the function of .ci/run that reads the README for the command marked `mark`."""
    script = f"""
        set -euo pipefail
        top=$1
        eval "$(sed -n '/^readme_command()/,/^}}/p' "$top/.ci/run")"
        readme_command {mark}
    """
    return subprocess.run(
        ["bash", "-c", script, "bash", str(ROOT)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("mark", ["quickstart", "test"])
def test_ci_takes_its_commands_from_the_readme(mark: str) -> None:
    block = re.search(rf"^<!-- {mark} -->\n```sh\n(.+)\n```$", README, re.MULTILINE)
    assert block is not None
    assert taken_by_ci(mark).stdout == block[1] + "\n"
    assert f"{mark}_command=$(readme_command {mark})" in CI.read_text()


def test_ci_stops_when_the_readme_has_no_such_command() -> None:
    asked = taken_by_ci("nothing")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr == "README.md has no command marked <!-- nothing -->\n"


def test_ci_can_be_executed_and_parsed() -> None:
    assert CI.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(CI)], check=True)


def test_a_fresh_machine_needs_one_command_for_each_of_the_two() -> None:
    for mark in ("quickstart", "test"):
        command = taken_by_ci(mark).stdout.strip()
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert "\n" not in command


def test_the_table_of_commands_has_every_verb() -> None:
    rows = re.findall(r"^\| `nbbuild ?([a-z]*)", README, re.MULTILINE)
    assert set(rows) == {""} | set(cli.VERBS) - {"build"}


def test_the_licence_is_bsd() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert licence.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, nbbuild developers\n")
    assert "THE IMPLIED WARRANTIES OF MERCHANTABILITY" in " ".join(licence.split())
