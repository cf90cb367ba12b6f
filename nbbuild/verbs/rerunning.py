"""Execute tasks again in a scratch copy of the project: all together, or one by itself."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from nbbuild.building.assembly import Starting, builder_of
from nbbuild.building.builder import Builder
from nbbuild.building.executors import local
from nbbuild.building.from_session import preparing_of, shares_of
from nbbuild.building.scheduling import scheduler
from nbbuild.building.scheduling.slots import Slots
from nbbuild.events import Ended, Observer
from nbbuild.kernels.launch.machine import threads_each
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.launch.usage import held_below
from nbbuild.model import Failure, Outcome, OutcomeKind
from nbbuild.paths.scratch import Scratch
from nbbuild.session import Session
from nbbuild.verbs.stored_results import StoredResults

_TRACEBACK_LINES = 25


@dataclass(frozen=True, slots=True)
class Rerun:
    """The result of one execution; stored results have this form, too."""

    built: bytes
    artefacts: Mapping[str, str]  # path → digest
    failure: Failure | None = None
    seconds: float = 0.0


@contextmanager
def reruns(
    session: Session,
    again: Session,
    scratch: Scratch,
    stored: StoredResults,
    *,
    names: Sequence[str],
    slots: Slots,
    seed: int,
    observer: Observer,
) -> Iterator[Reruns]:
    """Get ready to run `names` of `session` in the copy, which is open as `again`.

    At most `slots` run at once. `seed` decides their order, as far as the graph leaves a choice.
    """
    shuffled = list(names)
    random.Random(seed).shuffle(shuffled)
    workers = local.threads(slots.most)
    cancelled = threading.Event()
    with (
        workers.executor,
        Launcher() as launcher,
        slots.tokens(launcher, observer) as tokens,
    ):
        builder = builder_of(
            again,
            again.judge(forced=names),
            Starting(
                launcher=launcher,
                room=Room(again.config.execution.max_memory, held=lambda: held_below(launcher.pid)),
                preparing=preparing_of(again, threads=threads_each(slots.most, len(names))),
            ),
            observer=observer,
            cancelled=cancelled,
        )

        def perform(wanted: Sequence[str], act: Callable[[str], bool]) -> None:
            scheduler.run(
                wanted,
                again.graph.upstream,
                up_to_date=lambda name: False,
                act=act,
                blocked=lambda name, by: None,
                executor=workers.executor,
                slots=workers.slots,
                tokens=tokens,
                priority={name: -float(place) for place, name in enumerate(shuffled)},
                abort=cancelled.set,
                shares=shares_of(again),
            )

        yield Reruns(
            session=session,
            again=again,
            scratch=scratch,
            stored=stored,
            observer=observer,
            builder=builder,
            perform=perform,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reruns:
    """The runs in the copy; made by `reruns`."""

    session: Session
    again: Session  # the copy
    scratch: Scratch
    stored: StoredResults
    observer: Observer
    builder: Builder
    perform: Callable[[Sequence[str], Callable[[str], bool]], None]

    def together(self, names: Sequence[str]) -> dict[str, Rerun]:
        """Run `names` in the order of the graph, without those that a failure blocks."""
        graph = self.session.graph
        for other in graph.sorted({one for name in names for one in graph.upstream(name)}):
            if other not in names:
                self.stored.put(other, self.again.root)
        self.again.walker.forget()
        done: dict[str, Rerun] = {}

        def run(name: str) -> bool:
            done[name] = first = self._run(name)
            return first.failure is None

        self.perform(names, run)
        return done

    def alone(self, name: str) -> Rerun:
        """Run `name` in the copy as it was at first, with the stored results of what it needs."""
        runs: list[Rerun] = []

        def rerun(name: str) -> bool:
            runs.append(self._run_alone(name))
            return True

        self.perform([name], rerun)
        return runs[0]

    def before(self, name: str) -> Rerun:
        """Return the stored result of `name` as if a run in the copy had made it."""
        artefacts = {one.path: one.digest for one in self.stored.records[name].artefacts}
        return Rerun(self._plain(self.stored.built(name)), artefacts)

    def left(self) -> tuple[str, ...]:
        """Return the files in the copy that runs wrote or altered without declaring them."""
        return tuple(path for path in self.scratch.changed() if not self.stored.maker(path))

    def _run_alone(self, name: str) -> Rerun:
        self.scratch.reset()
        for other in self.session.graph.upstream(name):
            self.stored.put(other, self.again.root)
        self.again.walker.forget()
        return self._run(name)

    def _run(self, name: str) -> Rerun:
        outcome = self.builder.build(name)
        self.observer(Ended(_told(outcome)))
        if outcome.failure is not None or outcome.kind is not OutcomeKind.EXECUTED:
            failure = outcome.failure or Failure("internal", outcome.kind.value)
            return Rerun(b"", {}, self._plain_failure(failure), outcome.seconds)
        built = (self.again.root / outcome.built).read_bytes()
        return Rerun(self._plain(built), self._artefacts(outcome), None, outcome.seconds)

    def _artefacts(self, outcome: Outcome) -> dict[str, str]:
        records = self.again.store.records(outcome.key.digest) if outcome.key is not None else []
        record = next((one for one in records if one.id == outcome.record), None)
        if record is not None:
            return {one.path: one.digest for one in record.artefacts}
        ledger = self.again.tree.known().get(outcome.task)  # it was not published
        return {one.path: one.digest for one in ledger.made} if ledger is not None else {}

    def _plain(self, built: bytes) -> bytes:
        """Return a notebook whose paths do not show where the project and its user are."""
        home = self.session.environ.get("HOME", "").rstrip("/")
        text = built.replace(str(self.scratch.above).encode(), b"")
        return text.replace(f"{home}/".encode(), b"~/") if home else text

    def _plain_failure(self, failure: Failure) -> Failure:
        above = str(self.scratch.above)
        return msgspec.structs.replace(
            failure,
            message=failure.message.replace(above, ""),
            traceback=failure.traceback.replace(above, ""),
        )


def _told(outcome: Outcome) -> Outcome:
    """Return an outcome without anything that would lead into the copy, which is soon gone."""
    failure = outcome.failure
    if failure is not None:
        lines = failure.traceback.rstrip().splitlines()[-_TRACEBACK_LINES:]
        failure = msgspec.structs.replace(failure, traceback="\n".join(lines), hint="")
    return msgspec.structs.replace(outcome, failure=failure, built="", notes=(), reasons=())
