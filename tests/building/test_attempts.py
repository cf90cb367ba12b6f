"""What executes attempts: kernels here and elsewhere, and the fake, are told the same stories."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from nbformat.v4 import new_code_cell, new_notebook

import nbbuild
from nbbuild.building.assembly import Starting, builder_of
from nbbuild.building.fakes import FakeAttempts, WorkerLost
from nbbuild.building.from_session import preparing_of
from nbbuild.building.in_memory import action_of
from nbbuild.building.jobs import working
from nbbuild.building.jobs.futures import FutureJobs
from nbbuild.events import CellStarted
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.process import Launcher
from nbbuild.notebook.write import to_bytes

CODE = {
    "well": "print('shown')",
    "fails": "raise ValueError('no')",
    "is lost": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "goes on": "print('begun')\nwhile True:\n    pass",
}


class Local:
    """Attempts by kernels of this machine, in a project."""

    jobs = None

    def __init__(self, project):
        project.config("[project]\nnotebooks = ['a.ipynb']\n")
        project.notebook("a.ipynb", "1")
        self.session = nbbuild.open_session(project.root)
        self.launcher = Launcher()
        self.preparing = preparing_of(self.session, threads=0)
        starting = Starting(
            launcher=self.launcher,
            room=Room(0, held=int),
            preparing=self.preparing,
            jobs=self.jobs,
        )
        judge = self.session.judge()
        builder = builder_of(
            self.session,
            judge,
            starting,
            observer=lambda event: None,
            cancelled=threading.Event(),
        )
        self.attempts = builder.attempt.attempts

    def __call__(self, story, **more):
        (task,) = self.session.tasks
        notebook = new_notebook(cells=[new_code_cell(CODE[story], id="cell")])
        action = self.preparing.action(task, to_bytes(notebook))
        return self.attempts(pickle.loads(pickle.dumps(action)), **more)

    def close(self):
        self.launcher.__exit__(None, None, None)
        self.session.__exit__(None, None, None)


class Elsewhere(Local):
    """Attempts by a worker, which has its own kernels; here it is a thread of this process."""

    def __init__(self, project):
        self.jobs = FutureJobs(ThreadPoolExecutor(1))
        super().__init__(project)

    def close(self):
        super().close()
        self.jobs.close()
        working.leave()


class Fake:
    """Attempts by functions."""

    def __init__(self, project):
        self.cancelled = threading.Event()
        functions = {
            "well": lambda files: "shown",
            "fails": self._fails,
            "is lost": self._is_lost,
            "goes on": lambda files: self.cancelled.wait(60),
        }
        self.attempts = FakeAttempts(functions, {})

    def __call__(self, story, *, cancelled, observer):
        self.cancelled = cancelled
        action = pickle.loads(pickle.dumps(action_of(story)))
        return self.attempts(action, cancelled=cancelled, observer=observer)

    def _fails(self, files):
        raise ValueError("no")

    def _is_lost(self, files):
        raise WorkerLost("node 7")

    def close(self):
        pass


@pytest.fixture(params=[Local, Elsewhere, Fake])
def attempt(request, project):
    """Executes one story; returns what became of it, and what was told of it meanwhile."""
    executes = request.param(project)

    def run(story, *, on=lambda event, cancelled: None):
        told, cancelled = [], threading.Event()

        def observer(event):
            told.append(event)
            on(event, cancelled)

        return executes(story, cancelled=cancelled, observer=observer), told

    yield run
    executes.close()


def test_one_that_ends_well_brings_its_outputs(attempt):
    done, _ = attempt("well")
    assert (done.failure, done.cancelled) == (None, False)
    (cell,) = done.cells.cells
    assert [output["text"].strip() for output in cell.outputs] == ["shown"]
    assert len(done.cell_seconds) == 1


def test_progress_is_told_beside_it(attempt):
    _, told = attempt("well")
    (event,) = told
    assert isinstance(event, CellStarted)
    assert (event.number, event.total) == (1, 1)


def test_an_error_is_a_failure_in_its_cell(attempt):
    done, _ = attempt("fails")
    assert done.failure.kind == "error"
    assert "ValueError: no" in done.failure.message
    assert (done.failure.cell, done.failure.execution_count) == (0, 1)


def test_what_executes_it_may_be_lost(attempt):
    done, _ = attempt("is lost")
    assert done.failure.kind == "died"
    assert not done.cancelled


def test_cancelling_ends_it(attempt):
    done, told = attempt("goes on", on=lambda event, cancelled: cancelled.set())
    assert done.cancelled
    assert len(told) == 1


def test_what_became_of_it_can_be_pickled(attempt):
    done, _ = attempt("well")
    assert pickle.loads(pickle.dumps(done)) == done
