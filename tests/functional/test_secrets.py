"""What a notebook hands to other programs stays its own: nbbuild neither keeps nor shows it."""

import os
import re
import stat
import subprocess
import sys

import pytest
import straced

STRACELESS = straced.unavailable()

SECRET = "hunter2-4711"

CODE = """
import glob, subprocess
token = os.environ["TOKEN"]
for words in (
    ["true", "-H", f"Authorization: {token}"],
    ["true", f"https://me:{token}@example.org/a?key={token}"],
    ["true", f"--password={token}*"],
):
    subprocess.run(words, check=True)
os.system(f"true --key {token}; true {token}?")
subprocess.run(["true"], check=True, env={**os.environ, "OTHER": token})
"""


def test_no_argument_and_no_value_of_a_variable_is_kept_or_shown(project, monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    project.config('[environment]\nenv = ["TOKEN"]')
    project.notebook("a.ipynb", CODE)
    said = [
        project.nbbuild(*words)
        for words in (
            ("-v",),
            ("status", "-v"),
            ("status", "--json"),
            ("explain", "-v", "a.ipynb"),
            ("show", "a.ipynb"),
            ("show", "--json", "a.ipynb"),
            ("cache", "list"),
        )
    ]
    assert said[0].ran == ["a"]
    monkeypatch.setenv("TOKEN", f"{SECRET}-new")
    said.append(project.nbbuild("explain", "a.ipynb"))
    assert "TOKEN" in said[-1].out
    assert [done for done in said if SECRET in done.out + done.err] == []
    kept = [path for path in project.root.rglob("*") if path.is_file()]
    assert len(kept) > 5
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []
    assert [path for path in project.root.rglob("*") if SECRET in path.name] == []


NEVER_READ = "never-read-2323"
UNDECLARED = "undeclared-9191"
IN_CHILDREN = "in-children-5757"

TALKS = """
import os, subprocess, sys
_ = os.environ["TOKEN"], os.environ["OTHER"], os.getenv("MISSING")
for secret in (os.environ["CHILD"], os.environ["TOKEN"]):
    code = "import os; os.path.exists('gone.csv')"
    subprocess.run([sys.executable, "-c", code, secret], check=True)
    subprocess.run(["sh", "-c", f"true --key {secret}"], check=True)
"""


@pytest.mark.own_way("watches system calls")
@pytest.mark.skipif(bool(STRACELESS), reason=STRACELESS)
def test_no_byte_that_a_build_writes_holds_a_secret(project, tmp_path):
    """strace sees what is written into any file, also one that the build removes itself."""
    project.config(
        '[environment]\nenv = ["TOKEN"]\n'
        '[[notebook]]\npath = "box.ipynb"\nsandbox = true\n'
        '[[notebook]]\npath = "cold.ipynb"\nkernel = "python3"\n'
    )
    for name in ("plain", "box", "cold"):
        project.notebook(f"{name}.ipynb", TALKS, "print('done')")
    project.notebook("fails.ipynb", TALKS, "1 / 0")
    (tmp_path / "temporary").mkdir()
    secrets = {
        "TOKEN": SECRET,
        "OTHER": UNDECLARED,
        "CHILD": IN_CHILDREN,
        "AWS_SECRET_ACCESS_KEY": NEVER_READ,
        "NBBUILD_SIGNING_KEY": f"{NEVER_READ}-key",
    }
    environ = {
        **os.environ,
        **project.environ,
        **secrets,
        "TMPDIR": str(tmp_path / "temporary"),
        "NBBUILD_DEBUG": "1",
    }
    log = tmp_path / "strace.log"
    script = """
    nbbuild() { "$PYTHON" -m nbbuild "$@"; }
    nbbuild -v; status=$?
    nbbuild status -v; nbbuild explain -v fails.ipynb; nbbuild show fails.ipynb
    nbbuild report --html r.html --junit r.xml --markdown r.md --trace t.json; nbbuild report --json
    exit $status
    """
    done = subprocess.run(
        [*straced.command(log), "sh", "-c", script],
        cwd=project.root,
        env={**environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "3 executed, 1 failed" in done.stderr, done.stderr
    writes = straced.written(log)
    names = {os.path.basename(path) for path, _ in writes}
    assert {"connection.json", "seen.json", "state.sqlite-wal"} <= names
    assert any(name.startswith("report.json.") for name in names)  # what the kernel saw
    assert any(name.endswith(".jsonl") for name in names)  # what its children saw
    values = {SECRET, UNDECLARED, IN_CHILDREN, NEVER_READ}
    assert [value for value in values if value in done.stdout + done.stderr] == []
    assert [(path, value) for path, text in writes for value in values if value in text] == []
    # Other users see the arguments of programs; the notebook itself gave its children two.
    ran = straced.programs(log)
    assert [line for line in ran for value in (UNDECLARED, NEVER_READ) if value in line] == []

    # The key of a kernel's messages is in the one file that its connection needs.
    keys = {
        key
        for path, text in writes
        if path.endswith("/connection.json")
        for key in re.findall(r'key\\": \\"([0-9a-f]{32})', text)
    }
    assert len(keys) >= 4
    holders = {path for path, text in writes for key in keys if key in text}
    assert {os.path.basename(path) for path in holders} == {"connection.json"}
    assert [line for line in ran for key in keys if key in line] == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_no_notebook_gets_the_key_that_signs(project, monkeypatch):
    monkeypatch.setenv("NBBUILD_SIGNING_KEY", SECRET)
    project.config("")
    project.notebook("a.ipynb", "print(sorted(os.environ))", "!env")
    project.build()
    assert "RUN_LOG" in project.shown("a.ipynb")
    assert "NBBUILD_SIGNING_KEY" not in project.shown("a.ipynb")


def test_nbbuilds_own_folder_is_its_owners_alone(project):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/*.txt"]\n'
        '[[notebook]]\npath = "box.ipynb"\nsandbox = true\nartefacts = ["box.txt"]\n'
    )
    project.notebook("a.ipynb", "os.mkdir('out'); open('out/a.txt', 'w').write('a')")
    project.notebook("box.ipynb", "open('box.txt', 'w').write('b')")
    project.notebook("fails.ipynb", "1 / 0")
    before = os.umask(0o022)
    try:
        project.build(status=1)
        project.nbbuild("invalidate", "a.ipynb")
        project.build(status=1)
        for words in (("status",), ("export", "make"), ("cache", "gc"), ("cache", "verify")):
            project.nbbuild(*words)
        (project.root / "out/a.txt").unlink()
        project.build(status=1)
    finally:
        os.umask(before)

    def mode(path):
        return stat.S_IMODE((project.root / path).stat().st_mode)

    assert mode(".nbbuild") == 0o700
    ours = {path: mode(path) for path in (project.root / ".nbbuild").rglob("*") if path.is_file()}
    assert len(ours) > 20
    assert {path: oct(found) for path, found in ours.items() if found & 0o077} == {}
    # What is the user's is as the umask has it.
    theirs = ("out/a.txt", "box.txt", "_build/executed/a.ipynb", "_build/executed/box.ipynb")
    assert {path: oct(mode(path)) for path in theirs} == dict.fromkeys(theirs, "0o644")


def test_a_folder_that_was_opened_to_a_group_stays_open(project):
    project.config("")
    project.notebook("a.ipynb")
    project.build()
    (project.root / ".nbbuild").chmod(0o770)
    before = os.umask(0o002)
    try:
        project.notebook("b.ipynb")
        project.build()
    finally:
        os.umask(before)
    names = [path for path in (project.root / ".nbbuild/tree").iterdir() if "b.ipynb" in path.name]
    assert [stat.S_IMODE(path.stat().st_mode) for path in names] == [0o660]
