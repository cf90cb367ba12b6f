"""Put together the builder of one project's tasks, from an open session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nbbuild.building.attempts.accounts import Accounts
from nbbuild.building.attempts.attempting import Attempting
from nbbuild.building.attempts.inspecting import Inspecting
from nbbuild.building.attempts.local import LocalAttempts
from nbbuild.building.attempts.preparing import Preparing
from nbbuild.building.attempts.protocol import Attempts
from nbbuild.building.attempts.runner import none_ready
from nbbuild.building.builder import Builder
from nbbuild.building.executors import Jobs
from nbbuild.building.jobs.elsewhere import AttemptsElsewhere
from nbbuild.building.jobs.notes import Notes
from nbbuild.building.reusing import Reuse, Sources
from nbbuild.building.scheduling.turns import Again, Meetings, PairsApart, Turns
from nbbuild.building.settling import Settling
from nbbuild.disk.project_folder import DOT, JOBS
from nbbuild.events import Observer
from nbbuild.judging.conflicts import Uses
from nbbuild.judging.verdicts import Judge
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession
from nbbuild.kernels.wanted import Wanted
from nbbuild.notebook.source import prepared
from nbbuild.paths.ignored import Ignored
from nbbuild.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """Where the kernels of a build come from, and what to call when one has done its work.

    `ready(wanted, check)` returns a kernel that was started ahead, None when there is none;
    `on_end()` is called once no more cells of a notebook will run. With `jobs`, attempts are
    executed elsewhere, those of high `priority` first, and only the sandbox's inputs count here.
    """

    launcher: Launcher
    room: Room
    preparing: Preparing
    ready: Callable[[Wanted, Callable[[], None]], KernelSession | None] = none_ready
    on_end: Callable[[], None] = lambda: None
    jobs: Jobs | None = None
    priority: Mapping[str, float] = field(default_factory=dict)


def sources_of(session: Session) -> Sources:
    """Return what reads the source notebooks of a project."""
    return Sources(
        digest=session.sources,
        read=lambda task: prepared(
            session.root, task, language=session.inputs.language(task), readers=session.readers
        ),
    )


def reuse_of(session: Session, uses: Uses) -> Reuse:
    """Return what puts results from a project's store in their place."""
    return Reuse(
        store=session.store,
        outputs=session.tree,
        sources=sources_of(session),
        uses=uses,
        origin=session.store.origin,
    )


def builder_of(
    session: Session,
    judge: Judge,
    starting: Starting,
    *,
    observer: Observer,
    cancelled: threading.Event,
    uses: Uses | None = None,
    again: Again | None = None,
    meetings: Meetings | None = None,
) -> Builder:
    """Return what builds the tasks of `session` with kernels on this machine.

    `meetings` keeps tasks apart; None: only tasks that meet in this build.
    """
    uses = Uses(session.graph) if uses is None else uses
    reuse = reuse_of(session, uses)
    meetings = meetings or Meetings(Turns(), PairsApart(session.state), observer)
    accounts = _accounts(session)
    settle = Settling(
        root=session.root,
        store=session.store,
        outputs=session.tree,
        account=accounts,
        uses=uses,
        retired=session.retired,
        again=Again() if again is None else again,
        meetings=meetings,
        key=judge.key,
        places=session.inputs.places,
        last=session.runs.last,
        changed_since=session.digests.changed_since,
        ignored=Ignored(session.root),
    )
    return Builder(
        graph=session.graph,
        store=session.store,
        outputs=session.tree,
        judge=judge,
        reuse=reuse,
        attempt=_attempting(session, starting, accounts, observer=observer, cancelled=cancelled),
        settle=settle,
        uses=uses,
        meetings=meetings,
        retired=session.retired,
        broken=session.validity.broken,
        place=starting.room.place,
        forget=session.forget,
        forget_listings=session.forget_listings,
        observer=observer,
        cancelled=cancelled,
    )


def _accounts(session: Session) -> Accounts:
    return Accounts(
        root=session.root,
        store=session.config.store,
        environ=session.environ,
        digests=session.digests,
        inputs=session.inputs,
        tree=session.tree,
        own=session.validity.own,
    )


def _attempting(
    session: Session,
    starting: Starting,
    accounts: Accounts,
    *,
    observer: Observer,
    cancelled: threading.Event,
) -> Attempting:
    jobs = starting.jobs or Jobs()
    # Jobs that outlive their build know those of earlier builds.
    end = (lambda task: None) if jobs.outlive else Notes(session.root / DOT / JOBS).end
    return Attempting(
        attempts=_attempts(session, starting, accounts),
        jobs=jobs,
        end=end,
        outputs=session.tree,
        sources=sources_of(session),
        in_effect=session.inputs.in_effect,
        action=starting.preparing.action,
        last=session.runs.last,
        forget=session.forget,
        observer=observer,
        cancelled=cancelled,
    )


def _attempts(session: Session, starting: Starting, accounts: Accounts) -> Attempts:
    inspecting = Inspecting(
        tasks=session.graph.tasks,
        walker=session.walker,
        inputs=session.inputs,
        accounts=accounts,
        config=session.config.path.name,
    )
    if starting.jobs is None:
        return LocalAttempts(
            inspecting=inspecting,
            launcher=starting.launcher,
            tree=session.tree,
            ready=starting.ready,
            on_end=starting.on_end,
        )
    return AttemptsElsewhere(
        jobs=starting.jobs,
        inspecting=inspecting,
        tree=session.tree,
        store=session.store,
        folder=session.config.store,
        inputs=starting.preparing.staged,
        priority=starting.priority,
    )
