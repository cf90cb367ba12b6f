"""`nbbuild help [VERB]`: how the command, or a verb, is used."""

from __future__ import annotations

import click

from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit
from nbbuild.errors import UsageError, did_you_mean


@click.command(
    "help",
    cls=Verb,
    examples={"nbbuild help build": "all options of a build", "nbbuild help cache gc": ""},
)
@click.argument("words", nargs=-1, metavar="[VERB]...")
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
