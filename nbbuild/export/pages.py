"""What there is to export: each source notebook as a page of a book, with the result it shows.

jupyter-cache and mystmd know a notebook only by its code, under a key of their own: neither its
path nor the files it reads count. So several pages may have the same key. `settle` gives such a key
a result only if they all show the same; otherwise the tool would silently show one page's outputs
in another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from nbbuild.model import Judgement, Record, Task, Verdict
from nbbuild.session import Session

_Value = TypeVar("_Value")

_AT_HAND = (Verdict.FRESH, Verdict.REFRESH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One source notebook; it shows the result of `record`, or `why` says why there is none."""

    source: str
    files: tuple[str, ...]  # the source, then the rest of its Jupytext pair
    task: Task | None = None  # whose result it shows
    record: Record | None = None
    why: str = ""
    meant: bool = False  # its configuration rules a result out, so nothing is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A page for which the other tool finds no result."""

    source: str
    why: str
    hint: str = ""
    meant: bool = False  # as configured, or not a notebook to the tool: nothing is wrong
    clash: bool = False  # with another page; if that changes, the clash may end


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The result of one export. Pages are named by their sources."""

    path: str
    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()  # already there
    removed: tuple[str, ...] = ()  # pages whose old result was not theirs, or is out of date
    missing: tuple[Missing, ...] = ()
    doctrees: tuple[str, ...] = ()  # Sphinx's, deleted so that it reads the pages again
    files: Mapping[str, tuple[str, ...]]  # page → what holds its result there
    variables: tuple[str, ...] = ()  # environment variables on whose values the keys depend

    @property
    def exit_status(self) -> int:
        """1 if a page lacks its result although nobody intended that."""
        return int(any(not one.meant for one in self.missing))


def pages(session: Session, judgements: Iterable[Judgement]) -> list[Page]:
    """Return the project's sources as pages, in order.

    A page shows the notebook as it stands, so the task without parameters fills it.
    """
    by_name = {judgement.task: judgement for judgement in judgements}
    by_source: dict[str, list[Task]] = {}
    for task in session.project.tasks:
        by_source.setdefault(task.source, []).append(task)
    return [_page(tasks, by_name) for tasks in by_source.values()]


def _page(tasks: list[Task], judgements: Mapping[str, Judgement]) -> Page:
    first = tasks[0]
    files = (first.source, *first.paired)
    task = next((one for one in tasks if not one.parameters), None)
    if task is None:
        why = "it has parameters in each of its tasks, and the page shows it without"
        return Page(source=first.source, files=files, why=why, meant=True)
    judgement = judgements.get(task.name)
    if judgement is not None and judgement.record and judgement.verdict in _AT_HAND:
        return Page(source=task.source, files=files, task=task, record=judgement.record)
    if not task.cache:
        why = "`cache = false`: no result of it is kept"
        return Page(source=task.source, files=files, task=task, why=why, meant=True)
    reasons = "; ".join(map(str, judgement.reasons[:3])) if judgement else "it was not asked for"
    return Page(source=task.source, files=files, task=task, why=reasons)


# -- one key, several pages --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Generic[_Value]):
    """What one file of a page would put under one key."""

    key: str
    page: Page
    file: str
    shown: str = ""  # a digest of the outputs
    value: _Value | None = None  # None: the page has no result


@dataclass(frozen=True, slots=True)
class SettledOffers(Generic[_Value]):
    """Which keys get a result, and which must have none."""

    give: Mapping[str, tuple[Offer[_Value], ...]]  # all with the same outputs
    take: Mapping[str, tuple[Offer[_Value], ...]]
    clashes: tuple[Missing, ...]


def settle(
    offers: Iterable[Offer[_Value]], *, tool: str, only: Collection[str] | None
) -> SettledOffers[_Value]:
    """Group `offers` by key, and drop those that a key cannot tell apart.

    With `only`, keys without any of these pages are left alone.
    """
    groups: dict[str, list[Offer[_Value]]] = {}
    for offer in offers:
        groups.setdefault(offer.key, []).append(offer)
    give: dict[str, tuple[Offer[_Value], ...]] = {}
    take: dict[str, tuple[Offer[_Value], ...]] = {}
    clashes: dict[str, Missing] = {}
    for key, group in groups.items():
        if only is not None and not any(offer.page.source in only for offer in group):
            continue
        alike = len({offer.shown for offer in group}) == 1
        if alike and group[0].value is not None:
            give[key] = tuple(group)
            continue
        take[key] = tuple(group)
        for missing in _clashes(group, tool):
            clashes.setdefault(missing.source, missing)
    return SettledOffers(give, take, tuple(clashes.values()))


def exported(
    path: Path,
    settled: SettledOffers[Any],
    *,
    missing: Sequence[Missing],
    written: Collection[str],
    removed: Iterable[str],
    place: Callable[[str], Path],
    only: Collection[str] | None,
    doctrees: Iterable[Path] = (),
    variables: Iterable[str] = (),
) -> Exported:
    """Return the result of exporting `settled`; `place` says where a key's result is."""
    files: dict[str, tuple[str, ...]] = {}
    for key, group in settled.give.items():
        for source in dict.fromkeys(offer.page.source for offer in group):
            files[source] = (*files.get(source, ()), str(place(key)))
    said = {one.source for one in missing}
    lacking = (*missing, *(one for one in settled.clashes if one.source not in said))
    clashing = {one.source for one in settled.clashes}
    return Exported(
        path=str(path),
        written=tuple(sorted(set(written) - clashing)),
        kept=tuple(sorted(set(files) - set(written) - clashing)),
        removed=tuple(sorted(removed)),
        missing=tuple(one for one in lacking if only is None or one.source in only),
        doctrees=tuple(map(str, doctrees)),
        files={source: found for source, found in files.items() if source not in clashing},
        variables=tuple(sorted(variables)),
    )


def _clashes(group: list[Offer[Any]], tool: str) -> Iterator[Missing]:
    for offer in group:
        if offer.value is None:
            continue
        other = next(one for one in group if one.shown != offer.shown)
        has = "other outputs" if other.value is not None else "no result that can be shown"
        yield Missing(
            source=offer.page.source,
            why=f"'{other.page.source}' has the same code but {has}, and {tool} tells notebooks "
            "apart by their code alone",
            hint="change the code of one, if only by a comment",
            clash=True,
        )
