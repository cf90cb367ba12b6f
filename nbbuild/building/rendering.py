"""Render the built notebooks to HTML: tasks of the same build, each after that of its notebook.

A page is written beside the built notebook, and written again only when that or the program that
renders has changed. It takes one of the build's slots, and goes after every notebook that is ready.
One page is rendered at a time: one process renders them all, so others would only hold slots. If a
notebook fails, its page goes with its built notebook. If a page cannot be rendered, that is a
problem of the build; the notebook's result is not touched by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from nbbuild.disk.locks import Cancelled
from nbbuild.errors import NbbuildError
from nbbuild.events import Noted, Observer, silent
from nbbuild.export import html
from nbbuild.model import Digest, Task
from nbbuild.session import Session
from nbbuild.tree import Tree

_MARK = "\0html"  # no task's name holds a NUL


@dataclass(frozen=True, slots=True)
class Steps:
    """What a scheduler asks about tasks and does with them, by their names."""

    upstream: Callable[[str], Sequence[str]]
    up_to_date: Callable[[str], bool]
    act: Callable[[str], bool]
    blocked: Callable[[str, str], None]


class _Renderer(Protocol):
    """Makes a page; see export.html.Renderer."""

    def render(self, notebook: Path, title: str) -> bytes:
        """Return the page of a notebook."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Pages:
    """The pages of one build; `render` is called from any thread."""

    def __init__(
        self,
        *,
        root: Path,
        tasks: Mapping[str, Task],
        tree: Tree,
        digest: Callable[[str], Digest | None],
        identity: str,
    ) -> None:
        """`digest` is that of a file, by its absolute path; `identity` says who renders."""
        self._root = root
        self._tasks = tasks
        self._tree = tree
        self._digest = digest
        self._identity = identity
        self._lock = threading.Lock()
        self._renderer: _Renderer | None = None
        self._observer: Observer = silent
        self._cancelled = threading.Event()
        self.settled: Sequence[str] = ()
        self.written = 0
        self.problems: list[str] = []

    @classmethod
    def of(cls, session: Session) -> Pages | None:
        """Return the pages that `[project] render` wants, None if it wants none.

        Raises `ConfigError` if they cannot be rendered.
        """
        if not session.config.project.render:
            return None
        html.check()
        return cls(
            root=session.root,
            tasks=session.graph.tasks,
            tree=session.tree,
            digest=session.digests.digest,
            identity=html.identity(),
        )

    @contextmanager
    def rendered_by(
        self,
        renderer: _Renderer,
        *,
        settled: Sequence[str],
        observer: Observer,
        cancelled: threading.Event,
    ) -> Iterator[None]:
        """Render with `renderer`, which is closed at the end, and tell `observer`.

        `settled` are tasks with which nothing else is to do. Once `cancelled` is set, no page is
        waited for.
        """
        self._renderer, self._observer, self._cancelled = renderer, observer, cancelled
        self.settled = settled
        try:
            yield
        finally:
            renderer.close()

    def due(self, names: Iterable[str]) -> list[str]:
        """Return those tasks whose page does not show their built notebook as it is."""
        return [name for name in names if self._is_due(self._tasks[name])]

    def rests_on(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the files and folders that have to stay for no page to be due."""
        pages = (f"{self._root}/{self._tasks[name].page}" for name in names)
        return (*pages, *html.rests_on())

    def steps_for(self, names: Iterable[str]) -> list[str]:
        """Return the names of the steps that render the notebooks of these and settled tasks."""
        return [f"{name}{_MARK}" for name in dict.fromkeys([*names, *self.settled])]

    def with_steps(self, steps: Steps) -> Steps:
        """Return `steps` that also render: each page waits for the task of its notebook."""

        def upstream(name: str) -> Sequence[str]:
            return [_notebook(name)] if is_page(name) else steps.upstream(name)

        def up_to_date(name: str) -> bool:
            return not self.due([_notebook(name)]) if is_page(name) else steps.up_to_date(name)

        def act(name: str) -> bool:
            if not is_page(name):
                return steps.act(name)
            self._write(self._tasks[_notebook(name)])
            return True

        def blocked(name: str, by: str) -> None:
            if not is_page(name):
                steps.blocked(name, by)

        return Steps(upstream, up_to_date, act, blocked)

    def _is_due(self, task: Task) -> bool:
        made_from = self._made_from(task)
        return bool(made_from) and not self._tree.page_in_order(task, made_from)

    def _made_from(self, task: Task) -> str:
        """Return what identifies a page: its notebook and who renders it; "" without a notebook."""
        digest = self._digest(f"{self._root}/{task.built}")
        return "" if digest is None else f"{digest} {self._identity}"

    def _write(self, task: Task) -> None:
        """Render the page of a task, unless somebody else has; keep what goes wrong."""

        assert self._renderer is not None

        def waits(holder: str) -> None:
            self._observer(Noted(task.name, f"its page waits for {holder}"))

        try:
            # Nobody else may write its built notebook now, but others may read it.
            with self._tree.outputs_lock(
                f"{task.name}{_MARK}", [task.name], on_wait=waits, cancelled=self._cancelled
            ):
                made_from = self._made_from(task)
                if not made_from or self._tree.page_in_order(task, made_from):
                    return
                try:
                    title = PurePosixPath(task.built).stem
                    page = self._renderer.render(self._root / task.built, title)
                except NbbuildError:
                    self._tree.remove_page(task)  # it shows another notebook
                    raise
                notes = self._tree.write_page(task, page, made_from)
        except Cancelled:
            return
        except NbbuildError as error:
            with self._lock:
                self.problems.append(f"'{task.built}' was not rendered to HTML: {error}")
            return
        with self._lock:
            self.written += 1
        for note in notes:
            self._observer(Noted(task.name, note))


def is_page(name: str) -> bool:
    """Whether the step of this name renders a page."""
    return name.endswith(_MARK)


def _notebook(name: str) -> str:
    return name.removesuffix(_MARK)
