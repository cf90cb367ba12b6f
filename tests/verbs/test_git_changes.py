"""What git says has changed since a commit, seen from a project's root."""

import subprocess

import pytest

from nbbuild.errors import UsageError
from nbbuild.verbs import git_changes
from nbbuild.verbs.git_changes import changes_since


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    top = tmp_path / "repository"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    write(top, "book/jcache.toml", "book/data/a.csv", "book/data/b.csv", "lib/fit.py", "é\n.txt")
    commit(top)
    return top


def git(folder, *words):
    who = (
        "-c",
        "user.name=n",
        "-c",
        "user.email=e@example.org",
        "-c",
        "protocol.file.allow=always",
    )
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def write(top, *paths, text="1"):
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)


def commit(top):
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "x")


def changed(top, revision="HEAD", root="book"):
    found = changes_since(top / root, revision)
    return sorted(found.contents), sorted(found.names)


def test_what_was_edited_added_and_removed_committed_or_not(repository):
    start = git(repository, "rev-parse", "HEAD")
    assert changed(repository) == ([], [])
    write(repository, "lib/fit.py", "é\n.txt", text="2")
    commit(repository)
    assert changed(repository) == ([], [])
    write(repository, "book/data/a.csv", "book/new/deep/c.csv", text="3")
    (repository / "book/data/b.csv").unlink()
    contents = ["../lib/fit.py", "../é\n.txt", "data/a.csv", "data/b.csv", "new/deep/c.csv"]
    names = ["data/b.csv", "new", "new/deep", "new/deep/c.csv"]
    assert changed(repository, start) == (contents, names)
    git(repository, "add", "book/new")
    assert changed(repository, start) == (contents, names)


def test_a_renamed_file_counts_under_both_names_and_what_is_ignored_under_none(repository):
    git(repository, "mv", "book/data", "book/tables")
    write(repository, ".gitignore", text="*.log")
    write(repository, "book/x.log")
    paths = ["data/a.csv", "data/b.csv", "tables/a.csv", "tables/b.csv"]
    assert changed(repository) == (
        ["../.gitignore", *paths],
        ["../.gitignore", "data", *paths[:2], "tables", *paths[2:]],
    )


def test_what_only_the_other_branch_changed_does_not_count(repository):
    git(repository, "switch", "-q", "-c", "mine")
    write(repository, "book/mine.csv")
    commit(repository)
    git(repository, "switch", "-q", "main")
    write(repository, "book/theirs.csv")
    commit(repository)
    git(repository, "switch", "-q", "mine")
    assert changed(repository, "main")[0] == ["mine.csv"]


def test_of_a_clone_without_the_common_commit_all_that_differs_counts(repository):
    git(repository, "switch", "-q", "--orphan", "other")
    write(repository, "book/jcache.toml", "book/only.csv")
    commit(repository)
    assert changed(repository, "main")[0] == [
        "../lib/fit.py", "../é\n.txt", "data/a.csv", "data/b.csv", "only.csv",
    ]  # fmt: skip


def test_a_file_behind_a_link_counts_under_the_link_too(repository):
    (repository / "book/lib").symlink_to("../lib")
    (repository / "book/one.csv").symlink_to("data/a.csv")
    commit(repository)
    write(repository, "lib/fit.py", "book/data/a.csv", "lib/new.py", text="2")
    assert changed(repository) == (
        ["../lib/fit.py", "../lib/new.py", "data/a.csv", "lib/fit.py", "lib/new.py", "one.csv"],
        ["../lib/new.py", "lib/new.py"],
    )


def test_a_submodule_stands_for_all_that_is_in_it(repository, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    write(other, "x.csv")
    commit(other)
    git(repository, "submodule", "-q", "add", str(other), "book/sub")
    commit(repository)
    write(repository, "book/sub/x.csv", text="2")
    found = changes_since(repository / "book", "HEAD")
    assert (found.contents, found.wide) == ({"sub"}, {"sub"})
    assert found.meets("sub/x.csv")
    assert not found.meets("subway/x.csv")


def test_a_file_that_git_was_told_not_to_look_at_counts(repository):
    git(repository, "update-index", "--assume-unchanged", "book/data/a.csv")
    assert changed(repository) == (["data/a.csv"], ["data/a.csv"])


def test_what_a_file_held_before(repository):
    write(repository, "lib/fit.py", text="2")
    found = changes_since(repository / "book", "HEAD")
    assert found.before("../lib/fit.py") == [b"1"]
    assert found.before("nothing.py") == []


@pytest.mark.parametrize("revision", ["nothing", "", "-x", "HEAD..main", "^main"])
def test_a_commit_that_git_does_not_know(repository, revision):
    with pytest.raises(UsageError) as caught:
        changes_since(repository, revision)
    assert str(caught.value) == (
        f"git knows no commit '{revision}'\n  repository: {repository}\n\n"
        "hint: a clone of CI may have only the last commit: fetch the others as well "
        "(actions/checkout: `fetch-depth: 0`)"
    )


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError) as caught:
        changes_since(tmp_path, "HEAD")
    assert str(caught.value) == (
        f"'{tmp_path}' is not in a working tree of git\n"
        "  git: not a git repository (or any of the parent directories): .git\n\n"
        "hint: --changed-since compares with a commit of git; without it, "
        "everything that is out of date is built"
    )


def test_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        git_changes.changes_since(tmp_path, "HEAD")
    assert str(caught.value) == (
        "git cannot be started\n  reason: No such file or directory\n\n"
        "hint: --changed-since needs git: install it, or leave the option out"
    )
