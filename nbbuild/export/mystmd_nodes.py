"""Read a page as mystmd does: what it executes, in order, and the key under which it looks for it.

mystmd (1.11) takes the code cells and inline expressions of a page in the order of its tree, leaves
out those tagged `skip-execution`, and digests their contents with the kernel's name and the values
of the variables on which the page says it depends. mystmd does not promise to keep this; tests
compare it with the real program.

Only pages whose cells stand at the top level are understood here, for those are the ones that
nbbuild executes. mystmd finds more: cells inside other directives, in included files, and
expressions. `Beyond` is raised for a page with any of these.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from nbbuild.notebook.headers import header
from nbbuild.notebook.suffixes import MYST_SUFFIXES, suffix
from nbbuild.text import bounded_yaml

_OPTION = re.compile(r"^:(?P<name>[^:\s]+?):\s*(?P<value>.*?)\s*$")
_DIRECTIVE = re.compile(r"^\s*\{\s*([^}]+?)\s*\}")
_VERBATIM = {"code", "code-block", "sourcecode", "literalinclude"}
_LIFTED_TAGS = re.compile(r"^#\s?\| \s*tags\b", re.M)
_INLINE = re.compile(r"\{\s*eval\b[^}]*\}`")
_INCLUDE = re.compile(r"\{\s*include\b[^}]*\}[ \t]*(\S*)")
_COLONS = re.compile(r"^\s*:{3,}[ \t]*(.*)$")
_HEADED = re.compile(r"^#\s?\| ")  # as in mystmd: `#| label: x` above the code
_RAISES, _SKIPS = "raises-exception", "skip-execution"


class NoPage(Exception):
    """mystmd executes nothing in this file, so nothing is wrong; `str()` says why."""


class Beyond(Exception):
    """mystmd executes something in this page that nbbuild does not; `str()` says what."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell as mystmd sees it."""

    content: str
    raises: bool = False
    skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The parts of a page that count."""

    kernel: Mapping[str, Any]  # its kernelspec
    cells: tuple[Cell, ...]  # all code cells, in order
    variables: tuple[str, ...] = ()  # environment variables on which it says it depends

    def key(self, environ: Mapping[str, str]) -> str:
        """Return the name of the file that mystmd looks for."""
        items = [
            {"kind": "block", "content": cell.content, "raisesException": cell.raises}
            for cell in self.cells
            if not cell.skipped
        ]
        digest = hashlib.md5(self.kernel["name"].encode(), usedforsecurity=False)
        digest.update(_json(items))
        if self.variables:
            values = {name: environ[name] for name in sorted(self.variables) if name in environ}
            digest.update(_json(values))
        return digest.hexdigest()


def nodes(root: Path, file: str) -> Nodes:
    """Return what counts in the page `file`. Raises NoPage, Beyond, OSError, ValueError."""
    ending = suffix(file)
    if ending != ".ipynb" and ending not in MYST_SUFFIXES:
        raise NoPage(f"mystmd makes no pages of {ending} files")
    text = (root / file).read_text(encoding="utf-8")
    if ending == ".ipynb":
        front, cells = _of_ipynb(root / file, text)
    else:
        front, cells = _of_markdown(root / file, text)
    execute = front.get("execute")
    execute = execute if isinstance(execute, dict) else {}
    if execute.get("skip") is True or front.get("skip_execution") is True:
        raise NoPage("its header tells mystmd not to execute it")
    if execute.get("cache") is False:
        raise NoPage("its header tells mystmd to execute it each time")
    kernel = front.get("kernelspec")
    if not isinstance(kernel, dict) or not isinstance(kernel.get("name"), str):
        raise NoPage("it has no kernelspec, without which mystmd executes nothing")
    if all(cell.skipped for cell in cells):
        raise NoPage("it has no cell that mystmd would execute")
    named = execute.get("depends_on_env")
    variables = tuple(map(str, named)) if isinstance(named, list) else ()
    return Nodes(kernel=kernel, cells=tuple(cells), variables=variables)


def lifted(code: str) -> tuple[str, Mapping[str, Any]]:
    """Return `code` without the `#| …` lines at its top, and the contents of those lines."""
    said: list[str] = []
    rest: list[str] = []
    at_top, magic = True, True
    for line in code.split("\n"):
        if at_top and magic and line.startswith("%%"):
            magic = False
            rest.append(line)
            continue
        if at_top and _HEADED.match(line):
            said.append(_HEADED.sub("", line))
            continue
        at_top = at_top and not line.strip()
        if not at_top:
            rest.append(line)
    try:
        metadata = bounded_yaml.load("\n".join(said))
    except bounded_yaml.Unloadable:
        metadata = None
    if not metadata:
        return code, {}
    return "\n".join(rest), metadata if isinstance(metadata, dict) else {}


# -- .ipynb ------------------------------------------------------------------------------------


def _of_ipynb(path: Path, text: str) -> tuple[dict[str, Any], list[Cell]]:
    notebook = json.loads(text)
    cells = notebook["cells"]
    if len(cells) > 1 and not cells[-1]["source"]:
        cells = cells[:-1]
    front = dict(notebook.get("metadata", {}))
    found = []
    for number, cell in enumerate(cells):
        source = _joined(cell["source"])
        if cell["cell_type"] == "markdown":
            if number == 0 and (top := header("page.md", source)) is not None:
                front.update(_front(top.yaml))
            _check_prose(path, source)
        elif cell["cell_type"] == "code":
            tags = cell.get("metadata", {}).get("tags")
            found.append(_cell(source, tags if isinstance(tags, list | str) else ()))
    return front, found


def _joined(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _cell(code: str, tags: Any) -> Cell:
    content, said = lifted(code)
    tags = said.get("tags", tags) or ()
    return Cell(content, raises=_RAISES in tags, skipped=_SKIPS in tags)


# -- Markdown ----------------------------------------------------------------------------------


def _of_markdown(path: Path, text: str) -> tuple[dict[str, Any], list[Cell]]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    top = header("page.md", text)
    lines = text.split("\n")
    if top is not None:
        front, first = _front(top.yaml), top.line + top.yaml.count("\n")
        lines = lines[first:]
    else:
        front = {}
    fences = [
        token
        for token in MarkdownIt("commonmark").parse("\n".join(lines))
        if token.type == "fence" and token.level == 0 and token.map is not None
    ]
    places = {token.map[0]: token.map[1] for token in fences if token.map is not None}
    inside = _inside_colons(lines, places)
    divided = any(line.startswith("+++") for line in lines)
    cells: list[Cell] = []
    prose = [line for number, line in enumerate(lines) if not _is_in(number, places)]
    for token in fences:
        directive = _DIRECTIVE.match(token.info)
        if directive is None or directive[1] in _VERBATIM:
            continue
        if directive[1] != "code-cell":
            prose += [token.info, token.content]  # this is text of the page
            continue
        if token.map is not None and token.map[0] in inside:
            raise Beyond("it has code cells inside other directives")
        if divided and _LIFTED_TAGS.search(token.content):
            raise Beyond("it has `#| tags:` in a page that is divided by `+++`")
        cells.append(_directive(token.content))
    _check_prose(path, "\n".join(prose))
    return front, cells


def _is_in(number: int, places: Mapping[int, int]) -> bool:
    return any(start <= number < end for start, end in places.items())


def _directive(content: str) -> Cell:
    """Return the cell of a `{code-cell}` with this content: options, then code."""
    lines = content.split("\n") if content.strip() else []
    tags: Any = ()
    if lines and lines[0].rstrip() == "---":
        marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"]
        end = marks[1] if len(marks) > 1 else len(lines)
        try:
            options = bounded_yaml.load("\n".join(lines[1:end]))
        except bounded_yaml.Unloadable:
            options = None
        if isinstance(options, dict):
            tags = options.get("tags", options.get("tag"))
            lines = [line for line in lines[end:] if line.rstrip() != "---"]
    else:
        while lines and (option := _OPTION.match(lines[0])):
            if option["name"] in ("tags", "tag"):
                tags = tags or option["value"]
            del lines[0]
    while lines and not lines[0].strip():
        del lines[0]
    return _cell("\n".join(lines).rstrip(), _tags(tags))


def _tags(value: Any) -> list[str]:
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = bounded_yaml.load(value)
        except bounded_yaml.Unloadable:
            return []
    if isinstance(value, str):
        return [word for word in re.split(r"[,\s]", value) if word]
    return [word.strip() for word in value if isinstance(word, str)] if value else []


def _inside_colons(lines: list[str], fences: Mapping[int, int]) -> set[int]:
    """Return the lines on which one of `fences` (first line → end) begins inside a `:::` block."""
    found: set[int] = set()
    depth, number = 0, 0
    while number < len(lines):
        if number in fences:
            if depth:
                found.add(number)
            number = max(fences[number], number + 1)
            continue
        colons = _COLONS.match(lines[number])
        if colons is not None:
            depth = depth + 1 if colons[1].strip() else max(0, depth - 1)
        number += 1
    return found


def _check_prose(path: Path, text: str, *, below: int = 0) -> None:
    """Raise Beyond if mystmd would execute something outside the cells of the page."""
    if _INLINE.search(text):
        raise Beyond("it has inline expressions, {eval}`…`, which nbbuild does not evaluate")
    if re.search(r"\{\s*code-cell\b", text):
        raise Beyond("it has code cells inside other directives, or in an included file")
    for found in _INCLUDE.finditer(text):
        included = path.parent / found[1]
        if below < 5 and included.is_file():
            content = included.read_text(encoding="utf-8", errors="replace")
            _check_prose(included, content, below=below + 1)


def _front(text: str) -> dict[str, Any]:
    try:
        found = bounded_yaml.load(text)
    except bounded_yaml.Unloadable as error:
        raise ValueError("its header is not YAML") from error
    return found if isinstance(found, dict) else {}


# -- JSON as JavaScript writes it --------------------------------------------------------------


def _json(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # JSON.stringify spells out halves of surrogate pairs.
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()
