"""Pages are rendered after their notebooks, in the same run of the scheduler."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from nbbuild.building.rendering import Pages, Steps, is_page
from nbbuild.building.scheduling import scheduler
from nbbuild.errors import NbbuildError
from nbbuild.model import Task
from nbbuild.project.graph import link


class Disk:
    """Notebooks and pages in memory; `did` is what happened, in order."""

    def __init__(self, *, failing=(), unrenderable=()):
        self.did, self.built, self.pages, self.stopped = [], {}, {}, []
        self._failing, self._unrenderable = failing, unrenderable

    # what the pages need of the tree

    def outputs_lock(self, task, upstream, *, on_wait, cancelled):
        return nullcontext()

    def page_in_order(self, task, made_from):
        return self.pages.get(task.name) == made_from

    def write_page(self, task, data, made_from):
        self.pages[task.name] = made_from
        return ()

    def remove_page(self, task):
        self.pages.pop(task.name, None)

    # what renders

    def render(self, notebook, title):
        self.did.append(f"{title}.html")
        if title in self._unrenderable:
            raise NbbuildError("no")
        return b""

    def close(self):
        self.did.append("end")

    # what builds

    def act(self, name):
        self.did.append(name)
        if name not in self._failing:
            self.built[f"/root/out/{name}.ipynb"] = f"digest of {name}"
        return name not in self._failing

    def blocked(self, name):
        self.stopped.append(name)


def run(disk, *, fresh=(), also=()):
    """Build and render a → b, and c."""
    graph = link(
        [
            Task(name="a", source="a.ipynb", built="out/a.ipynb"),
            Task(name="b", source="b.ipynb", built="out/b.ipynb", depends_on=("a",)),
            Task(name="c", source="c.ipynb", built="out/c.ipynb"),
        ],
        output="out",
    )
    pages = Pages(
        root=Path("/root"),
        tasks=graph.tasks,
        tree=disk,
        digest=disk.built.get,
        identity="one",
    )
    names = [name for name in graph.order if name not in also]
    steps = pages.with_steps(
        Steps(
            graph.upstream, fresh.__contains__, disk.act, lambda name, by: disk.stopped.append(name)
        )
    )
    with (
        pages.rendered_by(disk, settled=also, observer=print, cancelled=threading.Event()),
        ThreadPoolExecutor(1) as executor,
    ):
        scheduler.run(
            [*names, *pages.steps_for(names)],
            steps.upstream,
            up_to_date=steps.up_to_date,
            act=steps.act,
            blocked=steps.blocked,
            executor=executor,
            slots=1,
            priority={},
            singly=is_page,
        )
    return pages


def test_pages_come_after_the_notebooks_that_are_ready():
    disk = Disk()
    pages = run(disk)
    assert disk.did == ["a", "c", "b", "a.html", "c.html", "b.html", "end"]
    assert (pages.written, pages.problems) == (3, [])
    assert pages.due(["a", "b", "c"]) == []
    disk.built["/root/out/b.ipynb"] = "another"
    assert pages.due(["a", "b", "c"]) == ["b"]


def test_a_failure_has_no_page_and_stops_no_other():
    disk = Disk(failing=("a",), unrenderable=("c",))
    disk.pages["c"] = "an older one"
    pages = run(disk)
    assert disk.did == ["a", "c", "c.html", "end"]
    assert disk.stopped == ["b"]
    assert (disk.pages, pages.written) == ({}, 0)
    assert pages.problems == ["'out/c.ipynb' was not rendered to HTML: no"]


def test_a_notebook_that_is_up_to_date_may_lack_its_page():
    disk = Disk()
    disk.built = {f"/root/out/{name}.ipynb": name for name in "abc"}
    disk.pages["a"] = "a one"
    run(disk, fresh=("b", "c"), also=("a",))
    assert disk.did == ["b.html", "c.html", "end"]
