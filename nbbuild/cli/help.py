"""`nbbuild help [VERB]`: how the command, or a verb, is used."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit
from nbbuild.errors import UsageError, did_you_mean


def _inner_verbs(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the verbs that may come next, for a shell that completes."""
    where: click.Command | None = ctx.find_root().command
    for word in ctx.params.get("words") or ():
        where = where.get_command(ctx, word) if isinstance(where, click.Group) else None
    verbs = where.list_commands(ctx) if isinstance(where, click.Group) else []
    return [CompletionItem(verb) for verb in verbs if verb.startswith(begun)]


@click.command(
    "help",
    cls=Verb,
    examples={"nbbuild help build": "all options of a build", "nbbuild help cache gc": ""},
)
@click.argument("words", nargs=-1, metavar="[VERB]...", shell_complete=_inner_verbs)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show how VERB is used, as `nbbuild VERB --help` does; without one, list the verbs.

    A target of the name "help" is built by `nbbuild build help`, a file or folder also by
    `nbbuild ./help`.
    """
    where = ctx.find_root()
    for word in words:
        group = where.command
        verbs = group.list_commands(where) if isinstance(group, click.Group) else []
        inner = group.get_command(where, word) if isinstance(group, click.Group) else None
        if inner is None:
            raise UsageError(
                f"'{where.command_path}' has no verb '{word}'",
                hint=did_you_mean(word, verbs) or "`nbbuild help` lists the verbs",
            )
        where = click.Context(inner, parent=where, info_name=word)
    emit(where.get_help())
