"""The command: which verbs there are; each is a file here with a click command named `command`."""

from __future__ import annotations

import importlib
import keyword

import click

from nbbuild.cli._group import VerbGroup
from nbbuild.quick.verbs import VERBS

__all__ = ["VERBS", "group", "load"]


def load(verb: str) -> click.Command:
    """Import a verb's module and return its command."""
    # A word of Python's own cannot be a module's name.
    module = f"{verb}_" if keyword.iskeyword(verb) else verb
    command = importlib.import_module(f"nbbuild.cli.{module}").command
    assert isinstance(command, click.Command)
    return command


group = VerbGroup("nbbuild", verbs=VERBS, load=load)
