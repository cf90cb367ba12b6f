"""What differs between a commit of git and the working tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nbbuild.errors import UsageError
from nbbuild.tree.ground import folders_above

_LINK, _SUBMODULE = "120000", "160000"
_ROUNDS = 4  # links that lead to links


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths from the root, as `../x` above it."""

    contents: frozenset[str]
    """All that changed, came or went. What lies below one of them may have changed, too."""
    names: frozenset[str]
    """Files and folders that came, went, or became something of another kind."""
    wide: frozenset[str]
    """Those of `contents` that stand for whatever is below: links, submodules."""
    untracked: frozenset[str]
    """Those of `contents` that git does not track."""
    earlier: _Earlier

    def meets(self, path: str) -> bool:
        """Whether `path`, or something that it lies in, is among `contents`."""
        return path in self.contents or any(above in self.contents for above in folders_above(path))

    def before(self, path: str) -> list[bytes]:
        """Return what the file `path` held in the commits that the tree is compared with."""
        return self.earlier.bytes_of(path)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The commits that the tree is compared with."""

    top: str
    root: str
    commits: tuple[str, ...]

    def bytes_of(self, path: str) -> list[bytes]:
        inside = os.path.relpath(os.path.join(self.root, path), self.top)  # noqa: PTH118
        found = (_run(self.top, "show", f"{commit}:{inside}") for commit in self.commits)
        return [one.stdout for one in found if one.returncode == 0]


class _Change(NamedTuple):
    """One path from the top of git's tree, and what it was and is."""

    path: str
    modes: tuple[str, str]
    status: str  # as git has it; "?" for what it does not track


def changes_since(root: Path, revision: str) -> Changes:
    """Return what differs between git's `revision` and the files in `root` and around it.

    What only `revision` has changed since its history and that of HEAD parted does not count: the
    tree is compared with the last commit that both have, or with `revision` if none is known. Files
    that git ignores do not count. Raises `UsageError`.
    """
    here = os.path.realpath(root)
    top = _top(here)
    earlier = _Earlier(top, here, _bases(top, revision))
    listed = _listed(top)
    changes = [*_differing(top, earlier.commits), *_hidden(top, listed), *_untracked(top)]
    links = [path for _, mode, path in listed if mode == _LINK]
    contents = {one.path for one in changes}
    wide = {one.path for one in changes if _is_wide(top, one)}
    names = {one.path for one in changes if one.status != "M"}
    names |= set(_folders_of(top, names, _folders(top, earlier.commits)))
    links += [path for path in contents if os.path.islink(f"{top}/{path}")]  # noqa: PTH114
    for group in (contents, wide, names):
        _add_linked(top, group, links)

    def seen(paths: Iterable[str]) -> frozenset[str]:
        return frozenset(os.path.relpath(f"{top}/{path}", here) for path in paths)

    return Changes(
        contents=seen(contents),
        names=seen(names),
        wide=seen(wide),
        untracked=seen(one.path for one in changes if one.status == "?"),
        earlier=earlier,
    )


# -- what git says -----------------------------------------------------------------------------


def _top(root: str) -> str:
    done = _run(root, "rev-parse", "--show-toplevel")
    if done.returncode:
        raise UsageError(
            f"'{root}' is not in a working tree of git",
            facts=[("git", _said(done))],
            hint="--changed-since compares with a commit of git; without it, "
            "everything that is out of date is built",
        )
    return os.path.realpath(os.fsdecode(done.stdout.removesuffix(b"\n")))


