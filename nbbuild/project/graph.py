"""Link tasks into a directed acyclic graph; the only place that imports networkx."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from nbbuild.errors import ConfigError, NbbuildError, raise_all
from nbbuild.model import Task
from nbbuild.paths.pattern_indexes import PatternIndex
from nbbuild.paths.patterns import Pattern, can_meet, escape, matches


@dataclass(frozen=True, slots=True)
class Edge:
    """`reader` needs `writer` done first, because of `why` ("reads 'mid.txt'")."""

    writer: str
    reader: str
    why: str
    pattern: str = ""  # the asset pattern, "" for depends_on


class Graph:
    """Tasks and which of them wait for which; equal tasks keep their order."""

    def __init__(self, tasks: Sequence[Task], edges: Iterable[Edge]) -> None:
        self.tasks: Mapping[str, Task] = {task.name: task for task in tasks}
        self._edges: dict[tuple[str, str], Edge] = {}
        for edge in edges:
            self._edges.setdefault((edge.writer, edge.reader), edge)
        self._place = {name: place for place, name in enumerate(self.tasks)}
        self._upstream: dict[str, list[str]] = {}
        self._downstream: dict[str, list[str]] = {}
        for writer, reader in sorted(self._edges, key=self._places):
            self._upstream.setdefault(reader, []).append(writer)
            self._downstream.setdefault(writer, []).append(reader)
        self._order = self._sorted() if self._edges else tuple(self.tasks)

    @property
    def order(self) -> tuple[str, ...]:
        """Every task, writers before readers."""
        return self._order

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge, in the order of its writer and reader."""
        return tuple(self._edges[pair] for pair in sorted(self._edges, key=self._places))

    def upstream(self, name: str) -> tuple[str, ...]:
        """Return the tasks that `name` waits for directly."""
        return tuple(self._upstream.get(name, ()))

    def downstream(self, name: str) -> tuple[str, ...]:
        """Return the tasks that wait for `name` directly."""
        return tuple(self._downstream.get(name, ()))

    def sorted(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return `names` in order."""
        wanted = set(names)
        return tuple(name for name in self._order if name in wanted)

    def needed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return `names` and everything they wait for, directly or not, in order."""
        wanted = set(names)
        todo = list(wanted)
        while todo:
            new = set(self._upstream.get(todo.pop(), ())) - wanted
            wanted |= new
            todo += new
        return self.sorted(wanted)

    def critical(self, durations: Mapping[str, float], *, unknown: float = 1.0) -> dict[str, float]:
        """Return for each task the seconds of the longest path from its start to the end.

        A task without a remembered duration counts `unknown` seconds. (Critical path method:
        starting the longest first keeps the last worker from waiting for a chain begun too late.)
        """
        longest: dict[str, float] = {}
        for name in reversed(self._order):
            after = max((longest[next_] for next_ in self.downstream(name)), default=0.0)
            longest[name] = durations.get(name, unknown) + after
        return longest

    def _places(self, edge: tuple[str, str]) -> tuple[int, int]:
        return self._place[edge[0]], self._place[edge[1]]

    def _sorted(self) -> tuple[str, ...]:
        """Return every task, writers before readers; raise `ConfigError` for a cycle."""
        # Loading it takes longer than judging a thousand tasks, and many projects have no edge.
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.tasks)
        graph.add_edges_from(self._edges)
        try:
            return tuple(nx.lexicographical_topological_sort(graph, key=self._place.__getitem__))
        except nx.NetworkXUnfeasible:
            # Only now: to find that there is none takes longer by far than to sort.
            cycle = nx.find_cycle(graph)
        links = [self._edges[(writer, reader)] for writer, reader, *_ in cycle]
        raise ConfigError(
            "these notebooks wait for each other: "
            + " → ".join([*(link.writer for link in links), links[0].writer]),
            facts=[(f"'{link.reader}' waits for '{link.writer}'", link.why) for link in links],
            hint="remove one of the assets, artefacts or depends_on that form the circle",
        )


