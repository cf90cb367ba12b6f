"""The formats in which a report can be written, each imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from nbbuild.disk.durable import write
from nbbuild.report.document import Document
from nbbuild.report.kept import ReportFolder

FORMATS: Final[Mapping[str, str]] = {
    "html": "page",
    "junit": "junit",
    "markdown": "markdown",
    "trace": "chrome_trace",
}
"""Format → the module here that has its `render(document, earlier)`."""

Render = Callable[[Document, Collection[Document]], str]


def rendered(name: str, document: Document, kept: ReportFolder) -> bytes:
    """Return a report in the format `name`; `kept` are the reports of builds before and after."""
    render: Render = importlib.import_module(f"nbbuild.report.{FORMATS[name]}").render
    earlier = [one for one in kept.readable() if one.id < document.id] if name == "html" else []
    return render(document, earlier).encode("utf-8", "backslashreplace")


def write_files(
    document: Document,
    wanted: Mapping[str, str],
    *,
    root: Path,
    kept: ReportFolder,
    protected: Collection[str] = (),
) -> Iterator[str]:
    """Write a report where `wanted` (format → path) says, and yield a sentence for each failure.

    No file of `protected` is overwritten.
    """
    for name, path in wanted.items():
        if path in protected:
            yield f"the {name} report was not written: '{path}' is a notebook"
            continue
        try:
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            write(place, rendered(name, document, kept), sync=False)
        except OSError as error:
            reason = error.strerror or str(error)
            yield f"the {name} report was not written to '{path}': {reason}"


def add_to_summary(document: Document, place: str) -> None:
    """Add a report as Markdown to the file `place`. Raises OSError."""
    from nbbuild.report.markdown import render

    with Path(place).open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(render(document, ()))
