"""Which code cells a run skips, by any of the marks that authors use.

A cell is switched off by

- the tag `skip-execution`, as in Jupyter Book, nbclient and mystmd;
- the chunk option `eval=FALSE` of R Markdown, which Jupytext reads as metadata;
- an option comment at its top, `#| eval: false`, as in Quarto, nbdev and knitr.

All other modules ask this one. A condition, such as knitr's `eval=interactive()`, is not
evaluated: such a cell runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TAG = "skip-execution"

# Quarto writes `#|` in Python, R and Julia, `//|` in JavaScript, `--|` in SQL; nbdev also `# |`.
_OPTION = re.compile(r"[ \t]*(?:#|//|--|%|;+)[ \t]*\|(?P<said>.*)")
# YAML as Quarto's Python and R read it (1.1), nbdev's words, and knitr's `eval = FALSE`.
_OFF = re.compile(
    r"""[ ]*eval[ ]*:[ ]*(?P<quote>["']?)(?:false|no|off)(?P=quote)[ ]*(?:[ ]\#.*)?$""", re.I | re.X
)
_EVAL = re.compile(r"\s*eval\s*[:=]")
_OFF_IN_R = re.compile(r"(?:^|,)\s*eval\s*=\s*(?:FALSE|F)\s*(?:,|$)")


def is_skipped(cell: Mapping[str, Any]) -> bool:
    """Return whether a run leaves the code cell `cell` alone, so that its old outputs stay."""
    metadata, source = cell["metadata"], cell["source"]
    return (
        TAG in metadata.get("tags", ())
        or metadata.get("eval") is False
        or (isinstance(source, str) and is_switched_off(source))  # it may not be a notebook yet
    )


def is_switched_off(source: str) -> bool:
    """Return whether the options at the top of a cell's `source` switch it off.

    Options end at the first line of any other kind. The last of several `eval` options counts.
    """
    if "eval" not in source:  # thousands of cells are checked, and few have it
        return False
    off = False
    for line in source.splitlines():
        option = _OPTION.match(line)
        if option is None:
            if line.strip():
                break
            continue
        said = option["said"].rstrip()
        if _OFF.match(said) or _OFF_IN_R.search(said):
            off = True
        elif _EVAL.match(said):
            off = False
    return off
