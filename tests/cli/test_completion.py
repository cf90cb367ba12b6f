"""What a shell offers to complete, and that bash, zsh and fish themselves do."""

import os
import subprocess
import sys

import pytest
import shells

from nbbuild.cli import VERBS

CONFIG = """
[project]
notebooks = ["chapters/*.ipynb", "notes/*.md"]

[[notebook]]
path = "chapters/model.ipynb"
groups = ["nightly"]
artefacts = ["figures/model.png", "tables/*.csv"]

[[notebook]]
path = "notes/towns.md"
matrix = { town = ["Ulm"] }
"""

PLAIN = ["chapters/model.ipynb", "chapters/my notes.ipynb"]
ALL = [*PLAIN, "notes/towns.md", "figures/model.png", "towns-town-Ulm", "nightly"]


@pytest.fixture
def book(at):
    """Make a project with two folders of notebooks."""
    return at(*PLAIN, "notes/towns.md", **{"jcache.toml": CONFIG, "notes/README.md": "# No\n"})


def asked(line, *, cwd=".", python=("-m", "nbbuild")):
    done = subprocess.run(
        [sys.executable, *python],
        env={**os.environ, "_NBBUILD_COMPLETE": "complete", "COMP_LINE": line},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\t") for line in done.stdout.splitlines()]


def offered(line, *, cwd="."):
    """Return the words that are offered for the last word of `line`."""
    return [value for kind, value, _ in asked(line, cwd=cwd) if kind == "word"]


def test_the_first_word_is_a_verb_or_a_target(book):
    assert offered("nbbuild ") == [*VERBS, *ALL]
    assert asked("nbbuild stat") == [["word", "status", VERBS["status"]]]
    assert offered("nbbuild n") == ["notes/towns.md", "nightly"]
    assert offered("nbbuild -k -j 4 m") == ["merge"]
    assert offered("nbbuild -k -C chapters m") == ["merge", "model.ipynb", "my notes.ipynb"]


def test_a_verb_takes_targets_and_none_twice(book):
    assert offered("nbbuild status ") == ALL
    assert offered("nbbuild status chapters/model.ipynb chapters/") == PLAIN[1:]
    assert offered("nbbuild explain chapters/mo") == PLAIN[:1]
    for verb in ("diff", "graph", "invalidate", "list", "show", "status", "verify", "watch"):
        assert offered(f"nbbuild {verb} chapters/mo") == PLAIN[:1]
    assert offered("nbbuild build -- chapters/mo") == PLAIN[:1]
    assert offered('nbbuild list "chapters/my n') == PLAIN[1:]


def test_a_path_is_seen_from_the_current_folder_and_a_name_is_the_same_everywhere(book):
    assert offered("nbbuild list ", cwd="chapters") == [
        "model.ipynb",
        "my notes.ipynb",
        "towns-town-Ulm",
        "nightly",
    ]
    assert offered("nbbuild list ../n", cwd="chapters") == ["../notes/towns.md"]
    assert offered("nbbuild list ./m", cwd="chapters") == ["./model.ipynb", "./my notes.ipynb"]
    assert offered(f"nbbuild list {book}/notes/", cwd="chapters") == [f"{book}/notes/towns.md"]


def test_options_and_their_values(book):
    assert offered("nbbuild --dry") == ["--dry-run"]
    assert offered("nbbuild --ver") == ["--version", "--verbose"]
    assert offered("nbbuild cache gc --max-s") == ["--max-size"]
    assert offered("nbbuild cache g") == ["gc"]
    assert offered("nbbuild help cache g") == ["gc"]
    assert asked("nbbuild -C ch") == [["dir", "ch", ""]]
    assert asked("nbbuild --file=jc") == [["file", "jc", ""]]
    assert offered("nbbuild graph --format=d") == ["--format=dot"]
    assert offered("nbbuild completion z") == ["zsh"]


def test_nothing_is_offered_and_nothing_said_where_something_is_wrong(book):
    (book / "jcache.toml").write_text("[project\n")
    assert offered("nbbuild chap") == []
    assert offered("nbbuild -C nowhere list ") == []
    assert offered("nbbuild stat") == ["status"]
    (book / "jcache.toml").unlink()
    assert offered("nbbuild chap", cwd="chapters") == []


def test_names_that_a_line_of_the_shell_cannot_hold_are_left_out(book):
    (book / "chapters/\x1b[31m.ipynb").write_text("{}")
    (book / "chapters/two\nlines.ipynb").write_text("{}")
    assert offered("nbbuild chapters/") == PLAIN


LOOKED_AT = """
import sys
from nbbuild.__main__ import main
from nbbuild.quick import uptodate
uptodate.answer = None  # an up-to-date project is no answer to a shell
try:
    main()
except SystemExit as end:
    assert end.code == 0
heavy = {"doit", "networkx", "nbformat", "jupytext", "nbclient", "rich", "nbbuild.session"}
print("word", *sorted(heavy & set(sys.modules)), sep="\\t")
"""


def test_completing_reads_no_notebook_and_writes_nothing(book):
    before = sorted(book.rglob("*"))
    assert asked("nbbuild chapters/mo", python=("-c", LOOKED_AT)) == [
        ["word", "chapters/model.ipynb", ""],
        ["word"],
    ]
    assert sorted(book.rglob("*")) == before


# -- in the shells themselves ------------------------------------------------------------------


@pytest.fixture
def typed(book, tmp_path_factory):
    opened = []

    def start(shell):
        env = shells.environment(tmp_path_factory.mktemp("shell"))
        opened.append(shells.Typed(shell, cwd=book, env=env))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_what_is_typed(shell, book, typed):
    if not shells.there(shell):
        pytest.skip(f"{shell} is not installed")
    (book / "chapters/a:b.ipynb").write_text("{}")
    at_work = typed(shell)
    for line, words in {
        "nbbuild stat⇥": "<status>",
        "nbbuild chapters/mo⇥": "<chapters/model.ipynb>",
        "nbbuild list chapters/my⇥": "<list><chapters/my notes.ipynb>",
        "nbbuild list 'chapters/my⇥": "<list><chapters/my notes.ipynb>",
        "nbbuild list chapters/a:⇥": "<list><chapters/a:b.ipynb>",
        "nbbuild nigh⇥": "<nightly>",
        "nbbuild --dry⇥": "<--dry-run>",
        "nbbuild graph --format=d⇥": "<graph><--format=dot>",
        "nbbuild -C chap⇥": "<-C><chapters>",
    }.items():
        # zsh takes away the slash that it has put after a folder.
        assert at_work.words(line).replace("/>", ">") == words, at_work.transcript
    at_work.run("cd chapters; echo 'EN''D'")
    assert at_work.words("nbbuild mod⇥") == "<model.ipynb>"
    (book / "jcache.toml").write_text("[project\n")
    assert at_work.words("nbbuild mod⇥") == "<mod>"
    assert "Traceback" not in at_work.transcript


@pytest.mark.skipif(not shells.there("fish"), reason="fish is not installed")
def test_fish_completes_what_is_typed(book, tmp_path_factory):
    env = shells.environment(tmp_path_factory.mktemp("shell"))
    script = "nbbuild completion fish | source\n" + "\n".join(
        f"complete -C {line!r}; echo"
        for line in (
            "nbbuild stat",
            "nbbuild chapters/m",
            "nbbuild list nigh",
            "nbbuild --dry",
            "nbbuild graph --format=d",
            "nbbuild -C chap",
        )
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=env,
        cwd=book,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split("\n\n") == [
        f"status\t{VERBS['status']}",
        "chapters/model.ipynb\nchapters/my notes.ipynb",
        "nightly",
        "--dry-run\tSay what would be done, and do nothing.",
        "--format=dot",
        "chapters/\tDirectory",
        "",
    ]


def test_the_lines_that_were_documented_before_still_work(book):
    env = {**os.environ, "_NBBUILD_COMPLETE": "bash_source"}
    nbbuild = [sys.executable, "-m", "nbbuild"]
    old = subprocess.run(nbbuild, env=env, capture_output=True, check=False)
    new = subprocess.run([*nbbuild, "completion", "bash"], capture_output=True, check=True)
    assert (old.returncode, old.stdout) == (0, new.stdout)
