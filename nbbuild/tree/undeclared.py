"""What runs left in the tree undeclared: whose it is, and what is removed before the next run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nbbuild.disk.durable import own_folder, writing
from nbbuild.disk.project_folder import ASIDE, DOT
from nbbuild.model import Digest, Task
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.tree.ground import Ground
from nbbuild.tree.ledger import Ledger, Left, safe_id


def lying(ground: Ground, ledger: Ledger) -> dict[str, Digest]:
    """Return what runs of the ledger's task left undeclared and is still unchanged: its digests."""
    return {one.path: one.digest for one in _there(ground, ledger) if not one.shared}


def tracked(ground: Ground) -> frozenset[str]:
    """Return the names of everything that any task left undeclared."""
    return frozenset(one.path for ledger in ground.ledgers.all() for one in ledger.left)


def replaceable(ground: Ground, ledger: Ledger, path: str, digest: Digest) -> bool:
    """Whether the task's next run begins without `path`, where another task left `digest`."""
    ours = any(one.path == path and (one.anew or one.scratch) for one in ledger.left)
    return ours and digest in _by_others(ground, ledger).get(path, ())


def kept(ground: Ground, ledger: Ledger, new: Iterable[Left]) -> tuple[Left, ...]:
    """Return what a run leaves: what it changed, and what earlier runs left that still exists."""
    listed = {one.path: one for one in _there(ground, ledger)}
    listed.update((one.path, one) for one in new)
    return tuple(listed[path] for path in sorted(listed))


def put_away(
    ground: Ground, ledger: Ledger, task: Task, *, forced: bool
) -> tuple[tuple[Left, ...], tuple[str, ...]]:
    """Remove what the next run of `task` must not find; return what stays, and notes for users.

    A forced run must not find anything that the last one had looked for. Raises StoreError.
    """
    stays: list[Left] = []
    notes: list[str] = []
    scratch = [Pattern.parse(text) for text in task.scratch]
    assets = [Pattern.parse(text) for text in task.assets]
    for one in _there(ground, ledger, by_any=True):
        private = one.scratch or any(matches(pattern, one.path) for pattern in scratch)
        place = ground.root / one.path
        if one.shared or any(matches(pattern, one.path) for pattern in assets):
            stays.append(one)
        elif private:
            with writing(f"'{one.path}', which an earlier run left, cannot be removed", place):
                place.unlink()
        elif one.anew:
            _aside(ground, task, one.path)
        elif forced and one.asked:
            notes.append(ground.replaced.keep(place, one.path, whose="what an earlier run left"))
        else:
            stays.append(one)
        ground.digests.forget(place)
    return tuple(stays), tuple(notes)


def _there(ground: Ground, ledger: Ledger, *, by_any: bool = False) -> Iterator[Left]:
    """Yield what is there as the task left it or, with `by_any`, as any task left it."""
    others = _by_others(ground, ledger) if by_any and ledger.left else {}
    for one in ledger.left:
        place = ground.root / one.path
        if not ground.confined.allows(one.path) or place.is_symlink():
            continue
        digest = ground.digests.fresh(place)
        if digest is not None and digest in (one.digest, *others.get(one.path, ())):
            yield one


def _by_others(ground: Ground, ledger: Ledger) -> Mapping[str, list[Digest]]:
    found: dict[str, list[Digest]] = {}
    for other in ground.ledgers.but([ledger.task]):
        for one in other.left:
            found.setdefault(one.path, []).append(one.digest)
    return found


def _aside(ground: Ground, task: Task, path: str) -> None:
    """Move a file to where it stays until the next file of its name comes."""
    place = ground.root / path
    target = ground.root / DOT / ASIDE / safe_id(task.name) / path
    with writing(f"'{path}', which an earlier run left, cannot be put aside", place):
        own_folder(target.parent, below=ground.root / DOT)
        try:
            place.replace(target)
        except OSError:  # another file system, or a folder in the file's place
            ground.replaced.keep(place, path)
