"""`nbbuild watch [TARGET…]`: build whenever a file is saved."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import Whole, jobs_option, project_options, refuse
from nbbuild.cli._signals import interruptible
from nbbuild.cli._verb import Verb
from nbbuild.errors import NbbuildError, UsageError

if TYPE_CHECKING:
    from nbbuild.config.here import Here
    from nbbuild.session import Session
    from nbbuild.verbs.watch.listeners import Listener
    from nbbuild.verbs.watch.site import Site

_CONTRARY = (("-s", "silent", "-v", "verbose", "one says less, the other more"),)

_MOST_PORT = 65535


class _Watch(Verb):
    """A verb whose `--serve` may be followed by a number, and by nothing else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give `--serve` the port 0 unless a number follows."""
        words: list[str] = []
        for place, word in enumerate(args):
            follows = args[place + 1] if place + 1 < len(args) else ""
            bare = word == "--serve" and "--" not in words and not follows.isdecimal()
            words.append("--serve=0" if bare else word)
        return super().parse_args(ctx, words)


@click.command(
    "watch",
    cls=_Watch,
    examples={
        "nbbuild watch": "build all that a saved file puts out of date",
        "nbbuild watch report.ipynb --serve": "one notebook, and a page that shows it",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@jobs_option
@click.option("-s", "--silent", is_flag=True, help="Show only failures.")
@click.option("-v", "--verbose", is_flag=True, help="Also show reasons and what is up to date.")
@click.option(
    "--serve",
    type=Whole(least=0),
    metavar="[PORT]",
    help="Also show the report and the notebooks in a page on this machine.",
)
@project_options
def command(
    targets: tuple[str, ...],
    jobs: int | None,
    serve: int | None,
    directory: Path,
    file: Path | None,
    **flags: bool,
) -> None:
    """Build TARGETs, or everything, and again whenever a file is saved.

    A build whose inputs change meanwhile is stopped and begun again. Ctrl-C ends it, with status
    130.
    """
    refuse(flags, _CONTRARY)
    if serve is not None and serve > _MOST_PORT:
        raise UsageError(f"there is no port {serve}", hint=f"a port is at most {_MOST_PORT}")
    if importlib.util.find_spec("watchfiles") is None:
        raise UsageError(
            "`nbbuild watch` needs watchfiles", hint="install it: pip install 'nbbuild[watch]'"
        )
    from nbbuild.config.find import find
    from nbbuild.config.here import Here
    from nbbuild.session import open_session
    from nbbuild.verbs.watch.loop import Watch

    root = find(directory, file).parent.resolve()

    def opening() -> Session:
        return open_session(directory, file=file)

    _check(opening, targets)
    with ExitStack() as around:
        stopping = around.enter_context(interruptible())
        site, page = None, ""
        if serve is not None:
            from nbbuild.verbs.watch.server import Server
            from nbbuild.verbs.watch.site import Site

            site = Site(root.name)
            page = around.enter_context(Server(site, serve)).url
        listener = around.enter_context(
            _listener(site, page=page, here=Here.at(directory, root), **flags)
        )
        Watch(root, opening, targets=targets, jobs=jobs, listener=listener, stopping=stopping).run()


def _check(opening: Callable[[], Session], targets: tuple[str, ...]) -> None:
    """Raise `UsageError` for a target that means nothing, if the project can be read by now."""
    try:
        with opening() as session:
            session.wanted(targets)
    except UsageError:
        raise
    except NbbuildError:
        return  # said by the loop, which waits until it is mended


@contextmanager
def _listener(
    site: Site | None, *, page: str, here: Here, silent: bool, verbose: bool
) -> Iterator[Listener]:
    """Yield what shows the builds: on the terminal in place, else in lines; and in the page."""
    from nbbuild.report import draws
    from nbbuild.verbs.watch.lines import Lines
    from nbbuild.verbs.watch.listeners import Both

    with ExitStack() as around:
        if draws(sys.stderr) and not silent:
            from nbbuild.verbs.watch.board import Board

            board = Board(sys.stderr, page=page, verbose=verbose, shown=here.shown)
            shows: Listener = around.enter_context(closing(board))
        else:
            shows = Lines(sys.stderr, page=page, silent=silent, verbose=verbose, shown=here.shown)
        yield shows if site is None else Both(shows, site)
