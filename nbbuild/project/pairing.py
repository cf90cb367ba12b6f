"""Which file in a Jupytext pair is the source of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nbbuild.errors import NotebookError
from nbbuild.model import Parsed
from nbbuild.notebook.loads import loaded_text
from nbbuild.project.readings import Readings


class Contents:
    """What the notebooks hold; errors of unreadable ones are kept, not raised."""

    def __init__(
        self, root: Path, readings: Readings, pair: Callable[[str, str], tuple[str, ...]]
    ) -> None:
        self.parsed: dict[str, Parsed] = {}
        self.unreadable: dict[str, NotebookError] = {}
        self._root = root
        self._readings = readings
        self._pair = pair

    def read(self, source: str) -> None:
        """Read the notebook `source`, and check that the files its cells load exist.

        The notebook's content is remembered, and those files may have vanished since.
        """
        if source in self.parsed or source in self.unreadable:
            return
        try:
            said = self.parsed[source] = self._readings.parsed(source)
            for cell in said.cells:
                if cell.load:
                    loaded_text(self._root, cell.load, wanted_by=f"a cell of '{source}'")
        except NotebookError as error:
            self.unreadable[source] = error

    def paired_with(self, source: str) -> tuple[str, ...]:
        """Return the other existing files in the Jupytext pair of `source`, which was read."""
        formats = self.parsed[source].formats if source in self.parsed else ""
        try:
            return self._pair(source, formats) if formats else ()
        except NotebookError as error:
            self.unreadable.setdefault(source, error)
            return ()


def pairs_of(
    sources: Sequence[str], contents: Contents, wanted: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    """Map the source of each task to the other files of its Jupytext pair.

    In a pair the text is the source, as in Jupytext, even if only its .ipynb is listed. A pair
    whose texts are all excluded is left out.
    """
    tasks: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    listed = set(sources)
    for source in sources:
        if source in taken:
            continue
        members = (source, *contents.paired_with(source))
        taken.update(members)
        # A text outside the root cannot be a source.
        texts = [m for m in members if not m.endswith(".ipynb") and not m.startswith("../")]
        candidates = [text for text in texts if wanted(text)] if texts else [source]
        if candidates:
            chosen = min(candidates, key=lambda path: path not in listed)
            contents.read(chosen)
            tasks[chosen] = tuple(sorted({*members} - {chosen}))
    return tasks
