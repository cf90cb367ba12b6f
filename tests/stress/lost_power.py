"""Work out what is on a disk after its power was lost: not all that was asked for.

The changes that a process made are replayed up to some moment, in a model of names and files. What
was flushed by then is there. Of the rest, a `Loss` chooses:

- names (making, renaming, removing) come in order, up to some moment since the last flush of
  anything, as on a file system with one journal; or each by chance, unless its folder was flushed;
- bytes of files: none of those not flushed, all, the first of them, or each write by chance. What
  was not written in between reads as zeros, and a file whose bytes are all lost is empty.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from system_calls import Change


@dataclass(eq=False)
class File:
    """A file, whatever it is called: its bytes at first, and what was asked of them since."""

    at_first: bytes = b""
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off there
    flushed: int = 0  # how many of the writes

    def bytes_of(self, kept: Sequence[bool]) -> bytes:
        data = bytearray(self.at_first)
        for keep, (offset, new) in zip(kept, self.writes, strict=True):
            if not keep:
                continue
            if new is None:
                del data[offset:]
                data.extend(bytes(offset - len(data)))
            else:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(new)] = new
        return bytes(data)


@dataclass
class Entry:
    """One change of names: what is at `put` from now on, and at `drop` no longer."""

    put: str = ""
    what: File | None = None  # None: a folder
    drop: str = ""
    flushed: bool = False  # its folder was


class Disk:
    """What a process asked of the disk below `root`, so far."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.before: dict[str, File | None] = {self.root: None}
        for folder, folders, files in os.walk(self.root):
            for name in folders:
                self.before[f"{folder}/{name}"] = None
            for name in files:
                self.before[f"{folder}/{name}"] = File(Path(folder, name).read_bytes())
        self.now = dict(self.before)
        self.entries: list[Entry] = []
        self.barrier = 0  # how many of the entries are flushed, if there is one journal

    def take(self, change: Change) -> None:
        """Take note of a change that is made."""
        place = change.paths[-1]
        there = self.now.get(place, "nothing")
        match change.deed:
            case "open" if change.flags & os.O_CREAT and there == "nothing":
                if self.now.get(os.path.dirname(place), "") is None:
                    self._enter(Entry(put=place, what=File()))
            case "open" if change.flags & os.O_TRUNC and isinstance(there, File):
                there.writes.append((0, None))
            case "mkdir" if there == "nothing":
                if self.now.get(os.path.dirname(place), "") is None:
                    self._enter(Entry(put=place))
            case "rename":
                self._rename(change.paths[0], place)
            case "unlink" if isinstance(there, File):
                self._enter(Entry(drop=place))
            case "rmdir" if there is None:
                if not any(path.startswith(f"{place}/") for path in self.now):
                    self._enter(Entry(drop=place))
            case "write" | "pwrite" | "writev" | "pwritev" if isinstance(there, File):
                there.writes.append((change.offset, change.data))
            case "ftruncate" if isinstance(there, File):
                there.writes.append((change.offset, None))
            case "fsync" | "fdatasync":
                self._flush(place, there)
            case "link" | "symlink" | "copy_file_range" | "sendfile" | "fallocate":
                raise AssertionError(f"the model has no {change.deed}")

    def _rename(self, old: str, new: str) -> None:
        if old not in self.now:
            return
        inside = [path for path in self.now if path.startswith(f"{old}/")]
        moved = {f"{new}{path[len(old) :]}": self.now[path] for path in [old, *inside]}
        if inside:  # a folder with its content: one entry for each, in this model
            for path, what in moved.items():
                self._enter(Entry(put=path, what=what, drop=f"{old}{path[len(new) :]}"))
        else:
            self._enter(Entry(put=new, what=self.now[old], drop=old))

    def _enter(self, entry: Entry) -> None:
        self.entries.append(entry)
        _apply(self.now, entry)

    def _flush(self, place: str, there: File | str | None) -> None:
        self.barrier = len(self.entries)
        if isinstance(there, File):
            there.flushed = len(there.writes)
        elif there is None:
            for entry in self.entries:
                if os.path.dirname(entry.put or entry.drop) == place:
                    entry.flushed = True

    def lost(self, chance: random.Random, *, journal: bool) -> dict[str, bytes | None]:
        """Return what is there after the power was lost now: each path with its bytes."""
        if journal:
            upto = chance.randint(self.barrier, len(self.entries))
            kept = self.entries[:upto]
        else:
            likely = chance.choice([0, 0.5, 0.9, 1])
            kept = [one for one in self.entries if one.flushed or chance.random() < likely]
        names = dict(self.before)
        for entry in kept:
            _apply(names, entry)
        way = chance.choice(["none", "all", "first", "some"])
        found: dict[str, bytes | None] = {}
        for path in sorted(names):
            what = names[path]
            if any(names.get(above, "nothing") is not None for above in self._above(path)):
                continue  # the folder that it is in was lost
            found[path] = None if what is None else _kept(what, way, chance)
        return found

    def _above(self, path: str) -> list[str]:
        above = []
        while path != self.root:
            path = os.path.dirname(path)
            above.append(path)
        return above


def _apply(names: dict[str, File | None], entry: Entry) -> None:
    if entry.drop:
        names.pop(entry.drop, None)
    if entry.put:
        names[entry.put] = entry.what


def _kept(file: File, way: str, chance: random.Random) -> bytes:
    count = len(file.writes)
    first = chance.randint(file.flushed, count)
    kept = [
        at < file.flushed
        or way == "all"
        or (way == "first" and at < first)
        or (way == "some" and chance.random() < 0.5)
        for at in range(count)
    ]
    return file.bytes_of(kept)


def write(found: dict[str, bytes | None]) -> None:
    """Put what is left in its place; nothing is there yet."""
    for path in sorted(found):
        data = found[path]
        if data is None:
            os.makedirs(path, exist_ok=True)
        else:
            Path(path).write_bytes(data)
