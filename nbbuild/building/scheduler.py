"""doit tasks in, futures out: choose which ready task starts next, and what a failure stops.

doit's dispatcher hands out a task once everything that it waits for is done. The runner here keeps
them in a heap, longest critical path first, and feeds at most `slots` of them to an executor, each
but the first only while there is a token for it.
Everything that touches doit happens in the calling thread; executors only ever run `act`.
"""

from __future__ import annotations

import heapq
import itertools
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

from nbbuild.building.doit_tasks import doit_name, doit_tasks, name_of
from nbbuild.kernels.launch.jobserver import NoLimit, Tokens

_NO_LIMIT = NoLimit()
_Ready = tuple[float, int, ExecNode]  # the less the sooner; its arrival; the task
_LAST = math.inf


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
    ) -> None:
        super().__init__(Dependency(_Memory, "nbbuild"), reporter, continue_=True)
        self._executor = executor
        self._slots = slots
        self._tokens = tokens
        self._priority = priority
        self._stop = stop
        self._abort = abort
        self._upcoming = upcoming
        self._singly = singly

    def run_tasks(self, task_dispatcher: TaskDispatcher) -> None:
        """Run every task that `task_dispatcher` hands out; return when none is running any more."""
        ready: list[_Ready] = []
        arrival = itertools.count()
        running: dict[Future[Any], ExecNode] = {}
        done: queue.SimpleQueue[Future[Any] | None] = queue.SimpleQueue()  # None: more tokens
        self._tokens.on_more(lambda: done.put(None))
        answer: ExecNode | None = None  # what the dispatcher hears next
        try:
            while True:
                # Take everything that the dispatcher offers before choosing.
                for node in self._offered(task_dispatcher, answer):
                    weight = self._weight(node)
                    heapq.heappush(ready, (weight, next(arrival), node))
                ended: Future[Any] | None = None
                while ended is None:
                    self._begin(ready, running, done)
                    if not running:
                        return
                    ended = done.get()
                answer = running.pop(ended)
                self._tokens.want(max(0, len(running) - 1))
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

    def _begin(
        self,
        ready: list[_Ready],
        running: dict[Future[Any], ExecNode],
        done: queue.SimpleQueue[Future[Any] | None],
    ) -> None:
        """Start as many of the tasks that are `ready` as may run now, and ask for more tokens."""
        while self._has_room(ready, running) and len(running) <= self._tokens.held:
            node = heapq.heappop(ready)[2]
            future = self._executor.submit(self.execute_task, node.task)
            running[future] = node
            future.add_done_callback(done.put)
        room = self._slots - len(running) if self._has_room(ready, running) else 0
        if room and ready[0][0] == _LAST:
            room = 1
        self._tokens.want(max(0, len(running) - 1 + min(len(ready), room)))
        # The least of a heap are near its front; sorting all of it would take too long.
        following = heapq.nsmallest(self._slots, ready[: 4 * self._slots])
        if running:
            self._upcoming([name_of(node.task) for _, _, node in following])

    def _has_room(self, ready: list[_Ready], running: Mapping[Future[Any], ExecNode]) -> bool:
        if not ready or len(running) >= self._slots or self._halted():
            return False
        return ready[0][0] != _LAST or not any(map(self._goes_singly, running.values()))

    def _weight(self, node: ExecNode) -> float:
        if self._goes_singly(node):
            return _LAST
        return -self._priority.get(node.task.name, 0.0)

    def _goes_singly(self, node: ExecNode) -> bool:
        return self._singly(name_of(node.task))

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
