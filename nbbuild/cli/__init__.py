"""The command: which verbs there are; each is a file here with a click command named `command`."""

from __future__ import annotations

import importlib

import click

from nbbuild.cli._group import VerbGroup
from nbbuild.verbs import VERBS

__all__ = ["VERBS", "group", "load"]


def load(verb: str) -> click.Command:
    """Import a verb's module and return its command."""
    command = importlib.import_module(f"nbbuild.cli.{verb}").command
    assert isinstance(command, click.Command)
    return command


group = VerbGroup("nbbuild", verbs=VERBS, load=load)
