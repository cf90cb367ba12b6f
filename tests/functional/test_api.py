"""nbbuild as a library: sessions, plans, builds, and what an observer is told."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nbbuild
from nbbuild import OutcomeKind, Verdict
from nbbuild.errors import ConfigError, StoreError, UsageError
from nbbuild.events import CellStarted, Ended, Planned, Started

CHAIN = """[[notebook]]
path = "prepare.ipynb"
artefacts = ["mid.txt"]

[[notebook]]
path = "report.ipynb"
assets = ["mid.txt"]
"""


def chain(project):
    project.config(CHAIN)
    project.notebook("prepare.ipynb", "open('mid.txt', 'w').write('x')")
    project.notebook("report.ipynb", "print(open('mid.txt').read())")


def test_importing_nbbuild_imports_nothing_heavy():
    code = (
        "import json, sys, nbbuild; nbbuild.__version__; names = dir(nbbuild); "
        "print(json.dumps([names, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, modules = json.loads(done.stdout)
    heavy = {"click", "doit", "jupytext", "msgspec", "nbclient", "nbformat", "networkx", "rich"}
    assert heavy & set(modules) == set()
    assert [name for name in modules if name.startswith("nbbuild.")] == ["nbbuild.version"]
    assert {"build", "load", "plan", "Plan", "Report", "Session", "Store"} <= set(names)
    assert all(getattr(nbbuild, name) is not None for name in names)
    with pytest.raises(AttributeError, match="module 'nbbuild' has no attribute 'bild'"):
        nbbuild.bild  # noqa: B018


def test_a_session_plans_and_builds_and_tells_an_observer_in_order(project):
    chain(project)
    events = []
    with nbbuild.open_session(project.root) as session:
        assert isinstance(session, nbbuild.Session)
        assert session.root == project.root
        plan = session.plan()
        assert [(one.task, one.verdict) for one in plan.judgements] == [
            ("prepare.ipynb", Verdict.RUN),
            ("report.ipynb", Verdict.WAIT),
        ]
        assert not plan.fresh
        assert not project.exists(".nbbuild")
        report = nbbuild.build(session, jobs=1, observer=events.append)

    assert isinstance(report, nbbuild.Report)
    assert (report.exit_status, report.interrupted) == (0, False)
    kinds = {outcome.task: outcome.kind for outcome in report.outcomes}
    assert kinds == dict.fromkeys(("prepare.ipynb", "report.ipynb"), OutcomeKind.EXECUTED)
    assert events[0] == Planned(2, 2, 1, {})
    told = [event.outcome.task if isinstance(event, Ended) else event for event in events[1:]]
    assert told == [
        step
        for name in ("prepare.ipynb", "report.ipynb")
        for step in (Started(name, 2), CellStarted(name, 1, 2), CellStarted(name, 2, 2), name)
    ]

    events.clear()
    with nbbuild.open_session(project.root) as session:
        plan = session.plan(["report.ipynb"])
        assert plan.fresh
        assert plan["report.ipynb"].record.task == "report.ipynb"
        report = nbbuild.build(session, targets=["prepare.ipynb"], observer=events.append)
    assert [outcome.kind for outcome in report.outcomes] == [OutcomeKind.FRESH]
    assert [type(event) for event in events] == [Planned, Ended]
    assert project.ran() == ["prepare", "report"]


def test_errors_are_raised_and_have_their_parts(project):
    with pytest.raises(ConfigError) as missing:
        nbbuild.open_session(project.root)
    nowhere = f"there is no 'jcache.toml' in '{project.root}' or in a folder above it"
    assert missing.value.what == nowhere
    project.config("")
    project.notebook("a.ipynb")
    with nbbuild.open_session(project.root) as session:
        for ask in (session.plan, lambda words: nbbuild.build(session, targets=words)):
            with pytest.raises(UsageError) as unknown:
                ask(["aa.ipynb"])
            assert unknown.value.what == "there is no notebook, task, artefact or group 'aa.ipynb'"
            assert unknown.value.hint == "did you mean 'a.ipynb'?"
    assert not project.exists(".nbbuild")


def test_threads_and_a_running_event_loop_can_build_at_once(project):
    chain(project)

    def build():
        with nbbuild.open_session(project.root) as session:
            return nbbuild.build(session, jobs=2)

    async def within_a_loop():
        other = threading.Thread(target=lambda: reports.append(build()))
        other.start()
        # As in a notebook, whose cells run inside a loop.
        reports.append(build())
        await asyncio.to_thread(other.join)

    reports = []
    project.log.write_text("")
    asyncio.run(within_a_loop())
    assert [report.exit_status for report in reports] == [0, 0]
    assert project.ran() == ["prepare", "report"]


def test_a_folder_does_for_a_project_and_a_word_for_targets(project):
    chain(project)
    assert [one.verdict for one in nbbuild.plan(project.root, "report.ipynb").judgements] == [
        Verdict.RUN,
        Verdict.WAIT,
    ]
    report = nbbuild.build(str(project.root), "prepare.ipynb")
    assert [one.task for one in report.outcomes] == ["prepare.ipynb"]
    assert nbbuild.build().outcomes[1].kind is OutcomeKind.EXECUTED  # of the current folder
    assert nbbuild.plan().fresh
    assert not nbbuild.plan(force=True).fresh
    assert project.ran() == ["prepare", "report"]


def test_a_loaded_project_sees_what_changed_since(project):
    chain(project)
    with nbbuild.load(project.root) as loaded:
        nbbuild.build(loaded)
        assert nbbuild.plan(loaded).fresh
        project.notebook("report.ipynb", "print(open('mid.txt').read() * 2)")
        assert [one.verdict for one in nbbuild.plan(loaded).judgements] == [
            Verdict.FRESH,
            Verdict.RUN,
        ]
        nbbuild.build(loaded)
        (project.root / "mid.txt").write_text("altered")
        report = nbbuild.build(loaded)
    assert [one.kind for one in report.outcomes] == [OutcomeKind.RESTORED, OutcomeKind.FRESH]
    assert project.ran() == ["prepare", "report", "report"]
    assert project.shown("report.ipynb") == "xx\n"


def held(project, gate):
    """Write a project whose first notebook waits at the gate and whose second comes after."""
    project.config('[[notebook]]\npath = "b.ipynb"\ndepends_on = ["a.ipynb"]')
    project.notebook("a.ipynb", gate.code, "print('passed')")
    project.notebook("b.ipynb")


def kernel_is_gone(gate):
    """Whether what was held has closed its end, which only its own end does."""
    (connection,) = gate._held
    connection.settimeout(60)
    return connection.recv(1) == b""


def test_cancelling_a_task_ends_its_kernels_before_it_comes_back(project, gate):
    held(project, gate)
    seen = []

    async def program():
        loop, ours = asyncio.get_running_loop(), threading.get_ident()

        def tell(event):
            assert threading.get_ident() == ours
            seen.append(type(event))

        work = asyncio.create_task(nbbuild.build_async(project.root, observer=tell))
        await loop.run_in_executor(None, gate.wait)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert kernel_is_gone(gate)

    asyncio.run(program())
    assert seen[:4] == [Planned, Started, CellStarted, CellStarted]
    assert project.ran() == ["a"]
    assert not project.exists("_build")
    gate.close()

    async def again():
        return await nbbuild.build_async(project.root)

    assert asyncio.run(again()).exit_status == 0
    assert project.ran() == ["a", "a", "b"]


def test_a_thread_is_told_to_stop_by_an_event(project, gate):
    held(project, gate)
    reports = []
    cancelled = threading.Event()
    work = threading.Thread(
        target=lambda: reports.append(nbbuild.build(project.root, cancelled=cancelled))
    )
    work.start()
    gate.wait()
    cancelled.set()
    work.join()
    (report,) = reports
    assert (report.interrupted, report.exit_status) == (True, 130)
    assert [one.kind for one in report.outcomes] == [OutcomeKind.CANCELLED] * 2
    assert kernel_is_gone(gate)
    assert project.ran() == ["a"]

    # Set from the start, nothing runs at all.
    report = nbbuild.build(project.root, cancelled=cancelled)
    assert report.interrupted
    assert project.ran() == ["a"]


def test_errors_of_an_asynchronous_build_come_out(project):
    with pytest.raises(ConfigError, match=r"there is no 'jcache.toml'"):
        asyncio.run(nbbuild.build_async(project.root))


def test_a_store_gives_what_runs_left(project):
    chain(project)
    with pytest.raises(StoreError) as none:
        nbbuild.Store(project.root / ".nbbuild/store")
    assert str(none.value) == (
        f"there is no cache in '{project.root}/.nbbuild/store'\n\n"
        "hint: the first build makes it; `nbbuild cache path` prints its folder"
    )
    nbbuild.build()
    project.notebook("prepare.ipynb", "open('mid.txt', 'w').write('later')")
    nbbuild.build()

    store = nbbuild.Store(project.root / ".nbbuild/store")
    assert store.path == project.root / ".nbbuild/store"
    printed = Path(project.nbbuild("cache", "path").out.strip())
    assert nbbuild.Store(printed).path == store.path
    assert len(store.records()) == 4
    newest, oldest = store.records("prepare.ipynb")
    assert newest.created > oldest.created
    assert store.record(newest.id) == newest
    assert [store.artefact(one, "mid.txt") for one in (newest, oldest)] == [b"later", b"x"]
    assert [cell.source for cell in store.cells(oldest)][1] == "open('mid.txt', 'w').write('x')"
    assert store.cells(oldest)[1].outputs[0]["data"] == {"text/plain": "1"}

    with pytest.raises(UsageError, match=r"there is no record 'none'"):
        store.record("none")
    assert store.record(newest.id[:12]) == newest
    nbbuild.build(force=True)
    with pytest.raises(UsageError, match=rf"2 records begin with '{newest.id[:12]}'"):
        store.record(newest.id[:12])
    with pytest.raises(UsageError) as other:
        store.artefact(oldest, "other.txt")
    assert str(other.value) == (
        f"the record '{oldest.id}' has no artefact 'other.txt'\n  artefacts: mid.txt"
    )

    assert store.restore(oldest, "mid.txt", project.root / "copy/mid.txt")
    assert project.read("copy/mid.txt") == "x"
    blob = next(printed.glob(f"blobs/??/{oldest.artefacts[0].digest}"))
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    assert store.artefact(oldest, "mid.txt") is None
    assert not store.restore(oldest, "mid.txt", project.root / "other.txt")
    next(printed.glob(f"blobs/??/{oldest.cells}")).unlink()
    assert store.cells(oldest) is None
