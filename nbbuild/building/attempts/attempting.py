"""Run one task: describe the attempt, execute it, and retry it where the task asks for that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nbformat import NotebookNode

from nbbuild.building.attempts.accounts import Before
from nbbuild.building.attempts.actions import Action
from nbbuild.building.attempts.protocol import Attempted, Attempts
from nbbuild.building.executors import Begun, Jobs
from nbbuild.building.outputs import Outputs
from nbbuild.building.reusing import Sources
from nbbuild.disk.digests import now_ns
from nbbuild.events import Noted, Observer, Started
from nbbuild.judging.inputs import InEffect
from nbbuild.judging.reasons import compare
from nbbuild.model import ActionKey, Digest, Judgement, Outcome, Record, Task
from nbbuild.notebook.code import running
from nbbuild.notebook.write import to_bytes

_AGAIN = "runs again without watching its system calls: '{}' would lose its rights"
_STALE = "runs again: {}"
_ORPHANED = "was run twice: the process that starts kernels was killed meanwhile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a task that has ended and is not settled yet."""

    task: Task
    judgement: Judgement
    key: ActionKey
    source: NotebookNode
    sources: Digest  # of the source's files, taken before they were read
    before: Before
    best: bool  # whether to watch it as closely as its machine allows
    attempted: Attempted
    notes: tuple[str, ...]
    exempt: str  # the program that needs its system calls unwatched


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempting:
    """Runs the tasks of one build."""

    attempts: Attempts
    outputs: Outputs
    sources: Sources
    in_effect: Callable[[Task], InEffect]
    action: Callable[[Task, bytes], Action]  # describes how to execute a notebook
    last: Callable[[Task], tuple[Outcome | None, Record | None]]
    forget: Callable[[], None]  # drops what is remembered about the disk
    observer: Observer
    cancelled: threading.Event
    orphans: threading.Lock = field(default_factory=threading.Lock)
    jobs: Jobs = field(default_factory=Jobs)  # may know attempts that an earlier build began
    end: Callable[[str], None] = lambda task: None  # those that `jobs` knows nothing of

    def __call__(self, task: Task, judgement: Judgement) -> Run:
        """Run `task`; may raise `NotebookError`, `KernelError`."""
        key = judgement.key
        assert key is not None
        now = self.in_effect(task)
        sources = self.sources.digest(task)
        source = self.sources.read(task)
        action = replace(self.action(task, to_bytes(source)), key=key.digest)
        self.observer(Started(task.name, running(now.parsed)))
        forced = judgement.reasons[0].kind == "forced"
        retries = now.settings.retries or 0
        exempt = self._exempt(task, key)
        if exempt:
            action = replace(action, syscalls=False)
        self.jobs.end_others(task.name, but="" if forced else key.digest)
        known = None if forced else self.jobs.under_way(key.digest)
        done, notes, begun = self._tried(task, action, known, retries=retries, forced=forced)
        if done.observed is not None and done.observed.rights and not done.cancelled:
            # A program such as sudo gets no rights while its system calls are watched.
            exempt = done.observed.rights
            self.outputs.abandon(task)
            self.observer(Noted(task.name, _AGAIN.format(exempt)))
            action = replace(action, syscalls=False)
            done, notes, begun = self._tried(task, action, None, retries=retries, forced=forced)
        return Run(
            task=task,
            judgement=judgement,
            key=key,
            source=source,
            sources=sources,
            before=Before(began_ns=begun.began_ns, now=now, found=begun.found),
            best=now.settings.trace is True,
            attempted=done,
            notes=notes,
            exempt=exempt,
        )

    def settled(self, run: Run) -> None:
        """Forget what was kept of a run only until it was settled."""
        self.jobs.settled(run.key.digest)

    def _tried(
        self, task: Task, action: Action, known: Begun | None, *, retries: int, forced: bool
    ) -> tuple[Attempted, tuple[str, ...], Begun]:
        """Execute until an attempt succeeds or no retries are left, each from a clean tree.

        The first attempt may be `known`: an earlier build began it. Also returns notes, and what
        was known when the last attempt began.
        """
        notes: tuple[str, ...] = ()
        for attempt in range(retries + 1):
            first = known if not attempt else None
            done, more, begun = self._once(task, action, first, forced=forced)
            notes += more
            if done.stale and not done.cancelled:
                self.observer(Noted(task.name, _STALE.format(done.stale)))
                self.outputs.abandon(task)
                self.forget()
                done, more, begun = self._once(task, action, None, forced=forced)
                notes += more
            if done.orphaned and not done.cancelled:
                # The culprit may be among them, so they run one after the other.
                with self.orphans:
                    self.outputs.abandon(task)
                    self.forget()
                    done, more, begun = self._once(task, action, None, forced=forced)
                notes += (*more, _ORPHANED)
            if done.shortfall:
                self.observer(Noted(task.name, done.shortfall, detail=True))
            if done.preloads:
                self.observer(Noted(task.name, _spared(done), detail=True))
            notes += done.notes
            self.forget()
            failure = done.failure
            if failure is None or done.cancelled or attempt == retries:
                break
            if failure.kind == "undeclared":  # another attempt would use it again
                break
            self.outputs.abandon(task)
            notes += (f"attempt {attempt + 1} of {retries + 1} failed: {failure.message}",)
        return done, notes, begun

    def _once(
        self, task: Task, action: Action, known: Begun | None, *, forced: bool
    ) -> tuple[Attempted, tuple[str, ...], Begun]:
        """Execute one attempt; one that is `known` was begun by an earlier build."""
        notes: tuple[str, ...] = ()
        if known is not None:
            begun = known
            self.outputs.resume(task)
        else:
            self.end(task.name)
            began_ns = now_ns()
            notes = self.outputs.begin(task, forced=forced)
            begun = Begun(began_ns=began_ns, found=self.outputs.left(task))
        done = self.attempts(
            replace(action, begun=begun, resumes=known is not None),
            cancelled=self.cancelled,
            observer=self.observer,
        )
        return done, notes, begun

    def _exempt(self, task: Task, key: ActionKey) -> str:
        """Return the program, if any, that needs this code's system calls unwatched."""
        _, last = self.last(task)
        if last is None or not last.trace.exempt:
            return ""
        changed = {reason.kind for reason in compare(last.key, key)}
        return "" if "code" in changed else last.trace.exempt


def _spared(done: Attempted) -> str:
    """Say what the kernel of an attempt had in memory as it began."""
    names = ", ".join(done.preloads)
    return f"its kernel had {names} in memory already, {done.preload_seconds:.2f} s of imports"
