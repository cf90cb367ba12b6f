"""The scheduler runs what is ready, longest path first, and stops what a failure stops."""

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from nbbuild.building.scheduling import scheduler
from nbbuild.building.scheduling.choosing import SLOTS, Needs, Shares
from nbbuild.model import Task
from nbbuild.project.graph import link


def diamond():
    """a → b, a → c, (b, c) → d; e stands alone."""
    return link(
        [
            Task(name="a", source="a.ipynb", built="out/a.ipynb"),
            Task(name="b", source="b.ipynb", built="out/b.ipynb", depends_on=("a",)),
            Task(name="c", source="c.ipynb", built="out/c.ipynb", depends_on=("a",)),
            Task(name="d", source="d.ipynb", built="out/d.ipynb", depends_on=("b", "c")),
            Task(name="e", source="e.ipynb", built="out/e.ipynb"),
        ],
        output="out",
    )


class Work:
    """Acts that only note what was asked of them; those in `failing` fail."""

    def __init__(self, *, fresh=(), failing=()):
        self.asked, self.did, self.stopped = [], [], {}
        self._fresh, self._failing = fresh, failing
        self._lock = threading.Lock()

    def up_to_date(self, name):
        self.asked.append(name)
        return name in self._fresh

    def act(self, name):
        with self._lock:
            self.did.append(name)
        return name not in self._failing

    def blocked(self, name, by):
        self.stopped[name] = by

    def run(self, graph, *, slots=1, **options):
        with ThreadPoolExecutor(slots) as executor:
            scheduler.run(
                graph.order,
                graph.upstream,
                up_to_date=self.up_to_date,
                act=self.act,
                blocked=self.blocked,
                executor=executor,
                slots=slots,
                priority=options.pop("priority", {}),
                **options,
            )
        return self.did


def test_tasks_run_in_order_each_once():
    did = Work().run(diamond())

    assert sorted(did) == ["a", "b", "c", "d", "e"]
    assert did.index("a") < did.index("b") < did.index("d")
    assert did.index("a") < did.index("c") < did.index("d")


def test_what_is_up_to_date_is_not_done_and_opens_the_way():
    work = Work(fresh={"a", "b", "c", "e"})

    assert work.run(diamond()) == ["d"]
    assert sorted(work.asked) == ["a", "b", "c", "d", "e"]


def test_a_task_is_judged_only_when_all_that_it_waits_for_is_done():
    seen = {}
    work = Work()
    judge = work.up_to_date

    def up_to_date(name):
        seen[name] = set(work.did)
        return judge(name)

    work.up_to_date = up_to_date
    work.run(diamond(), slots=2)

    assert seen["d"] >= {"a", "b", "c"}
    assert "a" in seen["b"]


def test_a_failure_blocks_what_needs_it_and_nothing_else():
    work = Work(failing={"b"})

    assert sorted(work.run(diamond())) == ["a", "b", "c", "e"]
    assert work.stopped == {"d": "b"}


def test_nothing_starts_once_it_is_to_stop():
    work = Work(failing={"a"})

    assert work.run(diamond(), stop=lambda: "a" in work.did) == ["a"]


def test_the_longest_critical_path_starts_first():
    graph = diamond()
    weights = graph.critical({"a": 1, "b": 1, "c": 9, "d": 1, "e": 5})

    assert weights == {"a": 11, "b": 2, "c": 10, "d": 1, "e": 5}
    assert Work().run(graph, priority=weights) == ["a", "c", "e", "b", "d"]


def test_no_more_than_the_slots_run_at_once():
    running, most = set(), []
    both = threading.Barrier(2, timeout=20)

    def act(name):
        running.add(name)
        most.append(len(running))
        if name in ("b", "c"):
            both.wait()  # passes only if two run at the same time
        running.discard(name)
        return True

    work = Work()
    work.act = act
    work.run(diamond(), slots=2)

    assert max(most) == 2


def test_an_exception_calls_abort_and_is_raised():
    aborted = []
    work = Work()

    def act(name):
        raise ZeroDivisionError(name)

    work.act = act
    with pytest.raises(ZeroDivisionError):
        work.run(diamond(), abort=lambda: aborted.append(True))

    assert aborted == [True]


def test_names_that_mean_something_to_doit_are_plain_names_here():
    odd = "x=1*%.ipynb"
    graph = link([Task(name=odd, source=odd, built="out/x.ipynb")], output="out")

    assert Work().run(graph) == [odd]


def test_a_chain_of_two_thousand_tasks_is_no_problem():
    tasks = [Task(name="t0", source="t0.ipynb", built="out/t0.ipynb")] + [
        Task(name=f"t{n}", source=f"t{n}.ipynb", built=f"out/t{n}.ipynb", depends_on=(f"t{n - 1}",))
        for n in range(1, 2000)
    ]

    assert Work().run(link(tasks, output="out")) == [f"t{n}" for n in range(2000)]


def test_what_comes_next_is_told_before_a_slot_is_free():
    graph, work, told = diamond(), Work(), []
    work.run(graph, priority={"a": 9, "b": 5, "c": 6, "e": 7}, upcoming=told.append)
    assert work.did == ["a", "e", "c", "b", "d"]
    assert told == [["e"], ["c"], ["b"], [], []]


