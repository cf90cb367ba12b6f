"""What a notebook hands to other programs stays its own: nbbuild neither keeps nor shows it."""

import contextlib
import os
import re
import stat
import subprocess
import sys
import tarfile
import zlib

import pytest
import straced
from mock_slurm import CONFIG, Slurm

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


def everything(folder):
    """Every byte of the files in a folder, by path, and what is deflated in them."""
    for place in folder.rglob("*"):
        if place.is_file():
            data = place.read_bytes()
            yield place, data
            for part in (data, data.split(b"\n", 3)[-1]):  # a pack; the body of a head
                for shape in (zlib.MAX_WBITS, 32 + zlib.MAX_WBITS):
                    with contextlib.suppress(zlib.error):
                        yield place, zlib.decompressobj(shape).decompress(part)
            if tarfile.is_tarfile(place):
                with tarfile.open(place) as tar:
                    for member in tar:
                        held = tar.extractfile(member)
                        if held is not None:
                            yield place / member.name, held.read()


def test_nothing_that_leaves_the_machine_or_comes_from_workers_holds_a_secret(
    project, tmp_path, monkeypatch
):
    """A remote, an archive, reports, and the orders and answers of jobs elsewhere."""
    Slurm(tmp_path / "slurm", monkeypatch)
    secrets = {
        "TOKEN": SECRET,
        "OTHER": UNDECLARED,
        "CHILD": IN_CHILDREN,
        "AWS_SECRET_ACCESS_KEY": NEVER_READ,
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    shared = tmp_path / "remote"
    project.config(
        f'[execution]\nexecutor = "command"\n{CONFIG}\n'
        f'[cache]\nremote = "{shared.as_uri()}"\nunsigned = true\n[environment]\nenv = ["TOKEN"]\n'
    )
    project.notebook("a.ipynb", TALKS, "print('done')")
    project.notebook("fails.ipynb", TALKS, "1 / 0")
    said = [project.nbbuild("-v"), project.nbbuild("cache", "push")]
    assert (said[0].status, "1 executed, 1 failed" in said[0].err) == (1, True), said[0].err
    said.append(project.nbbuild("cache", "export", str(tmp_path / "cache.archive")))
    for name in ("html", "junit", "markdown", "trace"):
        said.append(project.nbbuild("report", f"--{name}", str(tmp_path / f"report.{name}")))
    assert [one.err for one in said[1:] if one.status] == []
    values = [value.encode() for value in secrets.values()]
    found = [*everything(tmp_path)]
    assert any(b"TOKEN" in data for place, data in found if shared in place.parents)
    assert any(b"TOKEN" in data for place, data in found if "cache.archive" in str(place))
    assert [(place, value) for place, data in found for value in values if value in data] == []
    words = [one.out + one.err for one in said]
    assert [one for one in words for value in secrets.values() if value in one] == []


def modes(folder):
    """Of all in a folder that others may touch, the mode by path."""
    return {
        str(path.relative_to(folder)): oct(mode)
        for path in [folder, *folder.rglob("*")]
        if (mode := stat.S_IMODE(path.lstat().st_mode)) & 0o077 and not path.is_symlink()
    }


def test_nbbuilds_own_folder_is_its_owners_alone(project):
    """Even without a umask; with one, no mode grants more."""
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/*.txt"]\n'
        '[[notebook]]\npath = "box.ipynb"\nsandbox = true\nartefacts = ["box.txt"]\n'
    )
    project.notebook("a.ipynb", "os.mkdir('out'); open('out/a.txt', 'w').write('a')")
    project.notebook("box.ipynb", "open('box.txt', 'w').write('b')")
    project.notebook("fails.ipynb", "1 / 0")
    before = os.umask(0)
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
    ours = project.root / ".nbbuild"
    assert len([*ours.rglob("*")]) > 20
    assert modes(ours) == {}
    # What is the user's is as the umask has it.
    theirs = ("out/a.txt", "box.txt", "_build/executed/a.ipynb", "_build/executed/box.ipynb")
    found = {path: oct(stat.S_IMODE((project.root / path).stat().st_mode)) for path in theirs}
    assert found == dict.fromkeys(theirs, "0o666")


def test_what_workers_and_kernels_need_for_a_moment_is_private_too(project, tmp_path, monkeypatch):
    """Seen by strace, without a umask: folders of orders, connections, accounts and sandboxes."""
    if STRACELESS:
        pytest.skip(STRACELESS)
    slurm = Slurm(tmp_path / "slurm", monkeypatch)
    (tmp_path / "temporary").mkdir()
    project.config(
        f'[execution]\nexecutor = "command"\n{CONFIG}\n'
        '[[notebook]]\npath = "box.ipynb"\nsandbox = true\n'
    )
    project.notebook("box.ipynb", "print('done')")
    log = tmp_path / "strace.log"
    done = subprocess.run(
        [*straced.command(log, made=True), sys.executable, "-m", "nbbuild"],
        cwd=project.root,
        env={**os.environ, **project.environ, "TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
        umask=0,
        check=False,
    )
    assert (done.returncode, len(slurm.submitted)) == (0, 1), done.stderr
    # Of a folder that only its owner can enter, and the drafts of what is the user's.
    inside = f"{tmp_path}/temporary/nbb-[^/]+/|{project.root}/.nbbuild/tree/.nbbuild-[^/]+.tmp"
    places = (f"{project.root}/.nbbuild", f"{tmp_path}/temporary/")
    made = {}
    for path, mode in straced.made(log):
        if path.startswith(places) and not re.match(inside, path):
            made.setdefault(path, oct(mode))  # SQLite opens with other modes what is there
    assert len(made) > 20
    assert {path: mode for path, mode in made.items() if int(mode, 8) & 0o077} == {}
    assert modes(project.root / ".nbbuild") == {}


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
