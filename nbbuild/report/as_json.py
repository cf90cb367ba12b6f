"""Turn the nouns into plain data for `--json`; the keys below are interface.

A report: `exit_status`, `interrupted`, `seconds`, `counts` (outcome → number, those that are not
0), `outcomes`, `problems` (messages). An outcome, a failure and a reason: the fields of these nouns
in model.py, but an outcome's `key` is the key's digest. A cell: `position` among all cells, from 1,
and `execution_count`, the number that Jupyter shows; `cell` is its index in the file, from 0.
A judgement: `task`, `verdict`, `reasons`, `key` (its digest), `record` (its id) and `marks`
(sentences; of `nbbuild status` only). Null stands for a key, record or failure that there is not.
Any other noun: its fields. Enums are their values,
times are seconds.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TypeAlias

import msgspec

from nbbuild.model import Failure, Judgement, Outcome, Report
from nbbuild.text.printable import clean_json

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""What JSON can say."""


@functools.singledispatch
def to_data(obj: object) -> Json:
    """Return `obj`, nouns in it included, as plain data; TypeError for what has no such form."""
    if dataclasses.is_dataclass(obj):
        return {field.name: to_data(getattr(obj, field.name)) for field in dataclasses.fields(obj)}
    raise TypeError(f"{type(obj).__name__} has no JSON form")


# A union as annotation of a registered function is for Python 3.11 and later.
@to_data.register(type(None))
@to_data.register(int)
@to_data.register(str)
def _plain(obj: int | str | None) -> Json:
    return obj


@to_data.register
def _float(obj: float) -> Json:
    return obj if math.isfinite(obj) else None  # JSON has no word for the others


@to_data.register
def _enum(obj: enum.Enum) -> Json:
    return to_data(obj.value)


@to_data.register
def _path(obj: PurePath) -> Json:
    return obj.as_posix()


@to_data.register(datetime.date)
@to_data.register(datetime.time)
def _time(obj: datetime.date | datetime.time) -> Json:
    return obj.isoformat()


@to_data.register
def _struct(obj: msgspec.Struct) -> Json:
    return {name: to_data(getattr(obj, name)) for name in obj.__struct_fields__}


@to_data.register(Mapping)
def _mapping(obj: Mapping[object, object]) -> Json:
    return {str(to_data(key)): to_data(value) for key, value in obj.items()}


@to_data.register(list)
@to_data.register(tuple)
def _sequence(obj: Iterable[object]) -> Json:
    return [to_data(item) for item in obj]


@to_data.register(set)
@to_data.register(frozenset)
def _set(obj: Iterable[str]) -> Json:
    return [to_data(item) for item in sorted(obj)]


@to_data.register
def _report(report: Report) -> Json:
    counts = Counter(outcome.kind.value for outcome in report.outcomes)
    return {
        "exit_status": report.exit_status,
        "interrupted": report.interrupted,
        "seconds": report.seconds,
        "counts": dict(counts),
        "outcomes": [to_data(outcome) for outcome in report.outcomes],
        "problems": list(report.problems),
    }


@to_data.register
def _outcome(outcome: Outcome) -> Json:
    fields = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
    return to_data({**fields, "key": outcome.key.digest if outcome.key else None})


@to_data.register
def _failure(failure: Failure) -> Json:
    fields = {name: to_data(getattr(failure, name)) for name in failure.__struct_fields__}
    return {**fields, "position": None if failure.cell is None else failure.cell + 1}


@to_data.register
def _judgement(judgement: Judgement) -> Json:
    return {
        "task": judgement.task,
        "verdict": judgement.verdict.value,
        "reasons": [to_data(reason) for reason in judgement.reasons],
        "key": judgement.key.digest if judgement.key else None,
        "record": judgement.record.id if judgement.record else None,
        "marks": list(judgement.marks),
    }


def to_json(obj: object) -> str:
    """Return `obj` as JSON, indented by two, without a final newline; what hides is escaped."""
    data = to_data(obj)
    text = clean_json(json.dumps(data, indent=2, ensure_ascii=False))
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        return json.dumps(data, indent=2)
    return text
