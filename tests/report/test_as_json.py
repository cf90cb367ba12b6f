"""The keys of `--json` are interface: these tests hold them."""

import datetime
import json
from pathlib import PurePosixPath

import pytest

from nbbuild.model import (
    ActionKey,
    Failure,
    Judgement,
    Outcome,
    OutcomeKind,
    Reason,
    Record,
    Report,
    Trace,
    Verdict,
)
from nbbuild.report.as_json import to_data, to_json

KEY = ActionKey("abc", ())


def test_a_report_and_its_outcomes():
    failed = Outcome(
        task="a",
        source="a.ipynb",
        kind=OutcomeKind.FAILED,
        reasons=("first",),
        failure=Failure("error", "no", cell=2, execution_count=1),
        key=KEY,
    )
    fresh = Outcome(task="b", source="b.ipynb", kind=OutcomeKind.FRESH, cell_seconds=(0.5,))
    assert to_data(Report(outcomes=(failed, fresh), seconds=1.5)) == {
        "exit_status": 1,
        "interrupted": False,
        "seconds": 1.5,
        "counts": {"failed": 1, "fresh": 1},
        "outcomes": [
            {
                "task": "a",
                "source": "a.ipynb",
                "kind": "failed",
                "reasons": ["first"],
                "seconds": 0.0,
                "saved": 0.0,
                "cell_seconds": [],
                "failure": {
                    "kind": "error",
                    "message": "no",
                    "cell": 2,
                    "traceback": "",
                    "hint": "",
                    "execution_count": 1,
                    "position": 3,
                    "lines": [],
                },
                "built": "",
                "record": "",
                "origin": "local",
                "key": "abc",
                "failed_before": False,
                "cached": True,
                "notes": [],
                "own": [],
                "when": 0.0,
                "peak_memory": 0,
                "cpu_seconds": 0.0,
            },
            {
                "task": "b",
                "source": "b.ipynb",
                "kind": "fresh",
                "reasons": [],
                "seconds": 0.0,
                "saved": 0.0,
                "cell_seconds": [0.5],
                "failure": None,
                "built": "",
                "record": "",
                "origin": "local",
                "key": None,
                "failed_before": False,
                "cached": True,
                "notes": [],
                "own": [],
                "when": 0.0,
                "peak_memory": 0,
                "cpu_seconds": 0.0,
            },
        ],
        "problems": [],
    }


def test_a_judgement_and_its_reasons():
    reason = Reason("assets", "a.csv", "old", "new", "a.csv changed")
    record = Record("r1", KEY, Trace(), "a", "a.ipynb", "c")
    assert to_data([Judgement("a", Verdict.RUN, (reason,)), Judgement("b", Verdict.FRESH)]) == [
        {
            "task": "a",
            "verdict": "run",
            "reasons": [
                {
                    "kind": "assets",
                    "item": "a.csv",
                    "old": "old",
                    "new": "new",
                    "text": "a.csv changed",
                    "position": None,
                    "execution_count": None,
                }
            ],
            "key": None,
            "record": None,
            "marks": [],
        },
        {
            "task": "b",
            "verdict": "fresh",
            "reasons": [],
            "key": None,
            "record": None,
            "marks": [],
        },
    ]
    data = to_data(Judgement("c", Verdict.FRESH, key=KEY, record=record))
    assert isinstance(data, dict)
    assert (data["key"], data["record"]) == ("abc", "r1")


def test_what_toml_can_hold_has_a_form():
    day = datetime.date(2024, 1, 2)
    data = {
        "day": day,
        "moment": datetime.datetime(2024, 1, 2, 3, 4),
        "time": datetime.time(3, 4),
        "path": PurePosixPath("a/b"),
        "infinite": float("inf"),
        "set": frozenset({"b", "a"}),
        "yes": True,
        3: (1, None),
    }
    assert to_data(data) == {
        "day": "2024-01-02",
        "moment": "2024-01-02T03:04:00",
        "time": "03:04:00",
        "path": "a/b",
        "infinite": None,
        "set": ["a", "b"],
        "yes": True,
        "3": [1, None],
    }


def test_what_has_no_form_is_an_error():
    with pytest.raises(TypeError, match=r"^object has no JSON form$"):
        to_data([object()])


def test_text_stays_readable_and_names_that_are_no_text_stay_json():
    assert to_json({"a": "é"}) == '{\n  "a": "é"\n}'
    odd = to_json(["\udcff"])
    odd.encode()
    assert json.loads(odd) == ["\udcff"]
