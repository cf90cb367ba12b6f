"""Say what became of a jcache.toml, for the verbs that edit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbbuild.cli.render import emit, say

if TYPE_CHECKING:
    from nbbuild.verbs.edit import Edited


def tell(edited: Edited, *, as_json: bool) -> None:
    """Write what changed: a line for each notebook on stderr, or JSON on stdout."""
    if as_json:
        emit(
            {
                "file": str(edited.file),
                "created": edited.created,
                "changed": edited.changed,
                "copy": str(edited.copy) if edited.copy else None,
                "notebooks": [
                    {"notebook": text, "changes": list(changes)}
                    for text, changes in edited.notebooks.items()
                ],
                "notes": list(edited.notes),
            }
        )
        return
    if edited.copy:
        say(f"kept the old one as '{edited.copy.name}'")
    if edited.created:
        say(f"wrote '{edited.file}'")
    for text, changes in edited.notebooks.items():
        say(f"{text}: {'; '.join(changes) or 'nothing to change'}")
    for note in edited.notes:
        say(f"note: {note}")