class Tokens:
    """Tokens that a test hands out: `most` of them, and more when it says so."""

    def __init__(self, most):
        self.held, self.asked, self._most = 0, [], most
        self._wanted, self._wake = 0, None

    def on_more(self, wake):
        self._wake = wake

    def want(self, number):
        self.asked.append(number)
        self._wanted = number
        self._settle()

    def more(self):
        self._most += 1
        self._settle()

    def _settle(self):
        before, self.held = self.held, min(self._wanted, self._most)
        if self.held > before:
            self._wake()


def independent(*names):
    return link(
        [Task(name=n, source=f"{n}.ipynb", built=f"out/{n}.ipynb") for n in names], output="out"
    )


def test_without_a_token_one_task_runs_at_a_time_and_none_is_kept():
    running, most = set(), []

    def act(name):
        running.add(name)
        most.append(len(running))
        running.discard(name)
        return True

    work, tokens = Work(), Tokens(0)
    work.act = act
    work.run(independent("a", "b", "c"), slots=3, tokens=tokens)

    assert max(most) == 1
    assert (tokens.asked[0], tokens.asked[-1], max(tokens.asked)) == (2, 0, 2)


def test_a_token_that_comes_later_lets_another_task_begin():
    first, both = threading.Event(), threading.Barrier(2, timeout=20)

    def act(name):
        first.set()
        both.wait()  # passes only if two run at the same time
        return True

    work, tokens = Work(), Tokens(0)
    work.act = act
    comes = threading.Thread(target=lambda: (first.wait(20), tokens.more()))
    comes.start()
    work.run(independent("a", "b"), slots=2, tokens=tokens)
    comes.join()

    assert tokens.held == 0


def test_no_more_tokens_are_wanted_than_there_are_slots_and_tasks():
    work, tokens = Work(), Tokens(9)
    work.run(independent("a", "b", "c", "d"), slots=3, tokens=tokens)
    assert max(tokens.asked) == 2
    work, tokens = Work(), Tokens(9)
    work.run(independent("a", "b"), slots=9, tokens=tokens)
    assert max(tokens.asked) == 1


def test_a_task_of_several_slots_takes_as_many_tokens_as_it_can_have():
    work, tokens = Work(), Tokens(9)
    work.run(
        independent("a", "b"),
        slots=3,
        tokens=tokens,
        shares=Shares(needs=lambda name: Needs(3 if name == "a" else 1)),
        priority={"a": 1},
    )
    assert (tokens.asked[0], set(tokens.asked), tokens.held) == (2, {2, 0}, 0)

    held = []
    work, tokens = Work(), Tokens(0)  # make has none left
    work.act = lambda name: held.append(tokens.held) is None
    work.run(independent("a"), slots=3, tokens=tokens, shares=Shares({}, lambda name: Needs(3)))
    assert (held, tokens.asked[0]) == ([0], 2)


def test_what_waits_although_a_slot_is_free_is_told_once_and_for_what():
    told = []
    graph = independent("a", "b", "c", "d")
    work, executor = Work(), InTurn()
    scheduler.run(
        graph.order,
        graph.upstream,
        up_to_date=work.up_to_date,
        act=work.act,
        blocked=work.blocked,
        executor=executor,
        slots=3,
        priority={},
        upcoming=executor.end_one,
        shares=Shares(
            {"db": 1}, lambda name: Needs.of(3 if name == "d" else 1, {"db": name < "d"})
        ),
        held_up=lambda name, needs, lacking: told.append((name, lacking)),
    )
    assert told == [("b", ("db",)), ("d", (SLOTS,)), ("c", ("db",))]
    assert executor.ran == [["a"], ["b"], ["c"], ["d"]]


class InTurn(Executor):
    """Ends what runs in the order in which it began; `ran` is what ran at once, before each end."""

    def __init__(self):
        self.ran, self._running = [], []

    def submit(self, execute, task):
        future = Future()
        self._running.append((future, execute, task))
        return future

    def end_one(self, upcoming):
        self.ran.append([task.name for _, _, task in self._running])
        future, execute, task = self._running.pop(0)
        future.set_result(execute(task))


def test_tasks_that_go_singly_come_last_and_leave_the_other_slots_free():
    tasks = [Task(name=name, source=name, built=f"out/{name}") for name in ("a", "p", "q", "b")]
    graph, work, executor = link(tasks, output="out"), Work(), InTurn()
    scheduler.run(
        graph.order,
        graph.upstream,
        up_to_date=work.up_to_date,
        act=work.act,
        blocked=work.blocked,
        executor=executor,
        slots=4,
        priority={},
        upcoming=executor.end_one,
        singly={"p", "q"}.__contains__,
    )
    assert executor.ran == [["a", "b", "p"], ["b", "p"], ["p"], ["q"]]


def test_a_pool_may_have_any_name_that_a_user_can_give():
    graph = link([Task(name="a", source="a", built="out/a")], output="out")
    shares = Shares({"singly": 2}, lambda name: Needs.of(1, {"singly": 2}))
    assert Work().run(graph, shares=shares) == ["a"]
