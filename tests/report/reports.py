"""A report to try formats on: two chains on two slots, with a failure, and text from hell."""

from nbbuild.report.document import CellRun, Document, Failed, Mark, TaskRun, counted, critical_path

HOSTILE = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
)
CONTROLS = "a\x00b\x1b[31mc\x0bd\u202ee\ud800f\uffff]]>&<"


def cells(begin, *seconds):
    found = []
    for count, spent in enumerate(seconds, 1):
        found.append(CellRun(execution_count=count, position=count + 1, begin=begin, seconds=spent))
        begin += spent
    return tuple(found)


def ran(task, begin, end, *, slot=1, outcome="executed", **more):
    return TaskRun(
        task=task,
        source=more.pop("source", task),
        outcome=outcome,
        reasons=more.pop("reasons", ("it has not been run yet",)),
        begin=begin,
        end=end,
        seconds=end - begin,
        slot=slot,
        cells=cells(begin + 0.1, (end - begin) / 4, (end - begin) / 2),
        peak_memory=92_000_000,
        cpu_seconds=0.4,
        **more,
    )


TASKS = (
    ran("load.ipynb", 0.5, 2.5),
    ran(
        "clean.ipynb",
        2.5,
        4.0,
        upstream=("load.ipynb",),
        marks=(Mark("network", "it contacted example.org"),),
    ),
    ran(
        f"{HOSTILE}.ipynb",
        1.0,
        2.0,
        slot=2,
        outcome="failed",
        source=f"chapters/{CONTROLS}.ipynb",
        failure=Failed(
            kind="error",
            message=f"ValueError: {HOSTILE}{CONTROLS}",
            position=3,
            execution_count=2,
            traceback=f"Traceback\n```\n{HOSTILE}\n{CONTROLS}",
            hint=HOSTILE,
            source=f"raise ValueError({HOSTILE!r})",
        ),
        notes=(f"note {HOSTILE}",),
    ),
    TaskRun(
        task="late.ipynb",
        source="late.ipynb",
        outcome="blocked",
        reasons=("needs it, which failed",),
        upstream=(f"{HOSTILE}.ipynb",),
    ),
    TaskRun(task="old.ipynb", source="old.ipynb", outcome="fresh", saved=3.5),
    TaskRun(
        task="back.ipynb",
        source="back.ipynb",
        outcome="restored",
        begin=0.2,
        end=0.3,
        seconds=0.1,
        saved=7.0,
    ),
)


def document(tasks=TASKS, **more):
    said = {
        "id": "20261128T120000-000ff",
        "nbbuild": "0.1.0",
        "python": "3.11.7",
        "project": "book",
        "began": 1_795_867_200.0,
        "seconds": 4.2,
        "slots": 2,
        "exit_status": 1,
        **more,
    }
    return Document(tasks=tasks, counts=counted(tasks), critical_path=critical_path(tasks), **said)
