"""nbbuild as a library: sessions, plans, builds, and what an observer is told."""

import asyncio
import json
import subprocess
import sys
import threading

import pytest

import nbbuild
from nbbuild import OutcomeKind, Verdict
from nbbuild.errors import ConfigError, UsageError
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
    assert [name for name in modules if name.startswith("nbbuild.")] == []
    assert {"build", "open_session", "Plan", "Report", "Session", "Verdict"} <= set(names)
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
    assert missing.value.what == f"there is no 'jcache.toml' in '{project.root}'"
    project.config("")
    project.notebook("a.ipynb")
    with nbbuild.open_session(project.root) as session:
        for ask in (session.plan, lambda words: nbbuild.build(session, targets=words)):
            with pytest.raises(UsageError) as unknown:
                ask(["b.ipynb"])
            assert unknown.value.what == "there is no notebook, task, artefact or group 'b.ipynb'"
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
