"""Every error a user sees: what happened, labelled facts, and what to do next."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

if sys.platform != "win32":
    import resource


class NbbuildError(Exception):
    """An error with three parts; `str()` gives the whole message.

    `what` is one sentence without a full stop. `facts` are (label, value) pairs, each shown on a
    line of its own. `hint` says what to do next. `exit_status` is what the command ends with.
    """

    exit_status = 3

    def __init__(self, what: str, *, facts: Iterable[tuple[str, str]] = (), hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.facts = tuple(facts)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  {label}: {value}" for label, value in self.facts]
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle their positional arguments only; these also have keyword-only parts.
        return (_rebuild, (type(self), self.what, self.facts, self.hint))


def _rebuild(
    kind: type[NbbuildError], what: str, facts: tuple[tuple[str, str], ...], hint: str
) -> NbbuildError:
    error = kind.__new__(kind)
    NbbuildError.__init__(error, what, facts=facts, hint=hint)
    return error


class UsageError(NbbuildError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_status = 2


class ConfigError(NbbuildError):
    """`jcache.toml`, or what it says together with the files there, cannot be right."""

    exit_status = 2


class NotebookError(NbbuildError):
    """One notebook cannot be read; it stops only the targets that need it."""

    exit_status = 2


class KernelError(NbbuildError):
    """A kernel is unknown, cannot be asked, or does not start."""

    exit_status = 2


class StoreError(NbbuildError):
    """The cache or nbbuild's own state cannot be read or written."""

    exit_status = 3


class OneTaskError(StoreError):
    """A place that one task needs, or its result, is unusable; no other task is concerned."""


class RemoteError(NbbuildError):
    """The remote cache does not answer, or not as it must; what is here can still be built.

    Its facts name the remote, the object and the reason, never credentials.
    """

    exit_status = 3


class RemoteRefused(RemoteError):
    """The remote cache demands other credentials than it was given."""


class Problems(NbbuildError):
    """Several errors at once, each whole; the exit status is the highest of theirs."""

    def __init__(self, errors: Sequence[NbbuildError]) -> None:
        super().__init__(f"{len(errors)} problems")
        self.errors = tuple(errors)
        self.exit_status = max(error.exit_status for error in errors)

    def __str__(self) -> str:
        return "\n\nerror: ".join(str(error) for error in self.errors)

    def __reduce__(self) -> tuple[object, ...]:
        return (Problems, (self.errors,))


def raised(error: Exception) -> str:
    """Return an exception as Python writes it below a traceback."""
    return "".join(traceback.format_exception_only(error)).strip()


def internal(error: Exception) -> NbbuildError:
    """Return an error that nobody foresaw as one that a user can read."""
    said = raised(error)
    if lacks_memory(error):
        return NbbuildError(
            "there is not enough memory for nbbuild itself",
            facts=[("reason", said)],
            hint="free some, raise the limits (`ulimit -v`, `ulimit -u`), or run fewer jobs (`-j`)",
        )
    return NbbuildError(
        f"nbbuild itself failed: {said}",
        hint="this is a bug, please report it; NBBUILD_DEBUG=1 shows the traceback",
    )


# Python has no exceptions of its own for threads, and for libraries that cannot be loaded.
_NO_MEMORY = (
    "can't start new thread",
    "failed to map segment from shared object",
    "cannot allocate memory",
)


def lacks_memory(error: Exception) -> bool:
    """Whether an error came because there was no memory, or no thread could be started."""
    if isinstance(error, SystemError):  # libraries that forget to say why they failed
        return _has_bound()
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in _NO_MEMORY)


def _has_bound() -> bool:
    """Whether this process may have only so much memory (`ulimit -v`)."""
    if sys.platform == "win32":
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def raise_all(errors: Sequence[NbbuildError]) -> None:
    """Raise nothing, the only error, or all of them as `Problems`: flat, and each once."""
    each = {str(one): one for error in errors for one in _flat(error)}
    if len(each) == 1:
        raise next(iter(each.values()))
    if each:
        raise Problems(tuple(each.values()))


def _flat(error: NbbuildError) -> Iterator[NbbuildError]:
    if isinstance(error, Problems):
        for one in error.errors:
            yield from _flat(one)
    else:
        yield error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest of `known`, or "" when nothing is near.

    Near is what `word` has a slip of: one wrong, missing, doubled or swapped letter for every three
    (cargo's measure), in each part of a path. A path is also near to its file name, with its
    suffix and without, and a word to the one that it begins.
    """
    words = sorted(known)
    named = [one for one in words if word in (PurePosixPath(one).name, PurePosixPath(one).stem)]
    if named:
        return f"did you mean '{named[0]}'?"
    far = len(word) + 1
    slips = [(_slips(word, one, far), one) for one in words]
    close = [(number, one) for number, one in slips if number < far]
    if close:
        return f"did you mean '{min(close)[1]}'?"
    begun = [one for one in words if len(word) > 2 and one.startswith(word)]
    return f"did you mean '{begun[0]}'?" if len(begun) == 1 else ""


def _slips(word: str, other: str, far: int) -> int:
    """Return how many slips of the hand lead from `other` to `word`, `far` when it is too many."""
    ours, theirs = word.split("/"), other.split("/")
    if len(ours) != len(theirs):
        return far
    total = 0
    for mine, known in zip(ours, theirs, strict=True):
        suffix = PurePosixPath(mine).suffix
        if suffix != PurePosixPath(known).suffix:
            suffix = ""
        # A suffix that both have says nothing.
        one, two = mine.removesuffix(suffix), known.removesuffix(suffix)
        longest = max(len(one), len(two))
        # Of two letters one may be too many; another letter makes it another word.
        most = longest // 3 if longest > 2 else int(len(one) != len(two))
        slips = _distance(one, two) if abs(len(one) - len(two)) <= most else most + 1
        if slips > most:
            return far
        total += slips
    return min(total, far)


def _distance(one: str, two: str) -> int:
    """Return how many letters to insert, drop, replace or swap with their neighbour."""
    before: list[int] = []
    last = list(range(len(two) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, other in enumerate(two, 1):
            best = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and (letter, one[row - 2]) == (two[column - 2], other):
                best = min(best, before[column - 2] + 1)
            now.append(best)
        before, last = last, now
    return last[-1]
