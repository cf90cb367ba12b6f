"""Export at the end of a build, as `[export]` says, unless everything is already there.

The state remembers what the last export left behind: for each page, what it was made from and the
files that hold it, with size and mtime. As long as these are the same, a build with nothing to do
imports neither a notebook reader nor jupyter-cache. A page that clashes with another is not
remembered: the other may change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.errors import NbbuildError
from nbbuild.events import Noted, Observer
from nbbuild.export import places, tools
from nbbuild.export.pages import Exported, Page, pages
from nbbuild.interpreter import installed
from nbbuild.judging.verdicts import made_from
from nbbuild.model import Judgement
from nbbuild.session import Session
from nbbuild.version import __version__

_KIND = "export"
_TOOLS: Final = {"jupyter-cache": ("jupyter-cache", "myst-nb"), "mystmd": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """The result of all exports of a build."""

    problems: tuple[str, ...] = ()  # a message for each target that failed
    rests_on: tuple[str, ...] | None = ()  # nothing to do while these files stay; None: check


class _Left(msgspec.Struct, frozen=True):
    """What an export left for one page."""

    made_from: str  # "" if it had no result
    files: tuple[tuple[str, int, int], ...]  # path, size, mtime in ns


class _LastExport(msgspec.Struct, frozen=True):
    """What an export left behind."""

    basis: str  # a digest of everything that all keys rest on
    variables: tuple[str, ...]
    pages: dict[str, _Left]


_LAST: Shape[_LastExport] = Shape(_LastExport)


def export_all(
    session: Session,
    judgements: Iterable[Judgement],
    *,
    everything: Callable[[], Iterable[Judgement]],
    only: Collection[str] | None,
    observer: Observer,
) -> Handed:
    """Do what `[export]` says.

    `judgements` are those after the build; `everything` gives those of the whole project, and is
    called only if something has to be written. With `only`, the export is of these sources.
    `observer` is informed of pages that are up to date but that a consumer will not find.
    """
    built = [one for one in pages(session, judgements) if only is None or one.source in only]
    problems = []
    for target in targets(session):
        if _is_current(session, target, built):
            continue
        try:
            whole = pages(session, everything())
            exported = tools.export(session, target, whole, only=only)
        except NbbuildError as error:
            problems.append(f"nothing was exported to {target}: {error}")
            continue
        _remember(session, target, whole, exported, only=only)
        for missing in exported.missing:
            page = next(one for one in whole if one.source == missing.source)
            if page.record is not None and page.task is not None and not missing.meant:
                hint = f"; {missing.hint}" if missing.hint else ""
                text = f"not exported to {target}: {missing.why}{hint}"
                observer(Noted(page.task.name, text))
    left = [_left(session, target, built) for target in targets(session)]
    return Handed(
        problems=tuple(problems),
        rests_on=None if None in left else tuple(path for one in left for path in one or ()),
    )


def _left(session: Session, target: str, built: Iterable[Page]) -> list[str] | None:
    """Return the files that hold the export of `built`; None if they must be checked again."""
    last = _last(session, target)
    if last is None or last.variables or not _is_current(session, target, built):
        return None  # variables are kept only in a digest with others
    return [path for page in built for path, *_ in last.pages[page.source].files]


def targets(session: Session) -> list[str]:
    """Return the tools that `[export]` names."""
    export = session.config.export
    asked = {"jupyter-cache": bool(export.jupyter_cache), "mystmd": export.mystmd}
    return [target for target, said in asked.items() if said]


# -- what the last export left behind ----------------------------------------------------------


def held(session: Session, target: str) -> frozenset[str]:
    """Return the sources of the pages whose results the last export to `target` left there."""
    last = _last(session, target)
    known = {} if last is None else last.pages
    return frozenset(source for source, left in known.items() if left.files)


def _last(session: Session, target: str) -> _LastExport | None:
    data = session.state.recall(_KIND, target)
    try:
        return _LAST.unpack(data) if data else None
    except Misshapen:
        return None


def _is_current(session: Session, target: str, built: Iterable[Page]) -> bool:
    last = _last(session, target)
    if last is None or last.basis != _basis(session, target, last.variables):
        return False
    return all(_is_left(session, page, last.pages.get(page.source)) for page in built)


def _is_left(session: Session, page: Page, left: _Left | None) -> bool:
    return (
        left is not None
        and left.made_from == _made_from(session, page)
        and all(_seen(Path(path)) == (path, size, mtime) for path, size, mtime in left.files)
    )


def _remember(
    session: Session,
    target: str,
    whole: Iterable[Page],
    done: Exported,
    *,
    only: Collection[str] | None,
) -> None:
    known: dict[str, _Left] = {}
    variables = done.variables
    basis = _basis(session, target, variables)
    if only is not None and (last := _last(session, target)) is not None:
        known = last.pages if last.basis == basis else {}
    clashing = {one.source for one in done.missing if one.clash}
    for page in whole:
        if only is not None and page.source not in only:
            continue
        known.pop(page.source, None)
        seen = [_seen(Path(file)) for file in done.files.get(page.source, ())]
        if page.source not in clashing and (page.record is not None or page.meant):
            files = tuple(one for one in seen if one is not None)
            known[page.source] = _Left(_made_from(session, page), files)
    session.state.remember(_KIND, target, packed(_LastExport(basis, variables, known)))


def _made_from(session: Session, page: Page) -> str:
    if page.record is None or page.task is None:
        return ""
    return made_from(page.record, session.sources(page.task))


def _seen(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_size, status.st_mtime_ns


def _basis(session: Session, target: str, variables: Iterable[str]) -> str:
    """Return a digest of what the keys of all pages rest on, besides the pages."""
    place = places.mystmd(session) if target == "mystmd" else places.jupyter_cache(session)
    execution = session.config.execution
    parts = [
        __version__,
        str(place),
        *map(installed.version, _TOOLS[target]),
        repr(sorted(execution.kernel_aliases.items())),
        execution.settings.kernel or "",
        *(f"{name}={session.environ.get(name)}" for name in sorted(variables)),
    ]
    return blake3("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
