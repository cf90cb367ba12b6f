"""Make for notebooks: execute what changed, in order, in parallel, and cache the rest.

    import nbbuild

    report = nbbuild.build("docs", jobs=2)

    with nbbuild.load("docs") as project:
        for judgement in nbbuild.plan(project).judgements:
            print(judgement.task, judgement.verdict.value)

Names are imported when they are first used, so that `import nbbuild` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbbuild.version import __version__

if TYPE_CHECKING:
    from nbbuild.api import Store as Store
    from nbbuild.api import build as build
    from nbbuild.api import build_async as build_async
    from nbbuild.api import load as load
    from nbbuild.api import plan as plan
    from nbbuild.config.types import Config as Config
    from nbbuild.errors import ConfigError as ConfigError
    from nbbuild.errors import KernelError as KernelError
    from nbbuild.errors import NbbuildError as NbbuildError
    from nbbuild.errors import NotebookError as NotebookError
    from nbbuild.errors import Problems as Problems
    from nbbuild.errors import StoreError as StoreError
    from nbbuild.errors import UsageError as UsageError
    from nbbuild.events import CellStarted as CellStarted
    from nbbuild.events import Ended as Ended
    from nbbuild.events import Event as Event
    from nbbuild.events import Noted as Noted
    from nbbuild.events import Observer as Observer
    from nbbuild.events import Planned as Planned
    from nbbuild.events import Started as Started
    from nbbuild.events import WorkersStarted as WorkersStarted
    from nbbuild.judging.verdicts import Plan as Plan
    from nbbuild.model import ActionKey as ActionKey
    from nbbuild.model import ArtefactFile as ArtefactFile
    from nbbuild.model import Failure as Failure
    from nbbuild.model import Fingerprint as Fingerprint
    from nbbuild.model import Judgement as Judgement
    from nbbuild.model import Outcome as Outcome
    from nbbuild.model import OutcomeKind as OutcomeKind
    from nbbuild.model import Reason as Reason
    from nbbuild.model import Record as Record
    from nbbuild.model import Report as Report
    from nbbuild.model import Settings as Settings
    from nbbuild.model import Task as Task
    from nbbuild.model import Trace as Trace
    from nbbuild.model import TraceItem as TraceItem
    from nbbuild.model import Verdict as Verdict
    from nbbuild.notebook.merge import ExecutedCell as ExecutedCell
    from nbbuild.session import Session as Session
    from nbbuild.session import open_session as open_session
    from nbbuild.verbs.adopt import NotAdopted as NotAdopted
    from nbbuild.verbs.adopt import adopt as adopt

_HOMES = {
    "ActionKey": "model",
    "ArtefactFile": "model",
    "CellStarted": "events",
    "Config": "config.types",
    "ConfigError": "errors",
    "Ended": "events",
    "Event": "events",
    "ExecutedCell": "notebook.merge",
    "Failure": "model",
    "Fingerprint": "model",
    "Judgement": "model",
    "KernelError": "errors",
    "NbbuildError": "errors",
    "NotebookError": "errors",
    "NotAdopted": "verbs.adopt",
    "Noted": "events",
    "Observer": "events",
    "Outcome": "model",
    "OutcomeKind": "model",
    "Plan": "judging.verdicts",
    "Planned": "events",
    "Problems": "errors",
    "Reason": "model",
    "Record": "model",
    "Report": "model",
    "Session": "session",
    "Settings": "model",
    "Started": "events",
    "Store": "api",
    "StoreError": "errors",
    "Task": "model",
    "Trace": "model",
    "TraceItem": "model",
    "UsageError": "errors",
    "Verdict": "model",
    "WorkersStarted": "events",
    "adopt": "verbs.adopt",
    "build": "api",
    "build_async": "api",
    "load": "api",
    "open_session": "session",
    "plan": "api",
}

__all__ = [
    "ActionKey",
    "ArtefactFile",
    "CellStarted",
    "Config",
    "ConfigError",
    "Ended",
    "Event",
    "ExecutedCell",
    "Failure",
    "Fingerprint",
    "Judgement",
    "KernelError",
    "NbbuildError",
    "NotAdopted",
    "NotebookError",
    "Noted",
    "Observer",
    "Outcome",
    "OutcomeKind",
    "Plan",
    "Planned",
    "Problems",
    "Reason",
    "Record",
    "Report",
    "Session",
    "Settings",
    "Started",
    "Store",
    "StoreError",
    "Task",
    "Trace",
    "TraceItem",
    "UsageError",
    "Verdict",
    "WorkersStarted",
    "__version__",
    "adopt",
    "build",
    "build_async",
    "load",
    "open_session",
    "plan",
]

if not TYPE_CHECKING:  # else any name would do for a type checker

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'nbbuild' has no attribute '{name}'")
        return getattr(import_module(f"nbbuild.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
