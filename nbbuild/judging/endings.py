"""Say what a user should know of the files that a run found, changed and left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from nbbuild.config.values import quoted
from nbbuild.model import Failure, Record


def with_own(failure: Failure, own: Sequence[str]) -> Failure:
    """Return the failure of a run that read `own`, files that an earlier run of it had left."""
    if not own or failure.kind != "error":
        return failure
    hint = (
        f"it found {named(own)}, which an earlier run of it left; "
        f"to begin without: {line('scratch', own)}"
    )
    return msgspec.structs.replace(failure, hint="\n".join(filter(None, [failure.hint, hint])))


def products(record: Record, *, ignored: Callable[[str], bool]) -> list[str]:
    """Return what a run wrote undeclared and could declare as artefacts.

    Not what existed before, or was read before it was written: it would be taken away before the
    next run. Nor what version control is to leave out.
    """
    read = {item.name for item in record.trace.items if item.kind == "file"}
    others = {*record.altered, *record.own, *read}
    written = (file.path for file in record.undeclared)
    return [path for path in written if path not in others and not ignored(path)]


def rests_on(own: Sequence[str]) -> str:
    """Return the sentence on a result that rests on `own`, with the lines to choose from."""
    return (
        f"its result rests on {named(own)}, which an earlier run of it left; declare "
        f"{line('scratch', own)} to begin each run without, or {line('assets', own)} to keep it"
    )


def named(paths: Sequence[str]) -> str:
    """Return `paths` in quotes."""
    return ", ".join(f"'{path}'" for path in paths)


def line(key: str, values: Sequence[str]) -> str:
    """Return a line of jcache.toml."""
    return f"{key} = [{', '.join(quoted(value) for value in values)}]"


def keeping(paths: Sequence[str]) -> str:
    """Return the line that declares `paths` as artefacts, cut short if there are many."""
    listed = ", ".join(f'"{path}"' for path in paths[:5]) + (", …" if len(paths) > 5 else "")
    return f"artefacts = [{listed}]"
