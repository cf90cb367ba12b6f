"""Hide optional packages that nbbuild has no use for from the libraries that it imports.

Each of these libraries does without when a package is not installed. They are shown again before
the code of anybody else is loaded: a reader, an executor.
"""

from __future__ import annotations

import sys

# jsonschema, as nbformat imports it, where JupyterLab has brought these along. The first compiles
# 39 grammars, which takes longer than to load all of nbbuild, the others take a fifth of the time
# of nbformat, and nobody here checks an IRI, a date or a colour.
_FORMATS = ("rfc3987_syntax", "isoduration", "rfc3986_validator", "uri_template", "webcolors")

# Jupytext, where Jupyter's server is installed: twice as long as to import all else of it.
_MANAGERS = tuple(
    f"jupytext.{name}"
    for name in ("contentsmanager", "sync_contentsmanager", "async_contentsmanager")
)


def hide() -> None:
    """Let them look as if they were not installed."""
    for name in (*_FORMATS, *_MANAGERS):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def show() -> None:
    """Let them be imported again."""
    for name in (*_FORMATS, *_MANAGERS):
        if name in sys.modules and sys.modules[name] is None:
            del sys.modules[name]
