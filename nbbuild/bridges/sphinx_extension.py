"""Sphinx's events: what nbbuild does at each of them.

    config-inited       read jcache.toml; tell MyST-NB and nbsphinx what to do, before they look
    builder-inited      build, before Sphinx reads any page
    env-get-outdated    name the pages that show something else than when they were read
    source-read         hand a page its built notebook, or MyST-NB the settings for this page
    env-updated         note what the pages show now

Sphinx may read in several processes. These are forked after the build, and only look things up in
what it left; what pages show is noted by the first process alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.matching import Matcher

from nbbuild.bridges import sphinx_settings as settings
from nbbuild.bridges.sphinx_building import (
    DocumentationBuild,
    PageResult,
    Wish,
    build,
    jupyter_cache,
)
from nbbuild.bridges.sphinx_telling import progress, refusal, warn
from nbbuild.config import load as configuration
from nbbuild.config.find import find
from nbbuild.config.types import Config
from nbbuild.disk.project_folder import DOT
from nbbuild.errors import ConfigError, NbbuildError
from nbbuild.text.printable import printed
from nbbuild.version import __version__

_EARLY, _LATE = 100, 900
"""Before and after the handlers of other extensions, which have 500."""

_WAYS = ("auto", "never", "off")

_logger = logging.getLogger(__name__)


def setup(app: Any) -> dict[str, Any]:
    """Connect nbbuild with Sphinx."""
    # A change of these need not make Sphinx read everything: what pages show is compared.
    app.add_config_value("nbbuild_execute", "auto", "")
    app.add_config_value("nbbuild_project", "", "", (str, os.PathLike))
    app.add_config_value("nbbuild_targets", [], "", (list, tuple, str))
    documentation = Documentation()
    app.connect("config-inited", documentation.configure, priority=_EARLY)
    app.connect("builder-inited", documentation.build, priority=_EARLY)
    app.connect("builder-inited", documentation.adjust, priority=_LATE)
    app.connect("env-get-outdated", documentation.outdated)
    # First, so that other extensions change the text that is going to be read.
    app.connect("source-read", documentation.read, priority=_EARLY)
    app.connect("env-updated", documentation.note)
    return {
        "version": __version__,
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }


class Documentation:
    """One run of Sphinx: the project that belongs to it, and what its pages show."""

    def __init__(self) -> None:
        self._project: Config | None = None  # None: nbbuild has nothing to do
        self._cache: Path | None = None
        self._shown: dict[str, PageResult] = {}
        self._per_page: settings.PerPage | None = None

    def configure(self, app: Any, config: Any) -> None:
        """Read jcache.toml, and set what MyST-NB and nbsphinx are to do."""
        if config.nbbuild_execute not in _WAYS:
            raise _error(
                f"nbbuild_execute is {config.nbbuild_execute!r}\n\n"
                "hint: one of 'auto', 'never' and 'off'"
            )
        if config.nbbuild_execute == "off":
            return
        try:
            self._project = _project(app, config)
            settings.check(config, app.extensions)
        except NbbuildError as error:
            raise _error(str(error)) from error
        # MyST-NB and nbsphinx write notebooks into Sphinx's folders.
        written = [
            self._project.root / DOT,
            *self._project.closed,
            Path(app.outdir),
            Path(app.doctreedir),
        ]
        if "myst_nb" in app.extensions:
            self._cache = settings.asked_cache(config) or jupyter_cache(self._project)
            settings.set_myst_nb(config, self._cache)
            written += [self._cache, Path(app.outdir).parent / settings.MYST_NB_OUTPUT]
        settings.hide(config, written, Path(app.srcdir))
        if "nbsphinx" in app.extensions:
            settings.set_nbsphinx(config)

    def build(self, app: Any) -> None:
        """Build the notebooks, and warn of those that failed."""
        if self._project is None:
            return
        targets = app.config.nbbuild_targets
        wish = Wish(
            config=self._project,
            here=Path(app.srcdir),
            targets=[targets] if isinstance(targets, str) else list(targets),
            execute=app.config.nbbuild_execute == "auto",
            jupyter_cache=self._cache,
            is_page=_PageFinder(app),
        )
        try:
            with progress(_logger, verbose=app.verbosity > 0) as tell:
                built: DocumentationBuild = build(wish, tell)
                if built.report.outcomes:
                    tell.finish(built.report)
                else:
                    _logger.info("nbbuild: no notebook of '%s' is a page", self._project.path)
        except NbbuildError as error:
            raise _error(str(error)) from error
        if built.report.interrupted:
            raise KeyboardInterrupt
        refused = refusal(built.report, self._project)
        if refused:
            raise _error(refused)
        self._shown = dict(built.shown)
        warn(_logger, built)

    def adjust(self, app: Any) -> None:
        """Take MyST-NB's settings, once it has made them."""
        made = getattr(app.env, "mystnb_config", None)
        if self._project is not None and made is not None:
            self._per_page = settings.PerPage(made)

    def outdated(
        self, app: Any, env: Any, added: set[str], changed: set[str], removed: set[str]
    ) -> list[str]:
        """Return the pages that show something else than when they were read."""
        before = getattr(env, "nbbuild_shown", {})
        now = self._digests(env)
        known = env.found_docs - added
        return sorted(name for name in known if before.get(name) != now.get(name))

    def read(self, app: Any, docname: str, source: list[str]) -> None:
        """Put a built notebook in the place of a page's text, where it takes that."""
        if self._project is None:
            return
        path = str(app.env.doc2path(docname))
        kind = settings.file_type(app.config, path)
        if kind not in (settings.MYST_NB, settings.NBSPHINX):
            return
        shown = self._shown.get(os.path.realpath(path))
        stored = shown is not None and shown.stored and kind == settings.MYST_NB
        replaced = False
        if shown is not None and not (stored or shown.own):
            replaced = _replace(source, shown, path)
        if kind == settings.MYST_NB and self._per_page is not None:
            app.env.mystnb_config = self._per_page.settings(path, stored=stored, replaced=replaced)

    def note(self, app: Any, env: Any) -> None:
        """Keep what the pages show, to compare with in the next run."""
        env.nbbuild_shown = self._digests(env)

    def _digests(self, env: Any) -> dict[str, str]:
        if not self._shown:
            return {}
        found = ((name, os.path.realpath(env.doc2path(name))) for name in env.found_docs)
        return {name: self._shown[path].digest for name, path in found if path in self._shown}


