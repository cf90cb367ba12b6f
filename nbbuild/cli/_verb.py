"""The commands of verbs: help begins with examples, and verbs inside a verb have to be named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from nbbuild.errors import UsageError, did_you_mean


class Verb(click.Command):
    """A verb; `examples` has command lines, each with what it does."""

    def __init__(self, *args: Any, examples: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.examples = examples or {}

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the text."""
        write_examples(formatter, self.examples)
        super().format_help_text(ctx, formatter)


class Verbs(click.Group):
    """A verb with verbs of its own, such as `cache`."""

    command_class = Verb

    def __init__(self, *args: Any, examples: Mapping[str, str] | None = None, **more: Any) -> None:
        more.setdefault("subcommand_metavar", "VERB [ARGUMENT]...")
        more["invoke_without_command"] = True  # so that a missing verb is told by `invoke`
        super().__init__(*args, **more)
        self.examples = examples or {}

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the text."""
        write_examples(formatter, self.examples)
        super().format_help_text(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb that was named; raise `UsageError` if there is none."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            verbs = self.list_commands(ctx)
            raise UsageError(
                f"'{ctx.command_path}' needs a verb",
                facts=[("verbs", ", ".join(verbs))],
                hint=f"`nbbuild help {self.name}` says what each of them does",
            )
        return result

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that was named; raise `UsageError` if there is none of that name."""
        verbs = self.list_commands(ctx)
        if args[0] not in verbs and not ctx.resilient_parsing:
            raise UsageError(
                f"'{ctx.command_path}' has no verb '{args[0]}'",
                facts=[("verbs", ", ".join(verbs))],
                hint=did_you_mean(args[0], verbs),
            )
        return super().resolve_command(ctx, args)


def write_examples(formatter: click.HelpFormatter, examples: Mapping[str, str]) -> None:
    """Write command lines, each with what it does."""
    if not examples:
        return
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_dl(list(examples.items()), col_max=46)
