"""Write rules with which make builds the notebooks: what each built notebook rests on.

A rule has the files that a notebook declares, and the built notebooks of those before it. What its
runs turned out to use stands in a depfile of its own (depfile.py), which the recipe writes anew. A
recipe is one line: under -q, a second one without "+" would have make delete the target.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbbuild.disk.project_folder import DOT, MAKE
from nbbuild.errors import NbbuildError, UsageError
from nbbuild.export.depfile import Unspeakable, check_place, depfile, escaped, write_depfile
from nbbuild.model import Task
from nbbuild.paths.patterns import Pattern
from nbbuild.quick.above import NAME
from nbbuild.session import Session

PLACE = "nbbuild.mk"
"""Where the rules go by default, relative to the root."""

_OURS = "Written by `nbbuild export makefile`: changes are lost."
"""The end of the first line, by which such a file is known."""

_HEAD = f"""\
# How make builds the notebooks of {{config}}. {_OURS}
# To use it, write `include {{place}}` at the end of a Makefile beside {{config}}.
# make sees only files. Packages, variables and the age of results are seen by nbbuild alone.

NBBUILD ?= nbbuild

.PHONY: nbbuild-notebooks nbbuild-always
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """A makefile, and the depfiles that it includes: place → text, relative to the root."""

    makefile: str
    depfiles: dict[str, str]


def rules(session: Session, *, place: str = PLACE) -> Rules:
    """Return the rules for all notebooks; `place` is the name that the makefile will have.

    What does not exist yet, another rule may make. Raises `UsageError` for a name that make has no
    way to write.
    """
    config = session.config.path.name
    tasks = [session.graph.tasks[name] for name in session.graph.order]
    lines = [_HEAD.format(config=config, place=place)]
    built = [_named(task, task.built) for task in tasks]
    lines += [" \\\n  ".join(["nbbuild-notebooks:", *built]), ""]
    for task in tasks:
        lines += _rule(session, task)
        for path in _artefacts(session, task):
            lines += _artefact_rule(session, task, path)
    lines.append(f"-include $(wildcard {_folder(session)}/*.d)")
    if place:
        lines += ["", f"{escaped(place, target=True)}: {escaped(config)}"]
        lines.append(f"\t$(NBBUILD) export makefile{_file(session)} {_shell(place)}")
    found = {}
    for task in tasks:
        text, _ = depfile(session, [task.name])
        if text:
            found[_depfile(session, task)] = text
    return Rules("".join(f"{line}\n" for line in lines), found)


def check_target(session: Session, target: Path, *, force: bool) -> None:
    """Raise `UsageError` if the makefile must not be written to `target`.

    A file that somebody else wrote is replaced only with `force`, one of the project's own never.
    """
    check_place(session, target)
    if target.is_file() and not (force or _is_ours(target)):
        other = "another file" if target.absolute() == session.root / PLACE else PLACE
        raise UsageError(
            f"'{target}' exists, and `nbbuild export makefile` did not write it",
            hint=f"write to {other} and include that; --force replaces the file",
        )


def _is_ours(makefile: Path) -> bool:
    try:
        with makefile.open("rb") as file:
            return file.readline().rstrip().endswith(_OURS.encode())
    except OSError:  # who cannot read it cannot have written it
        return False


def write_depfiles(session: Session, depfiles: dict[str, str]) -> None:
    """Write the depfiles, and remove those of no task; other configurations have their own."""
    for path, text in depfiles.items():
        write_depfile(session.root / path, text)
    known = {_depfile(session, task) for task in session.project.tasks}
    for old in (session.root / _folder(session)).glob("*.d"):
        if f"{_folder(session)}/{old.name}" not in known:
            old.unlink(missing_ok=True)


def _rule(session: Session, task: Task) -> Iterator[str]:
    words = [_named(task, path) for path in dict.fromkeys(_prerequisites(session, task))]
    if not task.cache or task.max_age is not None:
        words.append("nbbuild-always")  # only nbbuild knows when
    yield " \\\n  ".join([f"{_named(task, task.built, target=True)}:", *words])
    how = f"--depfile {_depfile(session, task)}{_file(session)} -- {_shell(task.name)}"
    yield f"\t+$(NBBUILD) build {how}"
    yield ""


def _artefact_rule(session: Session, task: Task, path: str) -> Iterator[str]:
    yield f"{_named(task, path, target=True)}: {_named(task, task.built)}"
    how = f"build{_file(session)} -- {_shell(task.name)}"
    yield f"\t+@test -e {_shell(path)} || $(NBBUILD) {how}"
    yield ""


def _named(task: Task, path: str, *, target: bool = False) -> str:
    try:
        return escaped(path, target=target)
    except Unspeakable as error:
        facts = [("needed by", task.name), *error.facts]
        raise UsageError(error.what, facts=facts, hint=error.hint) from None


def _prerequisites(session: Session, task: Task) -> Iterator[str]:
    """Yield what a built notebook rests on, as far as that is declared."""
    inputs = session.inputs
    yield from (task.source, *task.paired, session.config.path.name)
    for pattern in map(Pattern.parse, task.assets):
        paths = inputs.asset_paths(task, pattern)
        yield from paths
        if not paths and pattern.literal and not pattern.folder:
            yield pattern.path
    yield from session.walker.match_all(task.files)
    try:
        now = inputs.in_effect(task)
        yield from inputs.module_paths(task, now.parsed, now.settings)
        yield from (cell.load for cell in now.parsed.cells if cell.load)
    except NbbuildError:  # unreadable: nbbuild will say so when make calls it
        pass
    yield from (session.graph.tasks[name].built for name in session.graph.upstream(task.name))


def _artefacts(session: Session, task: Task) -> tuple[str, ...]:
    """Return the artefacts that are known by name: declared so, or made by the last run."""
    declared = (Pattern.parse(text) for text in task.artefacts)
    literal = [one.path for one in declared if one.literal and not one.folder]
    _, record = session.runs.last(task)
    made = [] if record is None else [one.path for one in record.artefacts]
    return tuple(dict.fromkeys([*literal, *made]))


def _folder(session: Session) -> str:
    """Return where the depfiles are, relative to the root."""
    return f"{DOT}/{MAKE}/{_digest(session.config.path.name)}"


def _depfile(session: Session, task: Task) -> str:
    return f"{_folder(session)}/{_digest(task.built)}.d"


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _file(session: Session) -> str:
    name = session.config.path.name
    return "" if name == NAME else f" -f {_shell(name)}"


def _shell(text: str) -> str:
    """Return a word for the shell, in a recipe."""
    return shlex.quote(text).replace("$", "$$")


def place_in(root: Path, path: Path) -> str:
    """Return how make, in the root, names the makefile at `path`."""
    full = path.absolute()
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else str(full)
