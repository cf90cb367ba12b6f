"""Find the YAML header of a text notebook, without reading the rest of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nbbuild.notebook.suffixes import SCRIPTS, Script, suffix

if TYPE_CHECKING:
    import yaml

HEADER_LIMIT = 100_000
"""A header must end within this many characters; anything longer is not a header."""

_RULE = re.compile(r"---\s*$")


class Header(NamedTuple):
    """The YAML at the top of a text notebook, without comment signs."""

    line: int  # of the file, from 1, on which the YAML begins
    yaml: str
    comment: str
    comment_end: str


def header(path: str, text: str) -> Header | None:
    """Return the header of the text notebook `path`, found as Jupytext finds it, or None."""
    ending = suffix(path)
    script = SCRIPTS.get(ending, Script("", ""))
    lines = text[:HEADER_LIMIT].splitlines()
    found = _header(lines, script.comment, script.comment_end)
    if found is None and script.language == "R":  # knitr's spin writes prose as #'
        found = _header(lines, "#'", "")
    return found


def _header(lines: list[str], comment: str, comment_end: str) -> Header | None:
    sign = "#" if comment == "#'" else comment
    encoding = re.compile(rf"[ \t\f]*{re.escape(sign)}.*?coding[:=]")
    first = 0  # line on which the YAML begins; 0 = not found yet
    yaml_lines: list[str] = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith("#!"):
            continue
        if comment and number <= 2 and not first and encoding.match(line):
            continue
        if not line.startswith(comment):
            return None
        if not comment and not first and line.strip().startswith("<!--"):
            continue  # hide_notebook_metadata wraps the header in an HTML comment
        bare = uncomment(line, comment, comment_end)
        if _RULE.match(bare):
            if first:
                return Header(first, "\n".join([*yaml_lines, ""]), comment, comment_end)
            first = number + 1
        elif first:
            yaml_lines.append(bare)
        elif bare.strip():
            return None
    return None


def uncomment(line: str, comment: str, comment_end: str = "") -> str:
    """Return `line` without its comment signs, and without one blank beside each."""
    if comment and line.startswith(comment):
        line = line[len(comment) :].removeprefix(" ")
    if comment_end:
        line = line.removesuffix(" ").removesuffix(comment_end).removesuffix(" ")
    return line


def mapping(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the keys of a composed YAML mapping; none if `node` is something else."""
    import yaml  # whoever has a node has loaded it

    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
