"""What .gitignore says, as git reads it."""

import subprocess

import pytest

from nbbuild.paths.ignored import Ignored

RULES = """
# a comment
*.tmp
!keep.tmp
/out/
data/**/x.txt
[ab].log
[!c].dat
logs/**
\\#sharp
folder/
"""
PATHS = [
    *("a.tmp", "q/b.tmp", "keep.tmp", "out/x", "q/out/x", "data/1/2/x.txt", "data/x.txt"),
    *("a.log", "c.log", "d.dat", "c.dat", "logs/1/2", "#sharp", "folder", "q/folder/x", "sub/y"),
    "sub/z",
]


@pytest.mark.parametrize("inside", ["", "project"])
def test_a_file_is_left_out_just_as_git_says(tmp_path, inside):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    root = tmp_path / inside
    root.mkdir(exist_ok=True)
    (tmp_path / ".gitignore").write_text(RULES)
    (root / "sub").mkdir()
    (root / "sub/.gitignore").write_text("y\n")
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    command = ["git", "check-ignore", "--no-index", *PATHS]
    told = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    ignored = Ignored(root)
    assert [path for path in PATHS if ignored(path)] == told.stdout.splitlines()


def test_without_version_control_the_files_of_the_project_count(tmp_path):
    assert not Ignored(tmp_path)("a.tmp")
    (tmp_path / ".gitignore").write_text("*.tmp\n[\n")
    assert Ignored(tmp_path)("sub/a.tmp")
