"""doit tasks in, futures out: choose which ready task starts next, and what a failure stops.

doit's dispatcher hands out a task once everything that it waits for is done. The runner here keeps
them in order (choosing.py), longest critical path first, and feeds them to an executor. Together
they take at most `slots` slots, each but the first only while there is a token for it.
Everything that touches doit happens in the calling thread; executors only ever run `act`.
"""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

from doit.control import ExecNode, TaskControl, TaskDispatcher
from doit.dependency import Dependency
from doit.exceptions import BaseFail, TaskError, UnmetDependency
from doit.runner import Runner
from doit.task import Task as DoitTask

from nbbuild.building.scheduling.choosing import Needs, Ready, Shares
from nbbuild.building.scheduling.doit_tasks import doit_name, doit_tasks, name_of
from nbbuild.kernels.launch.jobserver import NoLimit, Tokens

_NO_LIMIT = NoLimit()
_ONLY_SLOTS = Shares()
_LAST = math.inf
_SINGLY = Needs(1, ((" ", 1),))
"""What a task takes that goes singly: all of a pool whose name no user can give to one."""


def run(
    names: Iterable[str],
    upstream: Callable[[str], Sequence[str]],
    *,
    up_to_date: Callable[[str], bool],
    act: Callable[[str], bool],
    blocked: Callable[[str, str], None],
    executor: Executor,
    slots: int,
    tokens: Tokens = _NO_LIMIT,
    priority: Mapping[str, float],
    stop: Callable[[], bool] = lambda: False,
    abort: Callable[[], None] = lambda: None,
    upcoming: Callable[[Sequence[str]], None] = lambda names: None,
    singly: Callable[[str], bool] = lambda name: False,
    shares: Shares = _ONLY_SLOTS,
    held_up: Callable[[str, Needs, Sequence[str]], None] = lambda name, needs, lacking: None,
) -> None:
    """Do `names` in the graph's order, `slots` at once, fewer while `tokens` are lacking.

    `upstream(name)` returns the tasks that one waits for directly.
    `up_to_date(name)` is called in this thread once all upstream tasks are done; `act(name)` runs
    in `executor` and returns whether all went well; `blocked(name, by)` is called for each task
    that an upstream failure stops. Ready tasks of higher `priority` start first. No task starts
    once `stop()` is true; it is asked between tasks. After an exception (from `up_to_date`, `act`
    or a signal), `abort` is called, which must end everything that runs; then the exception is
    raised here. `upcoming` gets the tasks that will probably start next, `slots` at most, whenever
    they change. Tasks that go `singly` start after all others that are ready, one at a time.

    Beside the slots, tasks take of what they share, by `shares`. `held_up(name, needs, lacking)` is
    called once for a task that has to wait although a slot is free; `lacking` names the pools,
    and SLOTS if it needs several slots.
    """
    tasks = doit_tasks(names, upstream, up_to_date=up_to_date, act=act)
    control = TaskControl(tasks)
    control.process(None)  # all of them: named, "-x.ipynb" would be an option to doit
    runner = HeapRunner(
        _Words(blocked),
        executor=executor,
        slots=slots,
        tokens=tokens,
        priority={doit_name(name): weight for name, weight in priority.items()},
        stop=stop,
        abort=abort,
        upcoming=upcoming,
        singly=singly,
        shares=shares,
        held_up=held_up,
    )
    runner.run_tasks(control.task_dispatcher())


