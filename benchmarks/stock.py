"""Execute notebooks with stock nbclient: `python stock.py JOBS NOTEBOOK…`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def execute(name: str) -> None:
    """Execute one notebook in its folder, and keep nothing."""
    notebook = nbformat.read(name, as_version=4)
    folder = str(Path(name).parent)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()


if __name__ == "__main__":
    with ThreadPoolExecutor(int(sys.argv[1])) as pool:
        list(pool.map(execute, sys.argv[2:]))
