"""Run `nbbuild init` in a test, and look at the file that it wrote."""

import json
from pathlib import Path

from click.testing import CliRunner

from nbbuild.cli import group

GITIGNORE = "git ignores what nbbuild makes: '.nbbuild' and '_build/executed' have a .gitignore"


def init(*args, status=0):
    result = CliRunner().invoke(group, ["init", *args])
    assert result.exit_code == status, result.output
    return result


def said(result):
    return result.stderr.splitlines()


def lines(path="jcache.toml"):
    """Return what the written file says, comments left out."""
    wanted = (line.partition(" #")[0].rstrip() for line in Path(path).read_text().splitlines())
    return [line for line in wanted if line and not line.startswith("#")]


def listed():
    """Return the notebooks that `nbbuild list` shows for the written file."""
    result = CliRunner().invoke(group, ["list", "--json"])
    assert result.exit_code == 0, result.output
    return [task["source"] for task in json.loads(result.stdout)]
