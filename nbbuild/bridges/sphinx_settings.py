"""What MyST-NB and nbsphinx have to be told, so that they show results and execute nothing.

Their settings in conf.py must be the same in every build: when one changes, Sphinx reads all pages
again. So what depends on results is set for each page as it is read.
"""

from __future__ import annotations

import glob
import importlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from nbbuild.errors import ConfigError

_UNSET = "--unset--"
"""The default of those names that MyST-NB's settings had before."""

MYST_NB_OUTPUT = "jupyter_execute"
"""The folder beside Sphinx's output in which MyST-NB writes executed notebooks."""

_READER = ("nbformat.reads", {"as_version": 4}, False)

MYST_NB, NBSPHINX = "myst-nb", "jupyter_notebook"
"""Sphinx's names for the files that MyST-NB and nbsphinx read."""


def check(config: Any, extensions: Iterable[str]) -> None:
    """Raise `ConfigError` if conf.py asks for what `nbbuild.sphinx` cannot do."""
    found = {
        "nb_execution_mode": ("myst_nb", ("auto", "cache", _UNSET)),
        "jupyter_execute_notebooks": ("myst_nb", ("auto", "cache", _UNSET)),
        "nbsphinx_execute": ("nbsphinx", ("auto", "never")),
    }
    for name, (extension, fitting) in found.items():
        value = getattr(config, name, fitting[0]) if extension in extensions else fitting[0]
        if value not in fitting:
            raise ConfigError(
                f"{name} is {value!r}, and nbbuild.sphinx needs {fitting[1]!r}",
                facts=[("set in", "conf.py, _config.yml or on the command line")],
                hint=f"remove {name}: nbbuild.sphinx sets it; or set nbbuild_execute = 'off'",
            )


def asked_cache(config: Any) -> Path | None:
    """Return where conf.py wants MyST-NB to look for results, None if it does not say."""
    for name in ("nb_execution_cache_path", "jupyter_cache"):
        value = getattr(config, name, "")
        if value and value != _UNSET:
            return Path(value).absolute()
    return None


def set_myst_nb(config: Any, cache: Path) -> None:
    """Have MyST-NB look for results in the jupyter-cache at `cache`."""
    config.nb_execution_mode = "cache"
    config.nb_execution_cache_path = str(cache)
    if getattr(config, "jupyter_execute_notebooks", _UNSET) != _UNSET:
        config.jupyter_execute_notebooks = "cache"


def set_nbsphinx(config: Any) -> None:
    """Have nbsphinx execute nothing, and take a built notebook in place of any text format."""
    config.nbsphinx_execute = "never"
    formats = {}
    for ending, given in config.nbsphinx_custom_formats.items():
        pair = not isinstance(given, str) and not callable(given)
        converter, more = given if pair else (given, {})
        told = {"converter": converter, "more": dict(more)}
        formats[ending] = (f"{converted.__module__}.{converted.__name__}", told)
    config.nbsphinx_custom_formats = formats


def hide(config: Any, folders: Iterable[Path], source: Path) -> None:
    """Keep what is in `folders` from being taken for pages, if they are below `source`."""
    for folder in folders:
        path = os.path.relpath(os.path.realpath(folder), os.path.realpath(source))
        pattern = glob.escape(Path(path).as_posix())
        if not path.startswith(os.pardir) and pattern not in config.exclude_patterns:
            config.exclude_patterns.append(pattern)


def file_type(config: Any, path: str) -> str:
    """Return Sphinx's name for the kind of a file, "" if it reads no such files."""
    endings: Mapping[str, str] = config.source_suffix
    return next((kind for ending, kind in endings.items() if path.endswith(ending)), "")


# -- for each page -----------------------------------------------------------------------------


class PerPage:
    """MyST-NB's settings, which are set anew for each page that is read."""

    def __init__(self, settings: Any) -> None:
        """`settings` are those that MyST-NB made of conf.py."""
        self._stored = settings
        self._off = settings.copy(execution_mode="off")

    def settings(self, path: str, *, stored: bool, replaced: bool) -> Any:
        """Return those for the page at `path`.

        Its outputs are `stored` in the jupyter-cache; or its text was `replaced` by a notebook.
        """
        if stored:
            return self._stored
        if not replaced:
            return self._off
        return self._off.copy(custom_formats={**self._off.custom_formats, path: _READER})


def text_of(notebook: Path | None, source: str) -> str:
    """Return the text that a page is to be read from: of `notebook`, else without outputs.

    `source` is the page's own text. Raises `ValueError` if either is no notebook.
    """
    node = nbformat.reads(source if notebook is None else notebook.read_text("utf-8"), as_version=4)
    if notebook is None:
        for cell in node.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
    # What a notebook says itself would win over the settings.
    node.metadata["mystnb"] = {**node.metadata.get("mystnb", {}), "execution_mode": "off"}
    node.metadata["nbsphinx"] = {**node.metadata.get("nbsphinx", {}), "execute": "never"}
    return str(nbformat.writes(node, version=nbformat.NO_CONVERT))


def converted(text: str, *, converter: Any, more: Mapping[str, Any]) -> NotebookNode:
    """Read a page for nbsphinx: a built notebook as it is, anything else as conf.py says."""
    if text.startswith("{"):
        try:
            if "nbformat" in json.loads(text):
                return nbformat.reads(text, as_version=4)
        except ValueError:
            pass
    if isinstance(converter, str):
        module, _, name = converter.rpartition(".")
        converter = getattr(importlib.import_module(module), name)
    return converter(text, **more)
