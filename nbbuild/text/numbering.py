"""What a cell is called everywhere: its place in the notebook, and its execution count.

"cell 5 (In [3])" is the fifth cell of the notebook, prose counted, and the third that runs; Jupyter
shows the latter beside it. In JSON the two are `position`, from 1, and `execution_count`.
"""

from __future__ import annotations


def named(position: int | None, count: int | None) -> str:
    """Return what a cell is called of which the one, the other or both are known."""
    if position is None:
        return "a cell" if count is None else f"In [{count}]"
    return f"cell {position}" if count is None else f"cell {position} (In [{count}])"
