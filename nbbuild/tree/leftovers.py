"""Find what earlier runs of a task left in the tree, and remove it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nbbuild.disk.durable import writing
from nbbuild.paths.meeting import Loop
from nbbuild.paths.patterns import Pattern, literal_prefix, matches
from nbbuild.tree.ground import Ground, folders_above
from nbbuild.tree.ledger import Ledger


def leftovers(ground: Ground, ledger: Ledger) -> dict[str, bool]:
    """Return the files that the task's runs and restores left: path → whether half-done.

    Half-done means: left by a run that did not finish.
    """
    paths = dict.fromkeys((made.path for made in ledger.made), False)
    if ledger.before is not None:
        before = {stamp.path: stamp for stamp in ledger.before}
        found = ground.match(ledger.patterns) if ledger.patterns else []
        paths |= {path: True for path in found if ground.stamp(path) != before.get(path)}
    there = {path for path in paths if ground.exists(path) and ground.confined.allows(path)}
    there -= claimed(ground, ledger, there)
    return {path: half for path, half in paths.items() if path in there}


def claimed(
    ground: Ground, ledger: Ledger, paths: Collection[str], *, but: Collection[str] = ()
) -> set[str]:
    """Return those of `paths` that another task has written since, or is writing now.

    Claims of the tasks in `but` do not count.
    """
    taken: set[str] = set()
    if not paths:
        return taken
    for other in ground.ledgers.all():
        if other.task == ledger.task or other.task in but or other.when_ns <= ledger.when_ns:
            continue
        taken.update(made.path for made in other.made)
        if other.before is not None and other.patterns:
            taken.update(ground.match(other.patterns))
    return taken & set(paths)


def take_away(ground: Ground, ledger: Ledger, paths: Mapping[str, bool]) -> tuple[str, ...]:
    """Remove leftovers, and then the empty folders that were made for them; return notes.

    Each path is handled by itself, so this can be cut short anywhere and repeated. Raises
    StoreError.
    """
    notes: list[str] = []
    for path in sorted(paths):
        with writing("a file of an earlier run cannot be removed", ground.root / path):
            notes += ground.put_away(path, half=paths[path])
    folders = {*ledger.folders, *folders_of(ledger, paths)}
    ground.drop_folders(folders - _awaited(ground, ledger, folders))
    return tuple(notes)


# -- folders -----------------------------------------------------------------------------------
#
# Many programs refuse to make a folder that exists. So folders that a run made for its files,
# including the fixed part of its patterns, are removed with the files in them; those that it found
# stay. Without a fixed part, finding out which folders existed would take a walk through the whole
# project, so all of them stay.


def standing_folders(root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the existing folders that files of `patterns` could go to."""
    prefixes = (literal_prefix(pattern) for pattern in _parsed(patterns))
    above = {folder for prefix in prefixes for folder in (prefix, *folders_above(prefix))}
    found = {folder for folder in above if folder and (root / folder).is_dir()}
    for pattern in _deep(_parsed(patterns)):
        base = pattern.path if pattern.literal else literal_prefix(pattern)
        for folder, _, _ in os.walk(root / base):
            found.add(Path(folder).relative_to(root).as_posix())
    return tuple(sorted(found))


def _awaited(ground: Ground, ledger: Ledger, folders: Collection[str]) -> set[str]:
    """Return those `folders` that another task's run may just have made for its files."""
    solid = {folder for folder in folders if ground.holds_files(folder)}
    solid |= {above for folder in solid for above in folders_above(folder)}
    if not any(ground.exists(folder) for folder in {*folders} - solid):
        return set()  # nothing would be removed: the other ledgers need not be read
    fixed = {
        literal_prefix(pattern)
        for other in ground.ledgers.all()
        if other.task != ledger.task and other.before is not None
        for pattern in _parsed(other.patterns)
    }
    return {folder for folder in folders if any(_on_one_way(folder, one) for one in fixed - {""})}


def _on_one_way(folder: str, other: str) -> bool:
    """Whether one of two folders is the other, or is below it."""
    return f"{other}/".startswith(f"{folder}/") or f"{folder}/".startswith(f"{other}/")


def folders_of(ledger: Ledger, paths: Iterable[str]) -> set[str]:
    """Return the folders above the leftovers `paths` that were made for the ledger's task."""
    paths = list(paths)
    folders = {folder for path in paths for folder in folders_above(path)} & {*ledger.folders}
    if ledger.before is not None:
        folders |= folders_made(paths, ledger.patterns, ledger.standing)
    return folders


def folders_made(
    paths: Iterable[str], patterns: Sequence[str], standing: Collection[str]
) -> set[str]:
    """Return the folders above `paths` that a run must have made."""
    # A pattern of one plain name may mean a folder; then that is its fixed part.
    fixed = [one for one in _parsed(patterns) if one.literal or literal_prefix(one)]
    stood = frozenset(standing)
    made: set[str] = set()
    for path in paths:
        if any(matches(pattern, path) for pattern in fixed):
            made.update(set(folders_above(path)) - stood)
    return made


def empty_folders(
    root: Path, patterns: Sequence[str], standing: Collection[str], files: Iterable[str]
) -> tuple[str, ...]:
    """Return the folders under `patterns` that a run made and left without any file, sorted.

    `standing` are the folders it found; `files` are its artefacts.
    """
    holding = {folder for path in files for folder in folders_above(path)}
    found: set[str] = set()
    for pattern in _deep(_parsed(patterns)):
        base = pattern.path if pattern.literal else literal_prefix(pattern)
        for place, _, _ in os.walk(root / base):
            folder = Path(place).relative_to(root).as_posix()
            # Test a file that could be in it: patterns match files, and folders by their files.
            if folder not in holding and matches(pattern, f"{folder}/x"):
                found.add(folder)
    return tuple(sorted(found - frozenset(standing)))


def _parsed(patterns: Iterable[str]) -> list[Pattern]:
    return [Pattern.parse(text) for text in patterns]


def _deep(patterns: Iterable[Pattern]) -> Iterator[Pattern]:
    """Yield the patterns whose files can be in folders below a prefix that is not the root."""
    for pattern in patterns:
        prefix = literal_prefix(pattern)
        rest = pattern.parts[len(prefix.split("/")) :] if prefix else pattern.parts
        reaches = pattern.literal or len(rest) > 1 or any(isinstance(part, Loop) for part in rest)
        if reaches and (prefix or pattern.literal):
            yield pattern