def link(tasks: Sequence[Task], *, output: str, pages: bool = False) -> Graph:
    """Make the graph of `tasks`; with `pages`, each built notebook has a page beside it.

    An edge is an asset pattern that can match an artefact pattern, or a `depends_on`. A built
    notebook counts as its task's artefact for patterns that begin in `output`. Raises
    `ConfigError` (or `Problems`) for a cycle, for artefact patterns of two tasks that can match
    the same path, for one that can match a source or a built notebook or its page, for an asset
    that is the task's own artefact or can match a page, and for [environment] files that a task
    writes.
    """
    made = [(Pattern.parse(text), task) for task in tasks for text in task.artefacts]
    writers = _Writers(made)

    @cache  # there are as many as tasks, and mostly none is needed
    def builders() -> _Writers:
        return _Writers([(Pattern.parse(escape(task.built)), task) for task in tasks])

    inside_output = output.rstrip("/") + "/"

    def begins_inside(pattern: Pattern) -> bool:
        return f"{pattern.text}/".startswith(inside_output)

    def met_by(pattern: Pattern) -> list[tuple[Pattern, Task]]:
        built = builders().meeting(pattern) if begins_inside(pattern) else []
        return [*writers.meeting(pattern), *built]

    paths = _paths(tasks, pages=pages)
    raise_all(
        [
            *_two_writers(made, writers),
            *_writes_a_notebook(paths, writers),
            *_reads_its_own(tasks),
            *_writes_what_all_need(tasks, met_by),
            *_scratch_that_counts(tasks, writers, paths),
            *(_reads_a_page(tasks, begins_inside) if pages else ()),
        ]
    )
    edges: list[Edge] = []
    for task in tasks:
        edges += [
            Edge(name, task.name, f"{task.declared_in}, depends_on") for name in task.depends_on
        ]
        for text in task.assets:
            edges += [
                Edge(writer.name, task.name, _why(text, artefact.text), text)
                for artefact, writer in met_by(Pattern.parse(text))
                if writer.name != task.name
            ]
    return Graph(tasks, edges)


class _Writers:
    """Tells which tasks can write the paths that a pattern means."""

    def __init__(self, made: Sequence[tuple[Pattern, Task]]) -> None:
        self._index = PatternIndex(pattern for pattern, _ in made)
        self._tasks: dict[Pattern, list[Task]] = {}
        for pattern, task in made:
            self._tasks.setdefault(pattern, []).append(task)

    def __len__(self) -> int:
        return len(self._index)

    def meeting(self, pattern: Pattern) -> list[tuple[Pattern, Task]]:
        """Return the artefact patterns that can meet `pattern`, each with its task."""
        return self._with_tasks(self._index.meeting(pattern))

    def matching(self, path: str) -> list[tuple[Pattern, Task]]:
        """Return the artefact patterns that mean the file `path`, each with its task."""
        return self._with_tasks(self._index.matching(path))

    def _with_tasks(self, patterns: Iterable[Pattern]) -> list[tuple[Pattern, Task]]:
        return [(pattern, task) for pattern in patterns for task in self._tasks[pattern]]


def _why(asset: str, artefact: str) -> str:
    if asset == artefact:
        return f"it reads '{asset}'"
    return f"it reads '{asset}', which '{artefact}' can match"


def _two_writers(made: Sequence[tuple[Pattern, Task]], writers: _Writers) -> list[NbbuildError]:
    errors: list[NbbuildError] = []
    told: set[frozenset[str]] = set()
    for pattern, task in made:
        for met, other in writers.meeting(pattern):
            both = frozenset((task.name, other.name))
            if other.name == task.name or both in told:
                continue
            told.add(both)
            errors.append(
                ConfigError(
                    f"'{task.name}' and '{other.name}' would both write '{pattern.text}'"
                    if pattern.text == met.text
                    else f"artefacts '{pattern.text}' of '{task.name}' and '{met.text}' "
                    f"of '{other.name}' can match one path",
                    facts=[("declared in", task.declared_in), ("and in", other.declared_in)],
                    hint="every file has one writer: narrow one of the patterns"
                    + (", say with a {parameter}" if task.parameters else ""),
                )
            )
    return errors


def _paths(tasks: Sequence[Task], *, pages: bool) -> dict[str, str]:
    """Return the paths at which no run may write, and what each of them is."""
    paths = {path: "a source notebook" for t in tasks for path in (t.source, *t.paired)}
    for task in tasks:
        paths.setdefault(task.built, "a built notebook")
    for task in tasks if pages else ():
        paths.setdefault(task.page, f"the page of '{task.name}'")
    return paths


def _writes_a_notebook(paths: Mapping[str, str], writers: _Writers) -> list[NbbuildError]:
    """Return an error for each artefact pattern that can match one of `paths`."""
    if not writers:
        return []
    return [
        ConfigError(
            f"artefact '{pattern.text}' of '{writer.name}' can match '{path}', {what}",
            facts=[("declared in", writer.declared_in)],
            hint="narrow the pattern, or write to another folder",
        )
        for path, what in paths.items()
        for pattern, writer in writers.matching(path)
    ]


