"""A project to initialise."""

import pytest

IPYNB = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
MYST = "---\nkernelspec:\n  name: python3\n---\n\n```{code-cell}\n1\n```\n"
SCRIPT = "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n1\n"


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Write files in the current folder: notebooks by their suffix, and texts by name."""
    monkeypatch.chdir(tmp_path)

    def make(*paths, **texts):
        for path in paths:
            text = IPYNB if path.endswith(".ipynb") else SCRIPT if path.endswith(".py") else MYST
            texts.setdefault(path, text)
        for path, text in texts.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make
