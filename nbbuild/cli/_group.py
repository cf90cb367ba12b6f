"""Choose the verb: `nbbuild [TARGET…]` builds, unless the first word is a verb.

The first word that is not an option decides, and everything else goes to the verb, also what stands
before it: `nbbuild -C sub status` is `nbbuild status -C sub`. To find that word one has to know
which options take a value; those in front of it are the build's. After `--` no word is a verb.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from nbbuild.cli import _completing
from nbbuild.cli._errors import exit_status
from nbbuild.cli._verb import write_examples
from nbbuild.cli.render import EMITTED
from nbbuild.errors import UsageError
from nbbuild.quick.verbs import COMPLETING, WORKER
from nbbuild.version import __version__

BUILD = "build"

_LEADING = "nbbuild.cli.leading"

_ABOUT = "Make for notebooks: execute what changed, and cache the rest."

_EXAMPLES = {
    "nbbuild": "build everything that is out of date",
    "nbbuild report.ipynb": "build one notebook, and what it needs",
    "nbbuild explain report.ipynb": "say why it would run",
}

_COMMON = frozenset({"--jobs", "--dry-run", "--directory", "--help"})
"""The options of a build that the first page of the help shows."""


class VerbGroup(click.Group):
    """Verbs that are imported when they are asked for; `verbs` has one line of help for each."""

    def __init__(
        self, name: str, *, verbs: Mapping[str, str], load: Callable[[str], click.Command]
    ) -> None:
        super().__init__(name, context_settings={"help_option_names": ["-h", "--help"]})
        click.version_option(__version__, prog_name=name, message="%(prog)s %(version)s")(self)
        self._verbs = verbs
        self._load = load

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, in the order of the help."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb's command, None when there is no such verb."""
        return self._load(cmd_name) if self._is_verb(cmd_name) else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb in front."""
        place = self._place_of_word(ctx, args)
        leading = args[:place]
        if "--version" in leading:
            args = ["--version"]
        elif place < len(args) and self._is_verb(args[place]):
            args = [args[place], *leading, *args[place + 1 :]]
        elif ctx.resilient_parsing and place == len(args):
            # A shell completes the first word: it may be a verb, and the rest is a build's.
            ctx.meta[_LEADING], args = leading, []
        elif any(option in _before_dashes(args) for option in ("-h", "--help")):
            args = ["--help"]
        else:
            args = [BUILD, *args]
        return super().parse_args(ctx, args)

    def _is_verb(self, word: str) -> bool:
        return word in self._verbs or word == WORKER

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the first word: a verb, a target, or an option of a build."""
        build = self._load(BUILD)
        leading = ctx.meta.get(_LEADING, [])
        inner = build.make_context(BUILD, [*leading], parent=ctx, resilient_parsing=True)
        verbs = [
            CompletionItem(verb, help=line)
            for verb, line in self._verbs.items()
            if verb.startswith(incomplete)
        ]
        words = [
            item
            for param in build.params
            if isinstance(param, click.Argument)
            for item in param.shell_complete(inner, incomplete)
        ]
        options = [
            *click.Command.shell_complete(self, ctx, incomplete),
            *build.shell_complete(inner, incomplete),
        ]
        found = [*verbs, *words, *options]
        return list({item.value: item for item in reversed(found)}.values())[::-1]

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command and exit with its status; an int that a verb returns is the status."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        asked = os.environ.get(COMPLETING)
        if asked:
            _completing.answer(self, asked, program=prog_name or self.name or BUILD)
            sys.exit(0)
        words = sys.argv[1:] if args is None else list(args)

        said: dict[str, Any] = {}

        def work() -> object:
            if any("\0" in word for word in words):  # only Python can pass one
                raise UsageError("a word holds a NUL, which no name can hold")
            with self.make_context(prog_name or self.name, words, **extra) as ctx:
                try:
                    return self.invoke(ctx)
                finally:
                    said.update(ctx.meta)

        def as_json() -> bool:
            return "--json" in _before_dashes(words) and EMITTED not in said

        sys.exit(exit_status(work, as_json=as_json))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: the build's options, and a line for each verb without importing it."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] [TARGET]...")
        formatter.write_usage(ctx.command_path, "VERB [OPTIONS] [ARGUMENT]...", prefix="       ")
        write_examples(formatter, _EXAMPLES)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_ABOUT)
        with formatter.section("Verbs"):
            formatter.write_dl(list(self._verbs.items()))
        with formatter.section("Options of a build"):
            formatter.write_dl(self._options(ctx))
        formatter.write_paragraph()
        name = ctx.command_path
        formatter.write_text(f"'{name} help VERB' says more; '{name} help build' has all options.")

    def _options(self, ctx: click.Context) -> list[tuple[str, str]]:
        build = self._load(BUILD)
        of_build = click.Context(build, parent=ctx, info_name=BUILD)
        options = [p for p in build.get_params(of_build) if _COMMON.intersection(p.opts)]
        # Its `--help` comes last; before that, what only the group has.
        records = [param.get_help_record(of_build) for param in options]
        records[-1:-1] = [param.get_help_record(ctx) for param in self.params]
        return [record for record in records if record is not None]

    def _place_of_word(self, ctx: click.Context, args: Sequence[str]) -> int:
        """Return the place of the first word that is not an option, or of `--`, or the end.

        It is beyond the end if the last word is an option without its value.
        """
        place = 0
        while place < len(args):
            word = args[place]
            if word in ("-", "--") or not word.startswith("-"):
                break
            place += 2 if self._takes_next(ctx, word) else 1
        return place

    def _takes_next(self, ctx: click.Context, word: str) -> bool:
        """Whether the word after an option of the build is its value."""
        taking = {
            name
            for param in self._load(BUILD).params
            if isinstance(param, click.Option) and not param.is_flag and not param.count
            for name in param.opts
        }
        if word.startswith("--"):
            return word in taking
        # In `-kj 4` the last letter takes the value, in `-j4` the rest of the word is it.
        first = next((n for n, letter in enumerate(word) if f"-{letter}" in taking), None)
        return first == len(word) - 1


def _before_dashes(args: Sequence[str]) -> Sequence[str]:
    return args[: args.index("--")] if "--" in args else args
