"""Find what may be a file name in the text of a cell or a module."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator

_LONGEST_LITERAL = 4096


def literals(text: str) -> Iterator[str]:
    """Yield possible file names in a cell or a module: string literals, words of commands."""
    lines = text.splitlines()
    commands = [line.strip() for line in lines if line.strip()[:1] in ("!", "%")]
    plain = "\n".join("pass" if line.strip()[:1] in ("!", "%") else line for line in lines)
    seen: set[str] = set()
    try:
        nodes = ast.walk(ast.parse(plain))
        seen.update(
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
    except (SyntaxError, ValueError, RecursionError):
        seen.update(found[2] for found in re.finditer(r"""(['"])(.*?)\1""", text))
    shell = lines[1:] if lines and lines[0].startswith(("%%bash", "%%sh", "%%script")) else []
    for line in (*commands, *shell):
        try:
            words = shlex.split(line)
        except ValueError:
            words = line.split()
        seen.update(word.lstrip("!%<>") for word in words)
    for word in sorted(seen):
        if 0 < len(word) <= _LONGEST_LITERAL and "\0" not in word and "\n" not in word:
            yield word


def is_file(path: str) -> bool:
    """Whether a possible file name is a file; it may be any text."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for a name that is too long
