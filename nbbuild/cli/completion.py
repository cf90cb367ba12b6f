"""`nbbuild completion SHELL`: what a shell has to read before it can complete targets."""

from __future__ import annotations

import click

from nbbuild.cli._shells import SCRIPTS
from nbbuild.cli._verb import Verb


@click.command(
    "completion",
    cls=Verb,
    examples={
        "nbbuild completion bash": 'in ~/.bashrc: eval "$(nbbuild completion bash)"',
        "nbbuild completion zsh": 'in ~/.zshrc: eval "$(nbbuild completion zsh)"',
        "nbbuild completion fish": "in config.fish: nbbuild completion fish | source",
    },
)
@click.argument("shell", type=click.Choice(list(SCRIPTS)), metavar="SHELL")
def command(shell: str) -> None:
    """Print the script with which SHELL (bash, zsh or fish) completes verbs, options and targets.

    Shells start a little faster if the script is in a file of their own instead; the reference
    says where.
    """
    click.echo(SCRIPTS[shell], nl=False)
