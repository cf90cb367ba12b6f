"""Complete what is typed in a shell: verbs, options and targets.

Somebody is typing: whatever is wrong with the project, nothing may be written into their line. So
an error means that there is nothing to offer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from nbbuild.cli._options import project_of
from nbbuild.cli._shells import SCRIPTS
from nbbuild.quick.verbs import COMPLETING

WORD = "plain"
"""What click calls an item that is a word, not the name of a file."""


def answer(group: click.Command, asked: str, *, program: str) -> None:
    """Write what `asked` wants: "complete", or "bash_source" for the script of a shell."""
    shell = asked.partition("_")[0]
    if shell in SCRIPTS:
        click.echo(SCRIPTS[shell], nl=False)
        return
    try:
        found = _Answers(group, {}, program, COMPLETING).complete()
    except Exception:  # noqa: BLE001 - see above
        return
    if found:
        click.echo(found)


class _Answers(ShellComplete):
    """What click knows of a command line that all shells hand over in one way."""

    name = "any"
    source_template = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words after the program, and the beginning of the last one."""
        # With a letter more, there is a last word, and what is at its end counts.
        *words, last = split_arg_string(os.environ.get("COMP_LINE", "") + ".")
        return words[1:], last[:-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the items; a value after `--option=` comes with that."""
        name, equals, value = incomplete.partition("=")
        if not (name.startswith("--") and equals) or "--" in args:
            return super().get_completions(args, incomplete)
        found = super().get_completions([*args, name], value)
        for item in found:
            item.value = f"{name}={item.value}" if item.type == WORD else item.value
        return found

    def complete(self) -> str:
        """Return the items in lines; what a line cannot hold is left out."""
        items = self.get_completions(*self.get_completion_args())
        return "\n".join(self.format_completion(one) for one in items if one.value.isprintable())

    def format_completion(self, item: CompletionItem) -> str:
        """Return an item as a line of the answer."""
        kind = "word" if item.type == WORD else item.type
        return f"{kind}\t{item.value}\t{item.help or ''}"


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the targets that begin with `incomplete`, for click; those given before are left out.

    Paths are seen from the current folder, as they are typed there.
    """
    given = ctx.params.get(param.name or "") or ()
    try:
        words = list(_words(*project_of(ctx), incomplete))
    except Exception:  # noqa: BLE001 - see above
        return []
    return [CompletionItem(one) for one in words if one.startswith(incomplete) and one not in given]


def _words(directory: Path, file: Path | None, incomplete: str) -> Iterator[str]:
    """Yield what may be typed, each once."""
    # Only now: options and verbs are completed without it.
    from nbbuild.project.naming import names_at

    known = names_at(directory, file)
    here = known.here
    if incomplete.startswith("/"):
        yield from (f"{here.root}/{path}" for path in known.paths)
        return
    shown = [here.shown(path) for path in known.paths]
    if incomplete.startswith("../") or incomplete == "..":
        yield from shown
        return
    inside = shown if here.outside else [path for path in shown if not path.startswith("../")]
    if incomplete.startswith("./"):
        yield from (f"./{path}" for path in inside)
        return
    yield from dict.fromkeys((*inside, *known.names))
