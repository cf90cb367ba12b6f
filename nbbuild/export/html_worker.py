"""Render notebooks to HTML, one for each line on stdin; runs as a process of its own.

nbconvert takes long to load, and rendering takes Python's lock, which nbbuild needs for its
kernels. A line asks with JSON, `{"notebook": path, "title": text}`, and is answered by one,
`{"notebook": path, "html": text}`, or "error" instead of "html". The process ends when its stdin
does: with nbbuild, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from nbbuild import optional_imports


def main() -> None:
    """Answer every line."""
    # Else nbconvert takes four times as long to load.
    optional_imports.hide()
    from nbconvert.exporters.html import HTMLExporter

    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    exporter = HTMLExporter()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            answer = {"html": _html(exporter, asked["notebook"], asked["title"])}
        except Exception as error:  # noqa: BLE001 - one bad notebook is one bad answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        named = {"notebook": asked["notebook"], **answer}
        answers.write(json.dumps(named).encode() + b"\n")
        answers.flush()


def _html(exporter: Any, path: str, title: str) -> str:
    import nbformat

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - also names that are not UTF-8
        notebook = nbformat.read(file, as_version=4)
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return str(html)


if __name__ == "__main__":
    main()
