"""Say what is loaded already in the processes that the kernels of one build are forked from.

With `warm = "auto"`, the default, a few of these *parents* are chosen to cover the project. A
notebook gets the largest one that has loaded nothing but what the notebook itself imports. Its last
trace says what it really imported, from installed packages. Before its first run its code says so:
the imports that it makes whatever happens, before anything that could make them other imports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from nbbuild.building.actions import Warmth
from nbbuild.errors import NbbuildError
from nbbuild.interpreter.environment import Probe
from nbbuild.interpreter.imports import Import, certain_imports
from nbbuild.judging.inputs import Inputs
from nbbuild.judging.last_runs import LastRuns
from nbbuild.kernels.warm.nursery import UNSAFE
from nbbuild.model import Record, Settings, Task

PARENTS = 3
"""Processes with packages in memory, for one build."""

# What sets variables that packages look at as they are imported, has warnings shown that are not
# shown otherwise, or looks whether a package is loaded by now: IPython's %precision for numpy, and
# ipywidgets' interact for matplotlib. (Or puts something else in a package's place.)
_BEFOREHAND = re.compile(
    r"environ\s*(?:\[[^\]]*\]\s*=(?!=)|\.\s*(?:update|setdefault|pop|popitem|clear)\b|\|=)"
    r"|del\s+\S*environ|putenv|unsetenv|%\s*(?:set_)?env\b|dotenv|warnings"
    r"|\bsys\s*\.\s*modules\b|from\s+sys\s+import\b[^\n]*\bmodules\b"
    r"|^\s*%\s*precision\b|\binteract(?:ive|ive_output|_manual)?\b",
    re.MULTILINE,
)


# What may decide which package an import finds, or what that package is then: paths, installers,
# programs, magics, hooks, a backend. IPython's magics that only set up the notebook do not.
_DECIDES = re.compile(
    r"^\s*!|^\s*%(?!%?time\b|matplotlib\s+inline|config\s+InlineBackend|(?:load_ext\s+)?autoreload)"
    r"|=\s*[!%]|\bsys\s*\.(?!\s*(?:version|executable|platform)\b)|from\s+sys\b|\bchdir\b"
    r"|\b(?:exec|eval|__import__|setlocale|set_start_method|switch_backend)\b"
    r"|\.\s*use\s*\(|\b(?:importlib|runpy|site|builtins|ctypes|subprocess|pip)\b"
    r"|\bos\s*\.\s*(?:system|popen|exec|spawn|fork|posix_spawn)",
    re.MULTILINE,
)


class Warmings:
    """What the kernels of `executing` are forked from; see preparing.Warming."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        inputs: Inputs,
        runs: LastRuns,
        executing: Sequence[str],
    ) -> None:
        self._inputs = inputs
        self._runs = runs
        wanted = {name: self._wanted(tasks[name]) for name in executing}
        self._parents = parents({name: one for name, one in wanted.items() if one})

    def __call__(self, task: Task, settings: Settings, probe: Probe | None) -> Warmth | None:
        """Return it for `task`; None when its kernel is to be started anew."""
        if not settings.warm or probe is None:
            return None
        modules = self._parents.get(task.name, ())
        if isinstance(settings.warm, tuple):
            modules = tuple(Import(0, module) for module in settings.warm)
        elif settings.warm != "auto":
            modules = ()
        return Warmth(modules=modules)

    def _wanted(self, task: Task) -> frozenset[Import]:
        """Return what `task`, with `warm = "auto"`, may have loaded beforehand."""
        nothing: frozenset[Import] = frozenset()
        try:
            parsed = self._inputs.parsed(task)
            if self._inputs.settings(task, parsed).warm != "auto":
                return nothing
            probe = self._inputs.probe(task)
        except NbbuildError:
            return nothing  # told when its turn comes
        sources = [cell.source for cell in parsed.cells]
        if probe is None or any(depends_on_when(source) for source in sources):
            return nothing
        record = self._runs.last(task)[1]
        if record is None:
            found = certain(sources)
        elif record.trace.set_variables != ():
            return nothing
        else:
            tops = _imported(record)
            every = (one for source in sources for one in self._inputs.imports(source))
            found = (one for one in every if _top(one) in tops)
        owned = probe.owners
        return frozenset(one for one in found if _top(one) in owned and _top(one) not in UNSAFE)


def certain(sources: Iterable[str]) -> Iterator[Import]:
    """Yield what cells import whatever happens, before anything that may decide what they find."""
    for source in sources:
        if _DECIDES.search(source):
            return
        yield from certain_imports(source)


def _imported(record: Record) -> set[str]:
    """Return the top-level names that a run imported from installed packages."""
    installed = (item for item in record.trace.items if item.kind == "installed")
    return {top for item in installed for top in item.name.split()}


def depends_on_when(source: str) -> bool:
    """Say whether what a cell does may depend on when a package is imported, by its looks."""
    return _BEFOREHAND.search(source) is not None


def parents(
    wanted: Mapping[str, frozenset[Import]], *, limit: int = PARENTS
) -> dict[str, tuple[Import, ...]]:
    """Choose at most `limit` sets of imports, and for each task one that is all its own.

    A set is chosen for what it saves: the imports that it makes needless in all tasks together. One
    that serves a single task saves nothing.
    """
    distinct = set(wanted.values())  # few, however many the tasks
    candidates = {one & other for one in distinct for other in distinct}
    given: dict[str, frozenset[Import]] = {}
    for _ in range(limit):
        gains = {one: _gain(one, wanted, given) for one in candidates}
        best = max(sorted(candidates, key=_words), key=lambda one: gains[one], default=None)
        if best is None or gains[best] <= 0:
            break
        given.update(dict.fromkeys(_served(best, wanted, given), best))
    return {name: _in_order(one) for name, one in given.items()}


def _served(
    one: frozenset[Import],
    wanted: Mapping[str, frozenset[Import]],
    given: Mapping[str, frozenset[Import]],
) -> list[str]:
    """Return the tasks that are better off with this set than with what they are given."""
    return [
        name
        for name, imports in wanted.items()
        if one <= imports and len(one) > len(given.get(name, ()))
    ]


def _gain(
    one: frozenset[Import],
    wanted: Mapping[str, frozenset[Import]],
    given: Mapping[str, frozenset[Import]],
) -> int:
    """Return how many more imports become needless with this set, less those that it makes."""
    served = _served(one, wanted, given)
    return sum(len(one) - len(given.get(name, ())) for name in served) - len(one)


def _in_order(imports: Iterable[Import]) -> tuple[Import, ...]:
    return tuple(sorted(imports, key=msgspec.structs.astuple))


def _words(imports: Iterable[Import]) -> list[tuple[object, ...]]:
    return [msgspec.structs.astuple(one) for one in _in_order(imports)]


def _top(one: Import) -> str:
    return one.module.partition(".")[0]