def _bases(top: str, revision: str) -> tuple[str, ...]:
    """Return the last commits that `revision` and HEAD have in common, or `revision` itself."""
    asked = ("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    found = None if not revision or revision[0] in "-^" else _run(top, *asked)
    if found is None or found.returncode:
        raise UsageError(
            f"git knows no commit '{revision}'",
            facts=[("repository", top)],
            hint="a clone of CI may have only the last commit: fetch the others as well "
            "(actions/checkout: `fetch-depth: 0`)",
        )
    commit = found.stdout.decode().strip()
    common = _run(top, "merge-base", "--all", commit, "HEAD")
    return tuple(common.stdout.decode().split()) or (commit,)


def _differing(top: str, commits: Iterable[str]) -> Iterator[_Change]:
    for commit in commits:
        options = ("--raw", "--no-renames", "--ignore-submodules=none", "--no-abbrev", "-z")
        fields = iter(_lines(top, "diff", *options, commit, "--"))
        for head in fields:
            before, after, _, _, status = head.removeprefix(":").split(" ")
            yield _Change(next(fields), (before, after), status[:1])


def _listed(top: str) -> list[tuple[str, str, str]]:
    """Return tag, mode and path of each file that git tracks."""
    listed: list[tuple[str, str, str]] = []
    for line in _lines(top, "ls-files", "-v", "-s", "-z"):
        head, _, path = line.partition("\t")
        tag, mode, *_ = head.split(" ")
        listed.append((tag, mode, path))
    return listed


def _hidden(top: str, listed: Iterable[tuple[str, str, str]]) -> Iterator[_Change]:
    """Yield the files that git was told not to look at; each may have changed."""
    for tag, mode, path in listed:
        unlooked = tag.islower() or tag == "S"
        if unlooked and os.path.lexists(f"{top}/{path}"):
            yield _Change(path, (mode, mode), "T")


def _untracked(top: str) -> Iterator[_Change]:
    for path in _lines(top, "ls-files", "--others", "--exclude-standard", "-z"):
        yield _Change(path.rstrip("/"), ("", _SUBMODULE if path.endswith("/") else ""), "?")


def _folders(top: str, commits: Iterable[str]) -> frozenset[str]:
    """Return the folders that all of `commits` have."""
    each = [
        set(_lines(top, "ls-tree", "-r", "-d", "-z", "--name-only", "--full-tree", commit))
        for commit in commits
    ]
    return frozenset(set.intersection(*each)) if each else frozenset()


def _lines(top: str, *words: str) -> list[str]:
    done = _run(top, *words)
    if done.returncode:
        raise UsageError(
            f"git {words[0]} ended with status {done.returncode}",
            facts=[("repository", top), ("git", _said(done))],
            hint="without --changed-since, everything that is out of date is built",
        )
    return [os.fsdecode(one) for one in done.stdout.split(b"\0") if one]


def _run(folder: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-C", folder, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            "git cannot be started",
            facts=[("reason", error.strerror or str(error))],
            hint="--changed-since needs git: install it, or leave the option out",
        ) from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return os.fsdecode(done.stderr).strip().removeprefix("fatal: ")


# -- what follows from it ----------------------------------------------------------------------


def _is_wide(top: str, change: _Change) -> bool:
    """Whether a path stands, or stood, for all that is below it."""
    return not {_LINK, _SUBMODULE}.isdisjoint(change.modes) or os.path.isdir(  # noqa: PTH112
        f"{top}/{change.path}"
    )


def _folders_of(top: str, names: Iterable[str], before: Collection[str]) -> Iterator[str]:
    """Yield the folders that came or went with `names`."""
    known: dict[str, bool] = {}
    for path in names:
        for above in folders_above(path):
            if above not in known:
                stays = above in before and os.path.isdir(f"{top}/{above}")  # noqa: PTH112
                known[above] = not stays
            if not known[above]:
                break  # and so were those above it, and are
            yield above


def _add_linked(top: str, paths: set[str], links: Iterable[str]) -> None:
    """Add the paths by which those of `paths` are reached through `links`."""
    leads: list[tuple[str, str]] = []
    for link in dict.fromkeys(links):
        target = os.path.relpath(os.path.realpath(f"{top}/{link}"), top)
        if target != ".." and not target.startswith("../"):
            leads.append((link, target))
    for _ in range(_ROUNDS if leads else 0):
        more = {
            link if path == target else f"{link}/{_seen_from(target, path)}"
            for link, target in leads
            for path in paths
            if target in (path, ".") or path.startswith(f"{target}/")
        } - paths
        if not more:
            return
        paths |= more


def _seen_from(folder: str, path: str) -> str:
    return path if folder == "." else path[len(folder) + 1 :]
