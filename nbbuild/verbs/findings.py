"""The results of verifying: a finding on each task."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from nbbuild.model import Failure
from nbbuild.verbs.comparing import Difference


class VerifyResult(enum.Enum):
    """The possible results of verifying one task."""

    SAME = "same"
    NOT_DETERMINISTIC = "not deterministic"
    UNDECLARED = "undeclared input"  # the input has changed since, or is not in the copy
    ORDER = "order"  # other notebooks change its result
    SKIPPED = "skipped"  # `cache = false`: there is nothing to compare with


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of verifying one task, and how its output differs from the stored one."""

    task: str
    result: VerifyResult
    source: str
    differences: tuple[Difference, ...] = ()  # one for each cell that differs, then others
    artefacts: tuple[str, ...] = ()  # those that differ
    failure: Failure | None = None  # of a run that failed although the stored one had not
    missing: str = ""  # a file of the project that the copy lacks and the notebook looked for
    missing_why: str = ""
    left: tuple[str, ...] = ()  # files that notebooks left undeclared, for ORDER
    seconds: float = 0.0  # of the first run


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The findings on all targets, in the graph's order."""

    seed: int
    findings: tuple[Finding, ...] = ()
    left: tuple[str, ...] = ()  # files that notebooks wrote or altered without declaring them
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 if all are the same, 1 if any differs."""
        fine = (VerifyResult.SAME, VerifyResult.SKIPPED)
        return int(any(finding.result not in fine for finding in self.findings))