class _PageFinder:
    """Tells whether Sphinx makes a page of a notebook."""

    def __init__(self, app: Any) -> None:
        self._source = os.path.realpath(app.srcdir)
        self._excluded = Matcher(app.config.exclude_patterns)
        self._included = Matcher(app.config.include_patterns)

    def __call__(self, notebook: Path) -> bool:
        path = os.path.relpath(os.path.realpath(notebook), self._source)
        if path.startswith(os.pardir):
            return False
        here = Path(path)
        around = [one.as_posix() for one in (here, *here.parents[:-1])]
        return self._included(here.as_posix()) and not any(map(self._excluded, around))


def _project(app: Any, config: Any) -> Config:
    """Return the project of a documentation. Raises `NbbuildError`."""
    return configuration.load(_found(app, config))


def _found(app: Any, config: Any) -> Path:
    if config.nbbuild_project:
        given = Path(app.confdir, config.nbbuild_project)
        return find(given.parent, given.name) if given.is_file() else find(given)
    with suppress(ConfigError):
        return find(Path(app.confdir))
    return find(Path(app.srcdir))


def _replace(source: list[str], shown: PageResult, path: str) -> bool:
    """Whether the text of a page could be replaced by that of a notebook."""
    if shown.notebook is None and not path.endswith(".ipynb"):
        return False  # as it is, it has no outputs
    try:
        source[0] = settings.text_of(shown.notebook, source[0])
    except (OSError, ValueError):
        return False  # the parser reports what is wrong with it
    return True


def _error(text: str) -> ExtensionError:
    return ExtensionError(printed(text), modname="nbbuild.sphinx")
