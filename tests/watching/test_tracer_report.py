"""An account that is damaged is told as such, never believed and never an exception."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbbuild.watching.injection import FORMAT
from nbbuild.watching.observed import Observed
from nbbuild.watching.reading import read_report


def test_without_an_account_there_is_none(tmp_path):
    assert read_report(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the kernel's account cannot be read: "),
        ("[1", "the kernel's account cannot be read: "),
        ("[]", "the kernel's account cannot be read: "),
        ('{"format": 9, "records": []}', "the kernel's account has format 9"),
        ("[" * 100_000, "the kernel's account cannot be read: "),
    ],
)
def test_a_damaged_account_is_partial(tmp_path, text, reason):
    path = tmp_path / "report.json"
    path.write_text(text)
    observed = read_report(path)
    assert observed is not None
    assert observed == Observed(partial=observed.partial)
    assert observed.partial[0].startswith(reason)


def test_damaged_lines_cost_only_themselves(tmp_path):
    path, children = tmp_path / "report.json", tmp_path / "children"
    children.mkdir()
    records = [["read", 1.0, "/a", None, 3], ["read", 2.0], ["unheard-of", 1.0], 7, "x"]
    path.write_text(json.dumps({"format": FORMAT, "records": records, "children": str(children)}))
    start = json.dumps(["start", 1.0, {"pid": 7, "parent": 0, "forked": False}])
    (children / "7-1.jsonl").write_text(f'{start}\n["read", 3.0, "/b", null, 0]\n["read", 4.')
    (children / "8-1.jsonl").write_text("")
    observed = read_report(path)
    assert observed is not None
    assert [(use.path, use.cell, use.pid) for use in observed.files] == [("/a", 3, 0), ("/b", 0, 7)]
    assert observed.partial == (
        "4 lines in the account of process 0 cannot be read",
        "the account of process 7 breaks off",
        "the account of process 8 has no beginning",
    )


def test_a_fault_of_the_tracer_makes_the_account_partial_and_breaks_nothing(observe):
    seen = observe(
        """
class Bad(str):
    def startswith(self, *a): raise RuntimeError('bad')
    def __getitem__(self, *a): raise RuntimeError('bad')
print(open(Bad('a.txt')).read())
"""
    )
    assert seen.out == "a\n\n"
    assert all("RuntimeError" in reason for reason in seen.observed.partial)


def test_an_account_in_memory_is_bounded(observe, tracing):
    source = Path(tracing.folder, "site", "tracer.py")
    source.write_text(source.read_text().replace("LIMIT = 1_000_000", "LIMIT = 10"))
    seen = observe("import os\nfor i in range(100): os.path.exists(str(i))")
    assert len(seen.absent) < 10
    assert seen.observed.partial == ("it used more than 10 things",)


def test_distributions_are_told_with_their_versions(observe):
    from importlib import metadata

    seen = observe("import msgspec")
    told = {one.name: one for one in seen.observed.distributions}
    assert told["msgspec"].version == metadata.version("msgspec")
    assert told["nbbuild"].editable and not told["msgspec"].editable