class HeapRunner(Runner):  # type: ignore[misc]  # doit has no types
    """doit's Runner with a heap of ready tasks and any `concurrent.futures.Executor`."""

    def __init__(
        self,
        reporter: _Words,
        *,
        executor: Executor,
        slots: int,
        tokens: Tokens,
        priority: Mapping[str, float],
        stop: Callable[[], bool],
        abort: Callable[[], None],
        upcoming: Callable[[Sequence[str]], None],
        singly: Callable[[str], bool],
        shares: Shares,
        held_up: Callable[[str, Needs, Sequence[str]], None],
    ) -> None:
        super().__init__(Dependency(_Memory, "nbbuild"), reporter, continue_=True)
        self._executor = executor
        self._tokens = tokens
        self._priority = priority
        self._stop = stop
        self._abort = abort
        self._upcoming = upcoming
        self._singly = singly
        self._needs = shares.needs
        self._held_up = held_up
        self._told: set[str] = set()  # that they are held up
        self._ready: Ready[ExecNode] = Ready(slots, {**shares.pools, **dict(_SINGLY.units)})
        self._takes: dict[str, Needs] = {}

    def run_tasks(self, task_dispatcher: TaskDispatcher) -> None:
        """Run every task that `task_dispatcher` hands out; return when none is running any more."""
        running: dict[Future[Any], ExecNode] = {}
        done: queue.SimpleQueue[Future[Any] | None] = queue.SimpleQueue()  # None: more tokens
        self._tokens.on_more(lambda: done.put(None))
        answer: ExecNode | None = None  # what the dispatcher hears next
        try:
            while True:
                # Take everything that the dispatcher offers before choosing.
                for node in self._offered(task_dispatcher, answer):
                    self._add(node)
                ended: Future[Any] | None = None
                while ended is None:
                    self._begin(running, done)
                    if not running:
                        return
                    ended = done.get()
                answer = running.pop(ended)
                self._ready.give_back(self._takes.pop(answer.task.name))
                self._tokens.want(max(0, self._ready.taken - 1))
                self.process_task_result(answer, self._fail(ended))
        except BaseException:
            self._abort()
            raise
        finally:
            for future in running:
                future.cancel()
            for future in running:
                _wait(future)
            self._tokens.want(0)

    def _add(self, node: ExecNode) -> None:
        """Take note that a task is ready."""
        name = name_of(node.task)
        if self._singly(name):
            taken = self._ready.add(node, _LAST, _SINGLY)
        else:
            weight = -self._priority.get(node.task.name, 0.0)
            taken = self._ready.add(node, weight, self._needs(name))
        self._takes[node.task.name] = taken

    def _begin(
        self,
        running: dict[Future[Any], ExecNode],
        done: queue.SimpleQueue[Future[Any] | None],
    ) -> None:
        """Start as many of the tasks that are ready as may run now, and ask for more tokens."""
        ready = self._ready
        halted = self._halted()
        while not halted and (node := ready.take(self._tokens.held + 1)) is not None:
            future = self._executor.submit(self.execute_task, node.task)
            running[future] = node
            future.add_done_callback(done.put)
            halted = self._halted()
        usable = 0 if halted else ready.usable()
        self._tokens.want(max(0, ready.taken - 1 + usable))
        if not running:
            return
        for waiting, needs, lacking in () if halted else ready.held_up(self._tokens.held + 1):
            name = name_of(waiting.task)
            if needs != _SINGLY and name not in self._told:
                self._told.add(name)
                self._held_up(name, needs, lacking)
        self._upcoming([name_of(one.task) for one in ready.next()])

    def _offered(self, dispatcher: TaskDispatcher, answer: ExecNode | None) -> Iterator[ExecNode]:
        """Tell the dispatcher what is done, and yield the tasks that have to run now."""
        while not self._halted():
            try:
                node = dispatcher.generator.send(answer)
            except StopIteration:
                return
            if isinstance(node, str):  # "hold on": everything else waits for what runs
                return
            selected = self.select_task(node, dispatcher.tasks)
            answer = None if selected else node
            if selected:
                yield node

    def _halted(self) -> bool:
        return self._stop()

    def _fail(self, future: Future[Any]) -> BaseFail | None:
        fail = future.result()
        assert fail is None or isinstance(fail, BaseFail)
        return fail


def _wait(future: Future[Any]) -> None:
    """Wait for a future, ignoring its own exception: another one is being raised."""
    try:
        future.exception()
    except CancelledError:
        return


class _Memory:
    """doit's database, in memory only: the store decides what is up to date."""

    def __init__(self, name: str, codec: object, *, module_name: str | None = None) -> None:
        self.name = name
        self._data: dict[str, dict[str, Any]] = {}

    def get(self, task: str, key: str) -> Any:
        return self._data.get(task, {}).get(key)

    def set(self, task: str, key: str, value: Any) -> None:
        self._data.setdefault(task, {})[key] = value

    def in_(self, task: str) -> bool:
        return task in self._data

    def remove(self, task: str) -> None:
        self._data.pop(task, None)

    def remove_all(self) -> None:
        self._data.clear()

    def dump(self) -> None:
        pass


class _Words:
    """doit's reporter: passes on what upstream failures stop; nbbuild reports the rest itself."""

    def __init__(self, blocked: Callable[[str, str], None]) -> None:
        self._blocked = blocked

    def add_failure(self, task: DoitTask, fail: BaseFail) -> None:
        if isinstance(fail, UnmetDependency):
            self._blocked(name_of(task), fail.message)
        elif isinstance(fail, TaskError):
            raise AssertionError(fail.get_msg())  # noqa: TRY004

    def get_status(self, task: DoitTask) -> None: ...
    def execute_task(self, task: DoitTask) -> None: ...
    def add_success(self, task: DoitTask) -> None: ...
    def skip_uptodate(self, task: DoitTask) -> None: ...
    def skip_ignore(self, task: DoitTask) -> None: ...
