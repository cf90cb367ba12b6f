"""A report as JUnit XML, as Jenkins' junit-10.xsd has it and CI systems read it.

One suite for the build, one case for each task. A failed notebook is a `failure` with its
traceback; what is nbbuild's own fault is an `error`, as is a problem that belongs to no task; a
blocked or cancelled task is `skipped`. A task with nothing to do is a case that took no time.
Characters that XML cannot hold are written out as escapes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from xml.sax.saxutils import escape, quoteattr

from nbbuild.model import OutcomeKind
from nbbuild.report.document import Document, TaskRun
from nbbuild.text.printable import clean

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = (OutcomeKind.BLOCKED.value, OutcomeKind.CANCELLED.value)


def render(document: Document, earlier: Collection[Document] = ()) -> str:
    """Return the XML of a report."""
    cases = "".join([*map(_case, document.tasks), *map(_problem, document.problems)])
    counts = {
        "tests": len(document.tasks) + len(document.problems),
        "failures": sum(_is_failure(one) for one in document.tasks),
        "errors": sum(_is_error(one) for one in document.tasks) + len(document.problems),
    }
    skipped = sum(one.outcome in _SKIPPED for one in document.tasks)
    totals = " ".join(f'{name}="{count}"' for name, count in counts.items())
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(document.began))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="nbbuild" {totals} time="{document.seconds:.3f}">\n'
        f"  <testsuite name={_quoted(document.project or 'nbbuild')} {totals} "
        f'skipped="{skipped}" time="{document.seconds:.3f}" timestamp="{when}">\n'
        f"    <properties>\n{''.join(_properties(document))}    </properties>\n"
        f"{cases}"
        "  </testsuite>\n</testsuites>\n"
    )


def _properties(document: Document) -> Iterator[str]:
    said = {
        "nbbuild": document.nbbuild,
        "python": document.python,
        "report": document.id,
        "slots": str(document.slots),
        "exit_status": str(document.exit_status),
    }
    for name, value in said.items():
        yield f'      <property name="{name}" value={_quoted(value)}/>\n'


def _case(task: TaskRun) -> str:
    """Return one case; its class is the folder and name of the source, with dots."""
    name, dotted = _quoted(task.task), _quoted(_dotted(task.source))
    head = f'    <testcase name={name} classname={dotted} time="{task.seconds:.3f}"'
    inner = "".join(_inside(task))
    return f"{head}>\n{inner}    </testcase>\n" if inner else f"{head}/>\n"


def _problem(text: str) -> str:
    message = _quoted(text.partition("\n")[0])
    return (
        '    <testcase name="build" classname="nbbuild" time="0.000">\n'
        f'      <error type="problem" message={message}>{_text(text)}</error>\n'
        "    </testcase>\n"
    )


def _inside(task: TaskRun) -> Iterator[str]:
    if task.outcome in _SKIPPED:
        why = task.failure.message if task.failure else "; ".join(task.reasons) or task.outcome
        yield f"      <skipped message={_quoted(why)}/>\n"
    elif task.failure is not None:
        element = "error" if _is_error(task) else "failure"
        failure = task.failure
        where = f"{failure.where}: " if failure.where else ""
        parts = [f"{task.source}, {failure.where}" if failure.where else task.source]
        parts += [failure.source, failure.traceback]
        parts += [f"hint: {failure.hint}"] if failure.hint else []
        body = "\n\n".join(part for part in parts if part)
        message = _quoted(where + failure.message)
        yield f"      <{element} type={_quoted(failure.kind)} message={message}>"
        yield f"{_text(body)}</{element}>\n"
    said = [f"{task.outcome}: {reason}" for reason in task.reasons]
    said += [f"note: {note}" for note in task.notes]
    said += [f"{mark.kind}: {mark.text}" for mark in task.marks]
    if said:
        lines = "\n".join(said)
        yield f"      <system-out>{_text(lines)}</system-out>\n"


def _is_error(task: TaskRun) -> bool:
    return task.failure is not None and task.failure.kind == "internal"


def _is_failure(task: TaskRun) -> bool:
    return task.failure is not None and not _is_error(task) and task.outcome not in _SKIPPED


def _dotted(source: str) -> str:
    stem = source.rpartition(".")[0] or source
    return stem.replace("../", "").replace(".", "_").replace("/", ".")


def _xml(text: str) -> str:
    return _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", clean(text))


def _text(text: str) -> str:
    return escape(_xml(text))


def _quoted(text: str) -> str:
    return quoteattr(_xml(text))
