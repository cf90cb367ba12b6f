"""Execute the tasks that have to run, with a scheduler, a builder and kernels."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from nbbuild.building.assembly import Starting, builder_of
from nbbuild.building.attempts.preparing import Preparing
from nbbuild.building.builder import Builder
from nbbuild.building.executors import Jobs, Workers
from nbbuild.building.from_session import preparing_of, shares_of, warmings_of
from nbbuild.building.progress import Tally
from nbbuild.building.rendering import Pages, Steps, is_page
from nbbuild.building.scheduling import scheduler
from nbbuild.building.scheduling.choosing import Needs, Shares, said
from nbbuild.building.scheduling.turns import Again, Meetings, PairsApart, Turns, in_turn
from nbbuild.building.supply.processes import Supply
from nbbuild.disk.locks import Held
from nbbuild.events import Noted, WorkersStarted
from nbbuild.judging.conflicts import beside_a_writer, pairs_by_rewriting
from nbbuild.judging.verdicts import Judge
from nbbuild.kernels.ahead import Ahead
from nbbuild.kernels.launch.jobserver import Tokens
from nbbuild.kernels.launch.machine import threads_each
from nbbuild.kernels.launch.memory import Room
from nbbuild.model import Judgement, Record, Verdict
from nbbuild.project.expecting import expected
from nbbuild.project.graph import Graph
from nbbuild.session import Session

_ONLY_SLOTS = Shares()
_ROUNDS = 3  # how often tasks are judged again at the end


@dataclass(frozen=True, slots=True)
class KernelSupply:
    """Where the kernels of a build come from, and how many may run."""

    supply: Supply
    room: Room
    tokens: Tokens

    @property
    def ahead(self) -> Ahead:
        """The kernels that are started ahead."""
        return self.supply.ahead()


def execute(
    session: Session,
    judge: Judge,
    names: Sequence[str],
    tally: Tally,
    *,
    workers: Workers,
    kernels: KernelSupply,
    executing: Sequence[str],
    pages: Pages | None,
    most_failures: int | None,
    cancelled: threading.Event,
) -> None:
    """Do what `drive` does, with kernels; `executing` are those that will probably run."""
    # With one slot, the listed order is as quick as any and easier to follow.
    priority = _critical(session, tally.durations) if workers.slots > 1 else {}
    pairs = PairsApart(session.state)
    known = pairs.known.values()
    last = _last_records(session, executing)
    priority = in_turn(priority, [*known, *pairs_by_rewriting(last)], executing)
    preparing = _preparing(session, workers, kernels, executing)
    following = _Following(preparing, kernels, executing if workers.jobs is None else ())
    if workers.jobs is not None:
        tally.observer(WorkersStarted(workers.slots))
    slots = min(workers.slots, kernels.tokens.held + 1)
    following.start(session.graph, names, priority, slots=slots)
    again = Again()
    builder = builder_of(
        session,
        judge,
        Starting(
            launcher=kernels.supply.launcher,
            room=kernels.room,
            preparing=preparing,
            ready=kernels.ahead.take,
            on_end=following.begin,
            jobs=workers.jobs,
            priority=priority,
        ),
        observer=tally.observer,
        cancelled=cancelled,
        uses=tally.uses,
        again=again,
        meetings=Meetings(Turns([*known, *beside_a_writer(last)]), pairs, tally.observer),
    )
    drive(
        names,
        session.graph,
        judge,
        builder,
        tally,
        workers=workers,
        tokens=kernels.tokens,
        priority=priority,
        again=again,
        pages=pages,
        most_failures=most_failures,
        upcoming=following.tell,
        shares=shares_of(session),
    )


def forget_settled(session: Session, judgements: Sequence[Judgement], jobs: Jobs) -> None:
    """Forget the jobs whose results are kept: their build was killed before it could do that."""
    runs = (Verdict.RUN, Verdict.WAIT, Verdict.BLOCKED)
    kept = {one.key.digest for one in judgements if one.verdict not in runs and one.key}
    for key in kept.intersection(jobs.left()):
        with suppress(Held), session.store.lock(key, wait=False):  # else another build runs it
            jobs.settled(key)


def _preparing(
    session: Session, workers: Workers, kernels: KernelSupply, executing: Sequence[str]
) -> Preparing:
    warming = warmings_of(session, executing, slots=workers.slots, supply=kernels.supply)
    # Elsewhere the workers' own environment says that, unless a notebook asks for cores.
    here = workers.jobs is None
    threads = threads_each(workers.slots, len(executing)) if here else 0
    return preparing_of(session, warming=warming, threads=threads, here=here)


def _critical(session: Session, durations: Mapping[str, float]) -> Mapping[str, float]:
    """Return for each task the fewest seconds from its start to the end of the build."""
    known = expected(session.graph.tasks, session.project.parsed, durations)
    return session.graph.critical(known)


def drive(
    names: Sequence[str],
    graph: Graph,
    judge: Judge,
    builder: Builder,
    tally: Tally,
    *,
    workers: Workers,
    tokens: Tokens,
    priority: Mapping[str, float],
    again: Again,
    pages: Pages | None = None,
    most_failures: int | None = None,
    upcoming: Callable[[Sequence[str]], None] = lambda names: None,
    shares: Shares = _ONLY_SLOTS,
) -> None:
    """Bring `names` up to date with `builder`, in the graph's order; outcomes go into `tally`.

    `pages` are rendered for them, and for those that are settled. Nothing starts after
    `most_failures`, None: however many. `shares` are those of `scheduler.run`. Returns when none of
    them is running any more. An interrupt, or setting the builder's `cancelled`, ends all attempts.
    """
    cancelled = builder.cancelled
    steps = _steps(graph, judge, builder, tally, pages)

    def stop() -> bool:
        return cancelled.is_set() or tally.has_failures(most_failures)

    def do(wanted: Sequence[str], *, slots: int) -> None:
        scheduler.run(
            [*wanted, *(pages.steps_for(wanted) if pages else ())],
            steps.upstream,
            up_to_date=steps.up_to_date,
            act=steps.act,
            blocked=steps.blocked,
            executor=workers.executor,
            slots=slots,
            tokens=tokens,
            priority=priority,
            stop=stop,
            abort=cancelled.set,
            upcoming=upcoming,
            singly=is_page,
            shares=shares,
            held_up=partial(_held_up, tally),
        )

    try:
        do(names, slots=workers.slots)
        for _ in range(_ROUNDS):
            if stop():
                break
            rest = _once_more(graph, tally, again.take())
            if not rest:
                break
            do(rest, slots=1)
    except KeyboardInterrupt:
        tally.interrupted = True
    tally.interrupted = tally.interrupted or cancelled.is_set()


def _steps(
    graph: Graph, judge: Judge, builder: Builder, tally: Tally, pages: Pages | None
) -> Steps:
    steps = Steps(
        upstream=graph.upstream,
        up_to_date=partial(_up_to_date, judge, tally),
        act=lambda name: tally.keep(builder.build(name)),
        blocked=tally.blocked,
    )
    return steps if pages is None else pages.with_steps(steps)


def _held_up(tally: Tally, name: str, needs: Needs, lacking: Sequence[str]) -> None:
    tally.observer(Noted(name, said(needs, lacking), detail=True, waits=True))


def _up_to_date(judge: Judge, tally: Tally, name: str) -> bool:
    """Return whether `name` is fresh, by its final verdict; if it is, keep that outcome."""
    try:
        judgement = judge.final(name)
    except Exception:  # noqa: BLE001 - the builder gets it again and makes an outcome of it
        return False
    if judgement.verdict is Verdict.FRESH:
        tally.fresh(judgement)
    return judgement.verdict is Verdict.FRESH


def _last_records(session: Session, names: Sequence[str]) -> dict[str, Record]:
    """Return the last run's record of each of `names` that has one; none for a single name."""
    names = names if len(names) > 1 else ()
    found = ((name, session.runs.last(session.graph.tasks[name])[1]) for name in names)
    return {name: record for name, record in found if record is not None}


