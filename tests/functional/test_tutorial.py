"""What docs/tutorial.md shows is what happens."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^<!-- console -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"\d+(\.\d)? s\b|about .*$", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sed") is None, reason="the tutorial uses sed")
def test_the_tutorial_goes_as_it_says(project):
    shutil.copytree(ROOT / "examples" / "ten", project.root, dirs_exist_ok=True)
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert "nbbuild init --trace" in text
    assert project.nbbuild("init", "--trace").status == 0
    status = 0
    for block in BLOCK.findall(text):
        for step in block.split("$ ")[1:]:
            command, _, shown = step.partition("\n")
            if command == "echo $?":
                assert shown.strip() == str(status)
            elif command.startswith("nbbuild"):
                done = project.nbbuild(*command.split()[1:])
                status = done.status
                assert told(done.out + done.err) == told(shown), command
            else:
                subprocess.run(command, shell=True, check=True, cwd=project.root)


def told(text):
    """Return lines in an order of their own: which of two notebooks ends first varies."""
    return sorted(VARIES.sub("…", text).splitlines())
