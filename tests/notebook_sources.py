"""Write the sources of notebooks: cells, and whole .ipynb files."""

import json

LOG = "import os\nwith open(os.environ['RUN_LOG'], 'a') as f: _ = f.write({name!r} + '\\n')"


def code(source, *, tags=(), **more):
    """Return a code cell."""
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "execution_count": None,
        "outputs": [],
        **more,
    }


def prose(source):
    """Return a markdown cell."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def ipynb(cells, *, kernel="python3", metadata=None):
    """Return the text of a notebook; plain strings are code."""
    whole = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, cell in enumerate(whole):
        cell.setdefault("id", f"cell-{number}")
    spec = {"name": kernel, "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": spec, **(metadata or {})},
            "cells": whole,
        },
        indent=1,
    )


def executed(*cells, start=1):
    """Return the text of an executed notebook: (source, output text) pairs, or whole cells."""
    whole, count = [], start
    for cell in cells:
        if not isinstance(cell, tuple):
            whole.append(cell)
            continue
        source, text = cell
        outputs = [{"output_type": "stream", "name": "stdout", "text": text}]
        whole.append(code(source, execution_count=count, outputs=outputs if text else []))
        count += 1
    return ipynb(whole)
