from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_helpers import in_child, without_root_powers

from nbbuild.errors import StoreError
from nbbuild.judging.retired import Retired


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".nbbuild"


def test_what_is_retired_stays_so(folder: Path) -> None:
    retired = Retired(folder)
    assert not retired.is_retired("a")
    assert not folder.exists()
    retired.retire(["a", "b", "a"])
    retired.retire(iter(["b", "c"]))
    retired.retire([])
    assert all(Retired(folder).is_retired(one) for one in "abc")
    assert not retired.is_retired("")
    assert (folder / "retired").read_text() == "a\nb\nc\n"
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_line_cut_short_by_a_crash_names_nothing(folder: Path) -> None:
    Retired(folder).retire(["first", "second"])
    (folder / "retired").write_text("first\nsec")
    retired = Retired(folder)
    assert retired.is_retired("first")
    assert not retired.is_retired("sec")
    retired.retire(["third"])
    assert retired.is_retired("third")
    assert retired.is_retired("first")


def test_another_process_is_heard(folder: Path) -> None:
    retired = Retired(folder)
    retired.retire(["a"])
    assert not retired.is_retired("b")
    assert in_child(lambda: Retired(folder).retire(["b"])) == 0
    assert retired.is_retired("b")


def test_marks_come_and_go(folder: Path) -> None:
    marks = Retired(folder)
    assert marks.marked() == set()
    marks.unmark("a")
    assert not folder.exists()
    names = {"a.ipynb", "odd\nname", 'qu"ote', "ü", "\udcff"}
    marks.mark(names)
    assert Retired(folder).marked() == names
    marks.unmark("odd\nname")
    marks.unmark("unknown")
    assert Retired(folder).marked() == names - {"odd\nname"}
    marks.mark(["a.ipynb"])
    assert Retired(folder).marked() == names - {"odd\nname"}


def test_a_damaged_mark_is_passed_over(folder: Path) -> None:
    Retired(folder).mark(["a"])
    with (folder / "marked").open("a") as file:
        file.write('3\n"cut\n')
    assert Retired(folder).marked() == {"a"}


def test_many_processes_lose_nothing(folder: Path) -> None:
    def story(number: int) -> None:
        retired = Retired(folder)
        for turn in range(20):
            retired.retire([f"{number}-{turn}"])
            retired.mark([f"{number}-{turn}"])
            retired.unmark(f"{number}-{turn - 1}")

    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            os._exit(in_child(lambda mine=number: story(mine)))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    retired = Retired(folder)
    assert all(retired.is_retired(f"{n}-{turn}") for n in range(4) for turn in range(20))
    assert retired.marked() == {f"{n}-19" for n in range(4)}


def test_a_folder_that_cannot_be_written_is_an_error(folder: Path) -> None:
    folder.mkdir(mode=0o555)
    with without_root_powers(), pytest.raises(StoreError) as caught:
        Retired(folder).retire(["a"])
    assert "Permission denied" in str(caught.value)
