"""What the stories about the store and the tree share."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nbbuild.disk.digests import Digests, digest_bytes
from nbbuild.errors import StoreError
from nbbuild.model import ActionKey, ArtefactFile, Record, Task, Trace
from nbbuild.store import DiskStore, MemoryStore, Store
from nbbuild.tree import Tree

KEY = digest_bytes(b"a key")
OTHER_KEY = digest_bytes(b"another key")


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each story about the store is told of both."""
    return MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "store")


@pytest.fixture
def disk(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.ipynb").write_text("source")
    return folder


def record(
    record_id: str = "r1",
    *,
    key: str = KEY,
    artefacts: Sequence[ArtefactFile] = (),
    folders: Sequence[str] = (),
    created: float = 1.0,
) -> Record:
    return Record(
        id=record_id,
        key=ActionKey(key, ()),
        trace=Trace(),
        task="a.ipynb",
        source="a.ipynb",
        cells=digest_bytes(b"cells"),
        artefacts=tuple(artefacts),
        folders=tuple(folders),
        created=created,
    )


def task(*artefacts: str, name: str = "a.ipynb") -> Task:
    return Task(name=name, source=name, built=f"_build/{name}", artefacts=artefacts)


def files(root: Path) -> dict[str, str]:
    """All files below `root` but for nbbuild's own folder and the store: path → content."""
    found = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        if path.is_file() and not relative.startswith((".nbbuild", "store")):
            found[relative] = path.read_text()
    return found


def replaced(root: Path) -> dict[str, str]:
    """The files in `.nbbuild/replaced`, without the folder of the build; `path@2` is a second."""
    folder = root / ".nbbuild" / "replaced"
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name, number = "/".join(path.relative_to(folder).parts[1:]), 1
            name = key = name.removesuffix(".replaced")
            while key in found:
                number += 1
                key = f"{name}@{number}"
            found[key] = path.read_text()
    return found


def write(root: Path, **contents: str) -> None:
    """Write files; `__` in a name stands for `/`, and they all end in .txt."""
    for name, content in contents.items():
        path = root / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def matcher(root: Path) -> Callable[[Sequence[str]], list[str]]:
    def match(patterns: Sequence[str]) -> list[str]:
        found = {path for pattern in patterns for path in root.glob(pattern)}
        return sorted(p.relative_to(root).as_posix() for p in found if not p.is_dir())

    return match


def tree_at(root: Path, store: Store, *, sources: Sequence[str] = ("a.ipynb",)) -> Tree:
    return Tree(root, store, Digests(), matcher(root), sources=sources)


def damage(store: Store, digest: str, data: bytes) -> None:
    """Put other bytes where a blob lies."""
    if isinstance(store, MemoryStore):
        store.blobs[digest] = data
    elif isinstance(store, DiskStore):
        path = store.layout.blob(digest)
        path.chmod(0o644)
        path.write_bytes(data)


def record_file(store: Store, one: Record) -> bytes:
    if isinstance(store, MemoryStore):
        return store.files[one.key.digest, one.id]
    assert isinstance(store, DiskStore)
    return store.layout.record(one.key.digest, one.id).read_bytes()


def damage_record(store: Store, one: Record, data: bytes) -> None:
    if isinstance(store, MemoryStore):
        store.files[one.key.digest, one.id] = data
    elif isinstance(store, DiskStore):
        store.layout.record(one.key.digest, one.id).write_bytes(data)


# -- processes ---------------------------------------------------------------------------------

OVER = 77
_STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}


def in_child(story: Callable[[], object]) -> int:
    """Run `story` in a forked process; return how it ended, as os.waitstatus_to_exitcode."""
    child = os.fork()
    if child == 0:
        try:
            story()
        except BaseException:  # noqa: BLE001  (a child must never return into pytest)
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_step(step: int, story: Callable[[], object], strike: Callable[[], None]) -> int:
    """Run `story` in a process where `strike` comes before its `step`-th change to the disk.

    Returns how the process ended: OVER if that came first.
    """

    def told() -> None:
        left = step

        def watch(event: str, details: tuple[object, ...]) -> None:
            nonlocal left
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
            flags = details[2] if event == "open" else 0
            if event in _STEPS or (isinstance(flags, int) and flags & writes):
                left -= 1
                if left == 0:
                    strike()

        sys.addaudithook(watch)
        story()
        if left > 0:
            os._exit(OVER)

    return in_child(told)


def killed_at(step: int, story: Callable[[], object]) -> bool:
    """Kill `story` before its `step`-th change to the disk; False if it was over by then."""
    status = at_step(step, story, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert status in (OVER, -signal.SIGKILL), "the story failed by itself; see stderr"
    return status != OVER


def fails_at(step: int, story: Callable[[], object], number: int) -> bool:
    """Have the `step`-th change to the disk fail; False if the story was over by then.

    The story must end well or by a StoreError.
    """

    def strike() -> None:
        raise OSError(number, os.strerror(number))

    def told() -> None:
        with suppress(StoreError):
            story()

    status = at_step(step, told, strike)
    assert status in (OVER, 0), "the story failed otherwise; see stderr"
    return status != OVER


@contextmanager
def without_root_powers() -> Iterator[None]:
    """Make file modes count for root, too, in this thread; nothing for anybody else."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    before = list(data)
    # Effective sets only: CAP_DAC_OVERRIDE (1), CAP_DAC_READ_SEARCH (2), CAP_FOWNER (3).
    data[0] &= ~0b1110
    assert libc.capset(header, data) == 0
    try:
        yield
    finally:
        data[0] = before[0]
        assert libc.capset(header, data) == 0
