"""Every error a user sees: what happened, labelled facts, and what to do next."""

from __future__ import annotations

import posixpath
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence

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
    for one in words:
        name = one.rpartition("/")[2]
        if word in (name, posixpath.splitext(name)[0]):
            return f"did you mean '{one}'?"
    nearest, most = "", len(word)
    for one in words:
        slips = _slips(word, one, most)
        if slips <= most:
            nearest, most = one, slips - 1
    if nearest:
        return f"did you mean '{nearest}'?"
    begun = [one for one in words if len(word) > 2 and one.startswith(word)]
    return f"did you mean '{begun[0]}'?" if len(begun) == 1 else ""


_LONGEST = 255  # letters of a name


def _slips(word: str, other: str, most: int) -> int:
    """Return how many slips of the hand lead from `other` to `word`; too many are `most` + 1."""
    ours, theirs = word.split("/"), other.split("/")
    if len(ours) != len(theirs):
        return most + 1
    total = 0
    for mine, known in zip(ours, theirs, strict=True):
        one, suffix = posixpath.splitext(mine)
        two, other_suffix = posixpath.splitext(known)
        if suffix != other_suffix:  # one that both have says nothing
            one, two = mine, known
        longest = max(len(one), len(two))
        # Of two letters one may be too many; another letter makes it another word.
        near = longest // 3 if longest > 2 else int(len(one) != len(two))
        near = min(near, most - total)
        slips = _distance(one, two, near)
        if slips > near:
            return most + 1
        total += slips
    return total


def _distance(one: str, two: str, most: int) -> int:
    """Return how many letters to insert, drop, replace or swap with their neighbour.

    More than `most` is `most` + 1, and so is whatever is longer than the name of a file can be.
    Only the cells of the table within `most` of its diagonal are filled (Ukkonen, 1985).
    """
    if abs(len(one) - len(two)) > most or max(len(one), len(two)) > _LONGEST:
        return most + 1
    far = most + 1
    if one == two:
        return 0
    if len({*one} ^ {*two}) > 2 * most:  # a slip puts one letter for another, at most
        return far
    before: list[int] = []
    last = [*range(len(two) + 1)]
    for row, letter in enumerate(one, 1):
        first, end = max(1, row - most), min(len(two), row + most)
        now = [far] * (len(two) + 1)
        if row <= most:
            now[0] = row
        for column in range(first, end + 1):
            other = two[column - 1]
            best = min(last[column] + 1, now[column - 1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and (letter, one[row - 2]) == (two[column - 2], other):
                best = min(best, before[column - 2] + 1)
            now[column] = best
        if min(now) > most < min(last):
            return far
        before, last = last, now
    slips: int = min(last[-1], far)
    return slips
