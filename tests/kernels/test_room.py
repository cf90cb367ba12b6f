"""A kernel waits while there is too little memory, but one may always run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nbbuild.kernels.launch.machine import Memory
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.usage import held_below

GB = 1_000_000_000


class Machine:
    """Has 16 GB, of which `used` are in use, `held` of them by kernels."""

    def __init__(self, *, used: int, held: int) -> None:
        self.used, self.held, self.asked = used, held, 0

    def room(self, most: int | float) -> Room:
        def held() -> int:
            self.asked += 1
            return self.held

        return Room(most, held=held, memory=lambda: Memory(16 * GB, 16 * GB - self.used))


@pytest.mark.parametrize(
    ("most", "used", "held", "shortage"),
    [
        (8 * GB, 4 * GB, 3 * GB, ""),
        (8 * GB, 12 * GB, 7 * GB, ""),  # others use the rest
        (8 * GB, 12 * GB, 8 * GB, "memory: kernels hold 8.0 GB, and max_memory is 8.0 GB"),
        (0.5, 12 * GB, 8 * GB, "memory: kernels hold 8.0 GB, and max_memory is 8.0 GB"),
        (0.75, 12 * GB, 8 * GB, ""),
        (8 * GB, 15.5 * GB, 1 * GB, "memory: 500.0 MB of 16.0 GB are left"),
    ],
)
def test_a_kernel_had_better_wait(most, used, held, shortage):
    assert Machine(used=used, held=held).room(most).shortage() == shortage


def test_processes_are_not_asked_while_all_that_is_in_use_is_less(launcher):
    machine = Machine(used=4 * GB, held=0)
    assert machine.room(8 * GB).shortage() == ""
    assert machine.asked == 0


def test_where_the_memory_is_not_known_nobody_waits():
    assert Room(1, held=lambda: GB, memory=lambda: None).shortage() == ""


def test_one_runs_whatever_there_is_and_the_next_waits_for_it():
    room = Machine(used=15.9 * GB, held=15 * GB).room(8 * GB)
    waits: list[str] = []
    order: list[str] = []
    waiting = threading.Event()

    def on_wait(reason: str) -> None:
        waits.append(reason)
        waiting.set()

    def second() -> None:
        with room.place(lambda: None, on_wait):
            order.append("second")

    with room.place(lambda: None, on_wait):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert waits == ["memory: 100.0 MB of 16.0 GB are left"]


def test_it_goes_on_once_there_is_memory_again():
    machine = Machine(used=12 * GB, held=9 * GB)
    room = machine.room(8 * GB)

    def freed(reason: str) -> None:
        machine.held = GB

    with room.place(lambda: None, lambda reason: None), room.place(lambda: None, freed):
        assert machine.held == GB


def test_waiting_can_be_given_up():
    class GivenUp(Exception):
        pass

    def give_up() -> None:
        raise GivenUp

    room = Machine(used=12 * GB, held=9 * GB).room(8 * GB)
    with room.place(give_up, lambda reason: None):
        with pytest.raises(GivenUp), room.place(give_up, lambda reason: None):
            pass
        assert room.shortage() != ""
    with room.place(give_up, lambda reason: None):  # nobody who gave up counts as running
        pass


@pytest.mark.own_way("max_memory counts what the launcher's children hold")
def test_kernels_hold_what_their_processes_do(launcher, run):
    code = "import os; data = bytearray(50_000_000); child = os.popen('sleep 60')"
    held: list[int] = []
    done = run(code, "1", on_cell=lambda number, total: held.append(held_below(launcher.pid)))
    assert done.failure is None
    before, within = held
    assert within - before > 40_000_000


MEMINFO = """\
MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:   12000000 kB
HugePages_Total:       0
"""


def files(folder: Path, *, most: str) -> tuple[Path, Path]:
    meminfo, cgroup = folder / "meminfo", folder / "cgroup"
    meminfo.write_text(MEMINFO)
    cgroup.mkdir()
    (cgroup / "memory.max").write_text(most)
    (cgroup / "memory.current").write_text("3000000000\n")
    (cgroup / "memory.stat").write_text("anon 1000\ninactive_file 500000000\n")
    return meminfo, cgroup


def test_the_memory_is_the_machines_or_the_containers_whichever_is_shorter(tmp_path):
    meminfo, cgroup = files(tmp_path, most="4000000000\n")
    assert Memory.now(meminfo=meminfo, cgroup=cgroup) == Memory(4_000_000_000, 1_500_000_000)
    (cgroup / "memory.max").write_text("max\n")
    whole = Memory(16_000_000 * 1024, 12_000_000 * 1024)
    assert Memory.now(meminfo=meminfo, cgroup=cgroup) == whole
    assert Memory.now(meminfo=meminfo, cgroup=tmp_path / "none") == whole
    assert Memory.now(meminfo=tmp_path / "none", cgroup=cgroup) is None