def _once_more(graph: Graph, tally: Tally, names: Collection[str]) -> tuple[str, ...]:
    """Return those of `names` that got a result in this build, and their downstream tasks."""
    done = [name for name in names if tally.has_result(name)]
    todo, found = [*done], set(done)
    while todo:
        new = {n for n in graph.downstream(todo.pop()) if tally.has_result(n)} - found
        found |= new
        todo += new
    return graph.sorted(found)


class _Following:
    """Starts the kernels of the tasks that come next, each once; thread-safe."""

    def __init__(
        self, preparing: Preparing, kernels: KernelSupply, executing: Sequence[str]
    ) -> None:
        self._preparing = preparing
        self._kernels = kernels
        self._executing = executing
        self._waiting = set(executing)
        self._lock = threading.Lock()
        self._next: Sequence[str] = ()

    def start(
        self, graph: Graph, names: Sequence[str], priority: Mapping[str, float], *, slots: int
    ) -> None:
        """Start the kernels of those of `names` that go first, `slots` at most."""
        wanted = {*names}
        ready = [name for name in self._executing if not {*graph.upstream(name)} & wanted]
        self.tell(heapq.nlargest(slots, ready, key=lambda one: priority.get(one, 0.0)))
        for _ in range(slots):
            self.begin()

    def tell(self, names: Sequence[str]) -> None:
        """Take note of which tasks come next."""
        self._next = names

    def begin(self) -> None:
        """Start the kernel of the next task that has none, if there is memory for it."""
        with self._lock:
            name = next((one for one in self._next if one in self._waiting), None)
            if name is None:
                return
            self._waiting.remove(name)
        wanted = self._preparing.wanted(name)
        if wanted is not None and not self._kernels.room.shortage():
            self._kernels.ahead.begin(wanted)
