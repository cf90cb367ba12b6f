"""Tell users about the files that a run found, changed and left."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

import msgspec

from nbbuild.config.values import quoted
from nbbuild.errors import internal, lacks_memory
from nbbuild.model import Failure, Record


def with_own(failure: Failure, own: Sequence[str]) -> Failure:
    """Return `failure` with a hint if the run read `own`, files left by an earlier run of it."""
    if not own or failure.kind != "error":
        return failure
    hint = (
        f"it found {named(own)}, left by an earlier run of it; "
        f"to start without {_it(own)}: {line('scratch', own)}"
    )
    return msgspec.structs.replace(failure, hint="\n".join(filter(None, [failure.hint, hint])))


def unforeseen(error: Exception, task: str) -> Failure:
    """Return the failure of `task` if nbbuild itself fails while it executes the task."""
    told = internal(error)
    if lacks_memory(error):
        return Failure.of("internal", told)
    trace = "".join(traceback.format_exception(error)).rstrip()
    hint = f"this is a bug, please report it with what `nbbuild show {task}` says"
    return Failure("internal", told.what, traceback=trace, hint=hint)


def products(record: Record, *, ignored: Callable[[str], bool]) -> list[str]:
    """Return the undeclared files that a run wrote and could declare as artefacts.

    Files that existed before, or were read before they were written, are left out: artefacts are
    removed before the next run. So are files that version control ignores.
    """
    read = {item.name for item in record.trace.items if item.kind == "file"}
    others = {*record.altered, *record.own, *read}
    written = (file.path for file in record.undeclared)
    return [path for path in written if path not in others and not ignored(path)]


def rests_on(own: Sequence[str]) -> str:
    """Return the sentence on a result that uses `own`, with the lines to choose from."""
    return (
        f"its result uses {named(own)}, left by an earlier run of it; declare "
        f"{line('scratch', own)} to start each run without {_it(own)}, "
        f"or {line('assets', own)} to keep {_it(own)}"
    )


def _it(paths: Sequence[str]) -> str:
    return "it" if len(paths) == 1 else "them"


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
