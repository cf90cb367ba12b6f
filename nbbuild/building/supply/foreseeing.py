"""Find out what a notebook will import in any case, from its code alone.

An import may be made before the notebook begins if nothing earlier in the notebook could notice:
nothing that decides which package the import finds, nothing that such a package looks at when it
is imported, and nothing that checks whether it is loaded. Code after the import finds the package
imported in either case. So the imports that count stand in cells by themselves, up to the first
line that might do such a thing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath

from nbbuild.interpreter.imports import Import, certain_imports
from nbbuild.interpreter.installed import normalised

# Variables that packages look at when they are imported; the filters of warnings, where packages
# add their own in the order of the imports; and checks whether a package is already loaded, as
# IPython's %precision looks for numpy and ipywidgets' interact for matplotlib.
_NOTICES = re.compile(
    r"environ\s*(?:\[[^\]]*\]\s*=(?!=)|\.\s*(?:update|setdefault|pop|popitem|clear)\b|\|=)"
    r"|del\s+\S*environ|putenv|unsetenv|%\s*(?:set_)?env\b|dotenv"
    r"|\bwarnings\s*\.|\bfrom\s+warnings\b|\bimport\s+warnings\s+as\b"
    r"|\bsys\s*\.\s*modules\b|from\s+sys\s+import\b[^\n]*\bmodules\b"
    r"|^\s*%\s*precision\b|\binteract(?:ive|ive_output|_manual)?\b",
    re.MULTILINE,
)

_SETS_UP = r"matplotlib\s+inline|config\s+InlineBackend|(?:load_ext\s+)?autoreload"
_SHOWS = "time|timeit|prun|capture|xmode|pprint|pwd|whos?|lsmagic|quickref|html|latex|markdown|svg"

# Paths, installers, programs, magics, hooks, a backend. Some of IPython's magics decide nothing:
# those that set up the notebook, time something or show something.
_DECIDES = re.compile(
    rf"^\s*!|^\s*%(?!%?(?:{_SHOWS})\b|{_SETS_UP})"
    r"|=\s*[!%]|\bsys\s*\.(?!\s*(?:version|executable|platform)\b)|from\s+sys\b|\bchdir\b"
    r"|\b(?:exec|__import__|setlocale|set_start_method|switch_backend)\b"
    r"|(?<!\bstyle)\.\s*use\s*\(|\b(?:importlib|runpy|site|builtins|ctypes|subprocess|pip)\b"
    r"|\bos\s*\.\s*(?:system|popen|exec|spawn|fork|posix_spawn)",
    re.MULTILINE,
)

_NO_CODE = re.compile(r"\s*%%(?:html|latex|markdown|svg)\b")
_WRITES = re.compile(r"\s*%%(?:write)?file\s+(?:-a\s+)?(\S+)")
_INSTALLS = re.compile(r"\s*[!%]\s*(?:python3?\s+-m\s+)?pip3?\s+install((?:\s+[\w.,\[\]-]+)+)\s*$")
_INSTALLERS = re.compile(r"\b(?:pip3?|conda|mamba|micromamba)\b")
_LOOKS = re.compile(
    r"\s*!\s*(?:ls|cat|head|tail|wc|echo|pwd|date|which|uname|nproc|nvidia-smi|du|df|free|tree"
    r"|python3?\s+(?:-V|--version))\b[^>|;&`$]*$"
)


def foreseen(sources: Iterable[str], installed: Collection[str] = ()) -> Iterator[Import]:
    """Yield what the cells `sources` import before anything that could notice or decide.

    `installed` holds the normalised names of installed distributions: installing one of those
    again decides nothing.
    """
    hidden: set[str] = set()  # names under which files that the notebook writes may be imported
    for source in sources:
        written = _WRITES.match(source)
        if written:
            hidden.update(PurePosixPath(part).stem for part in PurePosixPath(written[1]).parts)
            continue
        if _NO_CODE.match(source):
            continue
        whole = _without_harmless(source, installed)
        end = min((one.start() for one in _noticed(whole)), default=len(whole))
        before = whole[: whole.rfind("\n", 0, end) + 1] if end < len(whole) else whole
        yield from (one for one in certain_imports(before) if _top(one) not in hidden)
        if end < len(whole):
            return


def depends_on_when(source: str) -> bool:
    """Return whether what a cell does may depend on when a package is imported, by its looks."""
    return _NOTICES.search(source) is not None


def installs(source: str, installed: Collection[str] = ()) -> bool:
    """Return whether a cell may install what is not installed yet."""
    return _INSTALLERS.search(_without_harmless(source, installed)) is not None


def _noticed(source: str) -> Iterator[re.Match[str]]:
    return (found for found in (_NOTICES.search(source), _DECIDES.search(source)) if found)


def _without_harmless(source: str, installed: Collection[str]) -> str:
    """Return a cell without lines that only look at something, or install what is installed."""
    if "!" not in source and "%" not in source:
        return source
    return "\n".join(
        "pass" if _LOOKS.match(line) or _changes_nothing(line, installed) else line
        for line in source.split("\n")
    )


def _changes_nothing(line: str, installed: Collection[str]) -> bool:
    found = _INSTALLS.match(line)
    if found is None:
        return False
    words = [word for word in found[1].split() if word not in ("-q", "--quiet")]
    return all(normalised(word.partition("[")[0]) in installed for word in words)


def _top(one: Import) -> str:
    return one.module.partition(".")[0]