def _reads_its_own(tasks: Sequence[Task]) -> list[NbbuildError]:
    """Return an error for each asset that is exactly what its own task writes."""
    return [
        ConfigError(
            f"asset '{asset.text}' of '{task.name}' is also its own artefact",
            facts=[("declared in", task.declared_in)],
            hint="a run begins without its artefacts: remove one of the two",
        )
        for task in tasks
        for asset in map(Pattern.parse, task.assets)
        if asset.literal and makes(task, asset.path)
    ]


def _reads_a_page(
    tasks: Sequence[Task], begins_inside: Callable[[Pattern], bool]
) -> list[NbbuildError]:
    """Return an error for each asset, or [environment] file, that can match a page."""
    read: dict[str, tuple[str, str]] = {}  # a pattern → what it is, and where it is declared
    for task in tasks:
        for text in task.files:
            said = f"[environment] file '{text}'"
            read.setdefault(text, (said, "jcache.toml, [environment] files"))
        for text in task.assets:
            read.setdefault(text, (f"asset '{text}' of '{task.name}'", task.declared_in))
    patterns = [(Pattern.parse(text), said) for text, said in read.items()]
    patterns = [one for one in patterns if begins_inside(one[0])]
    if not patterns:
        return []
    pages = _Writers([(Pattern.parse(escape(task.page)), task) for task in tasks])
    return [
        ConfigError(
            f"{what} can match '{met[0][1].page}', the page of '{met[0][1].name}'",
            facts=[("declared in", where)],
            hint="a page is rendered after the notebooks that are ready, so none can rest on it: "
            "narrow the pattern, for example to '*.ipynb'",
        )
        for pattern, (what, where) in patterns
        if (met := pages.meeting(pattern))
    ]


def _scratch_that_counts(
    tasks: Sequence[Task], writers: _Writers, paths: Mapping[str, str]
) -> list[NbbuildError]:
    """Return an error for each scratch pattern that can match an artefact or one of `paths`."""
    scratch: dict[str, Task] = {}
    for task in tasks:
        for text in task.scratch:
            scratch.setdefault(text, task)
    if not scratch:
        return []
    errors: list[NbbuildError] = []
    for text, task in scratch.items():
        pattern = Pattern.parse(text)
        made = [
            (met.text, f"an artefact of '{maker.name}'") for met, maker in writers.meeting(pattern)
        ]
        met_paths = [(path, what) for path, what in paths.items() if matches(pattern, path)]
        for path, what in [*made, *met_paths][:1]:
            errors.append(
                ConfigError(
                    f"scratch '{text}' of '{task.name}' can match '{path}', {what}",
                    facts=[("declared in", task.declared_in)],
                    hint="narrow the pattern: scratch is removed before each run",
                )
            )
    return errors


def _writes_what_all_need(
    tasks: Sequence[Task], met_by: Callable[[Pattern], list[tuple[Pattern, Task]]]
) -> list[NbbuildError]:
    """Return an error for each of [environment] `files` that a task can write: that is a cycle."""
    files = dict.fromkeys(text for task in tasks for text in task.files)
    return [
        ConfigError(
            f"every notebook needs '{text}', which '{writer.name}' writes"
            if text == pattern.text
            else f"every notebook needs '{text}', which '{pattern.text}' of '{writer.name}' "
            "can match",
            facts=[
                ("declared in", "jcache.toml, [environment] files"),
                ("and in", writer.declared_in),
            ],
            hint="remove one of the two; a notebook that reads the file can name it in `assets`",
        )
        for text in files
        for pattern, writer in met_by(Pattern.parse(text))
    ]


def is_made(graph: Graph, name: str, asset: str) -> bool:
    """Whether a task upstream of `name` can make what the pattern `asset` matches.

    A task's own output is not its asset: its run begins without that.
    """
    pattern = Pattern.parse(asset)
    return any(
        can_meet(pattern, Pattern.parse(made))
        for maker in graph.upstream(name)
        for made in (*graph.tasks[maker].artefacts, escape(graph.tasks[maker].built))
    )


def makes(task: Task, path: str) -> bool:
    """Whether the artefact patterns of `task` match the file `path`."""
    return any(matches(Pattern.parse(text), path) for text in task.artefacts)
