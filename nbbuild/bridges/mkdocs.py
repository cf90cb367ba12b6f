"""A plugin for MkDocs: its pages show what nbbuild built, and nothing is executed.

`plugins: [nbbuild, mkdocs-jupyter]` in mkdocs.yml. mkdocs-jupyter renders the file that a page
comes from; this plugin has a notebook's page come from its built notebook. All addresses and links
stay those of the source.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.config.base import Config
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, event_priority
from mkdocs.structure.files import File

from nbbuild.errors import NbbuildError
from nbbuild.export.pages import Page, pages
from nbbuild.model import Judgement, Verdict
from nbbuild.session import Session, open_session
from nbbuild.text.printable import printed

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_NAMED = 10  # the most pages that a message names


class _PluginSettings(Config):  # type: ignore[no-untyped-call]
    """The plugin's settings in mkdocs.yml: there are none."""


class NbbuildPlugin(BasePlugin[_PluginSettings]):  # type: ignore[no-untyped-call]
    """Has the page of each notebook in `jcache.toml` come from what nbbuild built of it."""

    @event_priority(-100)  # after mkdocs-jupyter has chosen its pages, by their sources
    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Point the pages of mkdocs-jupyter at built notebooks; nothing is executed.

        Raises PluginError, which ends MkDocs, for notebooks that are not up to date.
        """
        folder = Path(config.config_file_path).parent
        chosen = {
            Path(file.abs_src_path).resolve(): file
            for file in files
            if type(file) is not File and file.abs_src_path is not None
        }
        try:
            with open_session(folder) as session:
                for source, built in _built(session, chosen):
                    chosen[source].abs_src_path = str(built)
        except NbbuildError as error:
            raise PluginError(printed(f"nbbuild: {error}")) from error
        return files


def _built(session: Session, chosen: Collection[Path]) -> list[tuple[Path, Path]]:
    """Return what was built of each source in `chosen`; raise PluginError if any is out of date.

    Pages without a task of their own are shown as they stand.
    """
    judgements = {one.task: one for one in session.plan().judgements}
    found: list[tuple[Path, Path]] = []
    lacking: list[str] = []
    for page in pages(session, judgements.values()):
        sources = [(session.root / path).resolve() for path in page.files]
        sources = [source for source in sources if source in chosen]
        if page.task is None or not sources:
            continue
        built = session.root / page.task.built
        if why := _lacks(page, judgements.get(page.task.name), built):
            lacking.append(f"  {page.source}: {why}")
        found += [(source, built) for source in sources]
    if not lacking:
        return found
    more = [f"  and {len(lacking) - _NAMED} more"] if len(lacking) > _NAMED else []
    lines = [
        "nbbuild: not all notebooks are up to date, and none is executed here",
        *lacking[:_NAMED],
        *more,
        "",
        f"hint: build them first: {shlex.join(['nbbuild', '-C', str(session.root)])}",
    ]
    raise PluginError(printed("\n".join(lines)))


def _lacks(page: Page, judgement: Judgement | None, built: Path) -> str:
    """Return why a page cannot be shown, "" if it can."""
    if page.meant and built.is_file():
        return ""  # by `cache = false`: the last build's
    if judgement is not None and judgement.verdict is Verdict.FRESH:
        return ""
    return page.why or "; ".join(map(str, judgement.reasons[:3] if judgement else ()))
