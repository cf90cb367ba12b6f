"""Make for notebooks: execute what changed, in order, in parallel, and cache the rest.

    import nbbuild

    with nbbuild.open_session("docs") as session:
        for judgement in session.plan().judgements:
            print(judgement.task, judgement.verdict.value)
        report = nbbuild.build(session, jobs=2)

Names are imported when they are first used, so that `import nbbuild` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nbbuild.adoption import adopt as adopt
    from nbbuild.config import Config as Config
    from nbbuild.errors import NbbuildError as NbbuildError
    from nbbuild.model import Judgement as Judgement
    from nbbuild.model import Outcome as Outcome
    from nbbuild.model import OutcomeKind as OutcomeKind
    from nbbuild.model import Record as Record
    from nbbuild.model import Report as Report
    from nbbuild.model import Task as Task
    from nbbuild.model import Verdict as Verdict
    from nbbuild.pipeline import build as build
    from nbbuild.plan import Plan as Plan
    from nbbuild.session import Session as Session
    from nbbuild.session import open_session as open_session

_HOMES = {
    "Config": "config",
    "Judgement": "model",
    "NbbuildError": "errors",
    "Outcome": "model",
    "OutcomeKind": "model",
    "Plan": "plan",
    "Record": "model",
    "Report": "model",
    "Session": "session",
    "Task": "model",
    "Verdict": "model",
    "adopt": "adoption",
    "build": "pipeline",
    "open_session": "session",
}

__all__ = [
    "Config",
    "Judgement",
    "NbbuildError",
    "Outcome",
    "OutcomeKind",
    "Plan",
    "Record",
    "Report",
    "Session",
    "Task",
    "Verdict",
    "__version__",
    "adopt",
    "build",
    "open_session",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nbbuild' has no attribute '{name}'")
    return getattr(import_module(f"nbbuild.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
